/**
 * npm's esptool-js against a board on TCP, through a port that looks like Web Serial's.
 *
 *     node esptool-js.mjs FOLDER/node_modules/esptool-js PORT IMAGE OFFSET
 *
 * Identifies the chip, writes IMAGE at OFFSET with the package's own stub and MD5 check, reads some of
 * it back, and prints one line of JSON. The package is used as it is published.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { pathToFileURL } from "node:url";

const [folder, port, image, offset] = process.argv.slice(2);
const { ESPLoader, Transport } = await import(pathToFileURL(`${folder}/lib/index.js`).href);

/** The part of Web Serial's `SerialPort` that esptool-js uses. There are no reset lines over TCP. */
class TcpPort {
  readable = null;
  writable = null;

  getInfo() {
    return { usbVendorId: 0x10c4, usbProductId: 0xea60 };
  }

  async open() {
    const socket = connect(Number(port), "127.0.0.1");
    socket.setNoDelay(true);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    this.socket = socket;
    this.readable = new ReadableStream({
      start: (controller) => {
        socket.on("data", (bytes) => controller.enqueue(new Uint8Array(bytes)));
        socket.on("close", () => {
          try {
            controller.close();
          } catch {
            // Cancelled before.
          }
        });
      },
    });
    this.writable = new WritableStream({
      write: (bytes) => new Promise((resolve) => socket.write(bytes, resolve)),
    });
  }

  async close() {
    this.socket.destroy();
    this.readable = null;
    this.writable = null;
  }

  async setSignals() {}

  async getSignals() {
    return { dataCarrierDetect: false, clearToSend: false, ringIndicator: false, dataSetReady: false };
  }
}

const log = [];
const loader = new ESPLoader({
  transport: new Transport(new TcpPort()),
  baudrate: 115200,
  terminal: { clean() {}, write: (text) => log.push(text), writeLine: (text) => log.push(text) },
});

try {
  const chip = await loader.main("no_reset");
  const data = new Uint8Array(await readFile(image));
  await loader.writeFlash({
    fileArray: [{ data, address: Number(offset) }],
    flashMode: "keep",
    flashFreq: "keep",
    flashSize: "keep",
    eraseAll: false,
    compress: true,
    calculateMD5Hash: (bytes) => createHash("md5").update(bytes).digest("hex"),
  });
  const md5 = await loader.flashMd5sum(Number(offset), data.length);
  const head = await loader.readFlash(Number(offset), 0x1001);
  const same = head.length === 0x1001 && head.every((byte, i) => byte === data[i]);
  const id = await loader.readFlashId();
  console.log(JSON.stringify({ chip, id, md5, same }));
  process.exit(0);
} catch (error) {
  console.error(`${error?.stack ?? error}\n${log.join("\n")}`);
  process.exit(1);
}
