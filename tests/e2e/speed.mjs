// How fast the emulator is in a browser: the page's networks on the package's virtual board, with the
// prebuilt firmware. `cargo xtask bench emulator` builds the package and runs this.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { Bench, root } from "./bench.mjs";

const RUNS = 40;
const samples = join(root, "web/public/samples");
const base64 = async (...path) => (await readFile(join(...path))).toString("base64");

const bench = await Bench.start();
try {
  const firmware = {
    bootloader: await base64(root, "firmware/prebuilt/bootloader.bin"),
    partitionTable: await base64(root, "firmware/prebuilt/partition-table.bin"),
    runtime: await base64(root, "firmware/prebuilt/runtime.bin"),
  };
  for (const file of (await readdir(samples)).filter((name) => name.endsWith(".onnx")).sort()) {
    const model = await base64(samples, file);
    const calibration = await base64(samples, `${file.split("-")[0]}-calib.npz`);
    for (const bits of ["int8", "int16"]) {
      await bench.run("speed", async (p) => {
        await p.open();
        const { instructions, milliseconds } = await p.page.evaluate(measure, { model, calibration, firmware, bits, RUNS });
        const name = file.replace(".onnx", "").padEnd(24);
        const figures = [instructions.toFixed(0).padStart(12), milliseconds.toFixed(1).padStart(9)];
        console.log([name, bits.padEnd(6), ...figures, (instructions / milliseconds / 1000).toFixed(1).padStart(12)].join(" "));
      });
    }
  }
} finally {
  await bench.stop();
}

/** In the page: the fastest of some runs, as compilers in a browser begin slowly and others work on the machine. */
async function measure({ model: onnx, calibration, firmware, bits, RUNS }) {
  const { Flasher, Link, Model, Samples, Simulator, VirtualBoard, init, quantize } = await import("/package/index.js");
  await init();
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const model = Model.fromOnnx(bytes(onnx));
  const dims = Uint32Array.from(model.inspect().inputs[0].dims);
  const files = [{ path: "calib.npz", bytes: bytes(calibration) }];
  const samples = Samples.load(files, dims, Samples.defaultPreprocess(dims), 100, () => {});
  const { image } = quantize(model, samples, { bits });
  const simulator = new Simulator(image);

  const board = new VirtualBoard();
  let now = 0;
  // What a machine wants done; the clock goes on only while nobody has anything to say.
  const act = (machine, action) => {
    if (action.do === "write") board.write(action.bytes);
    else if (action.do === "signals") board.setSignals(action.dtr, action.rts);
    else if (action.do === "baud") board.setBaud(action.rate);
    else if (action.do === "wait") {
      const received = board.read();
      if (received.length === 0) board.tick((now += 1));
      machine.onBytes(received);
    }
  };
  const images = Object.fromEntries(Object.entries(firmware).map(([name, text]) => [name, bytes(text)]));
  const options = { link: "uart-bridge", baud: 460_800, stub: true, resetBefore: true, resetAfter: true, skipEqual: true };
  board.tick(now);
  const flasher = new Flasher(images, image, options);
  for (let action = flasher.poll(now); action.do !== "done"; action = flasher.poll(now)) {
    if (action.do === "failed") throw new Error(action.error.message);
    act(flasher, action);
  }
  const link = new Link();
  const job = (begin) => {
    begin();
    for (let action = link.poll(now); action.do !== "done"; action = link.poll(now)) {
      if (action.do === "failed") throw new Error(action.error.message);
      act(link, action);
    }
  };
  job(() => link.connect());
  let best = { instructions: 0, milliseconds: Infinity };
  for (let i = 0; i < RUNS; i++) {
    const input = simulator.inputBytes(0, samples.values(i % 50));
    const [before, start] = [board.instructions, performance.now()];
    job(() => link.infer([input]));
    const run = { instructions: board.instructions - before, milliseconds: performance.now() - start };
    if (run.milliseconds / run.instructions < best.milliseconds / Math.max(best.instructions, 1)) best = run;
  }
  return best;
}
