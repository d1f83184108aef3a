/**
 * A virtual ESP32-S3 behind a look-alike of the browser's serial interface.
 *
 * The page drives it through the same {@link SerialLike} as a real port, so what is tried here is
 * what happens there. The board runs in a worker of its own, at its own pace, like a board. Its
 * answers are real; its speed means nothing.
 */
import { module, unloaded } from "./module.ts";
import { connect, type Remote, Transfer } from "./rpc.ts";
import type { SerialLike } from "./serial.ts";
import type { BoardService } from "./workers/board.worker.ts";

export class VirtualSerial extends EventTarget implements SerialLike {
  #port: VirtualPort | undefined;

  /** Always the same board: what was flashed stays. */
  async requestPort(): Promise<SerialPort> {
    this.#port ??= new VirtualPort();
    return this.#port;
  }

  async getPorts(): Promise<SerialPort[]> {
    return this.#port ? [this.#port] : [];
  }
}

class VirtualPort extends EventTarget implements SerialPort {
  readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  writable: WritableStream<Uint8Array<ArrayBuffer>> | null = null;
  onconnect = null;
  ondisconnect = null;
  readonly connected = true;

  #board: Promise<Remote<BoardService>> | undefined;
  #source: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;

  getInfo(): SerialPortInfo {
    return { usbVendorId: 0x10c4, usbProductId: 0xea60 };
  }

  async open({ baudRate }: SerialOptions): Promise<void> {
    if (this.readable) throw new DOMException("The port is already open.", "InvalidStateError");
    this.#board ??= this.#start();
    const board = await this.#board;
    await board.setBaud(baudRate);
    this.readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#source = controller;
      },
      cancel: () => {
        this.#source = undefined;
      },
    });
    this.writable = new WritableStream<Uint8Array<ArrayBuffer>>({
      write: (bytes) => {
        const copy = bytes.slice();
        return board.write(new Transfer(copy, [copy.buffer]) as unknown as Uint8Array);
      },
    });
  }

  async close(): Promise<void> {
    if (!this.readable || !this.writable) throw new DOMException("The port is already closed.", "InvalidStateError");
    if (this.readable.locked || this.writable.locked) throw new TypeError("Cannot cancel a locked stream");
    await this.readable.cancel();
    await this.writable.close();
    this.readable = null;
    this.writable = null;
  }

  async setSignals({ dataTerminalReady, requestToSend }: SerialOutputSignals): Promise<void> {
    await (await this.#board)?.setSignals(dataTerminalReady ?? null, requestToSend ?? null);
  }

  async getSignals(): Promise<SerialInputSignals> {
    return { dataCarrierDetect: false, clearToSend: false, ringIndicator: false, dataSetReady: false };
  }

  async forget(): Promise<void> {}

  async #start(): Promise<Remote<BoardService>> {
    const worker = new Worker(new URL("./workers/board.worker.ts", import.meta.url), { type: "module" });
    const { remote, abandon } = connect<BoardService>(worker);
    worker.addEventListener("message", ({ data }: MessageEvent) => {
      if (data instanceof Uint8Array) this.#source?.enqueue(data as Uint8Array<ArrayBuffer>);
    });
    // A board that broke is pulled out; the next time there is a new one.
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      worker.terminate();
      abandon(unloaded());
      this.#board = undefined;
      const source = this.#source;
      this.#source = undefined;
      this.readable = this.writable = null;
      source?.error(new DOMException("The virtual board broke.", "NetworkError"));
      this.dispatchEvent(new Event("disconnect"));
    });
    await remote.start(await module());
    return remote;
  }
}
