// The npm package by itself, in a page without a bundler.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";

export async function quantizesAsThePageDoes(p) {
  await p.open();
  await p.useSample();
  await p.quantize();
  const fromPage = await p.download("Download model.fxp");
  const model = [...(await readFile(join(root, "web/public/samples/digits-cnn.onnx")))];
  const calibration = [...(await readFile(join(root, "web/public/samples/digits-calib.npz")))];
  const result = await p.page.evaluate(
    async ([modelBytes, calibrationBytes]) => {
      const { Model, Samples, Simulator, init, quantize } = await import("/package/index.js");
      await init();
      const model = Model.fromOnnx(Uint8Array.from(modelBytes));
      const dims = Uint32Array.from(model.inspect().inputs[0].dims);
      const file = { path: "calib.npz", bytes: Uint8Array.from(calibrationBytes) };
      const samples = Samples.load([file], dims, Samples.defaultPreprocess(dims), 0, () => {});
      const quantized = quantize(model, samples, { bits: "int8" });
      const simulator = new Simulator(quantized.image);
      const [output] = simulator.runRaw(samples.values(0));
      let code;
      try {
        Model.fromOnnx(new Uint8Array(3));
      } catch (error) {
        code = error.code;
      }
      return { image: [...quantized.image], scores: output.data.length, code };
    },
    [model, calibration],
  );
  assert.ok(fromPage.equals(Buffer.from(result.image)), "the package's image differs from the page's");
  assert.equal(result.scores, 10);
  assert.equal(result.code, "import");
}
