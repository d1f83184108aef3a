// The model of ESP-DL's own tutorial, with the exponents its toolkit gives.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import { needs, root, shared } from "../bench.mjs";

const folder = join(shared, "data/espdl/mnist");

export async function exponentsAndAccuracyOfTheTutorialModel(p) {
  needs(folder, "shared/");
  const images = gunzipSync(await readFile(join(folder, "t10k-images-idx3-ubyte.gz")));
  await p.open();
  await p.choose("Model", "Choose an ONNX file", join(folder, "mnist_model_example.onnx"));
  // Every 50th of the first 5,000, as the tutorial calibrates; the idx bytes are kept as they are.
  const head = Buffer.from(images.subarray(0, 16));
  head.writeUInt32BE(100, 4);
  const chosen = Array.from({ length: 100 }, (_, i) => images.subarray(16 + i * 50 * 784, 16 + (i * 50 + 1) * 784));
  await p.drop("Drop images, a folder, a zip or arrays here", [
    { name: "calibration-images-idx3-ubyte", bytes: Buffer.concat([head, ...chosen]) },
  ]);
  await p.page.getByText("Measure accuracy on other images").click();
  await p.drop("Drop labelled images or arrays for the accuracy here", await Promise.all(
    ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"].map(async (name) => ({ name, bytes: await readFile(join(folder, name)) })),
  ));
  await p.page.getByText("Accuracy is measured on 10,000 images").waitFor();

  await p.page.getByLabel("Calibration method").selectOption({ label: "Min-max" });
  await p.page.getByLabel("16 bits").check();
  await p.quantize();
  assert.deepEqual(await exponents(p), [-15, -15, -11, -11, -9]);
  assert.equal(await p.text("#accuracy-float"), "97.70 %");
  assert.equal(await p.text("#accuracy-quantized"), "97.70 %");
  await p.screenshots("6-mnist-int16");

  await p.page.getByLabel("8 bits").check();
  await p.page.getByLabel("One exponent per layer").check();
  await p.quantize();
  assert.deepEqual(await exponents(p), [-7, -7, -3, -2, -1]);
  assert.ok(parseFloat(await p.text("#accuracy-quantized")) >= 97.5);
}

const exponents = async (p) => (await p.table("layers")).map((row) => Number(row["Output exponent"]));

/** The toolkit's tables for small networks, committed as fixtures. */
export async function exponentsOfTheFixtures(p) {
  const fixtures = join(root, "tests/fixtures");
  await p.open();
  let first = true;
  for (const [name, calibration] of [["mlp", "input.npy"], ["tf2onnx_cnn", "calib.npy"]]) {
    const at = (file) => join(fixtures, name, file);
    await p.choose("Model", "Choose an ONNX file", at("model.onnx"));
    await p.page.getByText(first ? "Drop images, a folder, a zip or arrays here" : "Drop").first().waitFor();
    await p.choose("Calibration images", "Choose files", at(calibration));
    await p.button("Quantize").and(p.page.locator(":enabled")).waitFor();
    await p.page.getByLabel("One exponent per layer").check();
    for (const bits of ["int8", "int16"]) {
      await p.page.getByLabel(`${bits.slice(3)} bits`).check();
      await p.quantize();
      const { tensors } = JSON.parse(await p.download("Download report.json"));
      const wanted = JSON.parse(await readFile(at(`exponents_${bits}_per-tensor_minmax.json`), "utf8"));
      assert.deepEqual(tensors, wanted, `${name} ${bits}`);
    }
    first = false;
  }
}
