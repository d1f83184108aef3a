// Models that are quantized already: taken as they are, or explained and quantized again.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";

const zone = "Drop an ONNX file here";
const fixture = async (name, file) => ({
  name: `${name}.${file.split(".").at(-1)}`,
  bytes: await readFile(join(root, "tests/fixtures/quantized", name, file)),
});

export async function takenWithoutImages(p) {
  await p.open();
  await p.drop(zone, [await fixture("torch_qat", "model.onnx")]);
  await p.page.locator("#taken").waitFor();
  assert.match(await p.text("#quantization"), /QDQ[^]*taken as it is/);
  await p.quantize();
  assert.match(await p.text("#results h3 >> nth=0"), /int8[^]*as the file has it/);
  // Nothing is claimed that no image has shown.
  assert.match(await p.text("#unmeasured"), /not measured/);
  assert.equal(await p.page.locator("#advice").count(), 0);
  for (const row of await p.table("layers")) {
    assert.deepEqual([row["Range seen"], row["Saturation"], row["SQNR (dB)"]], ["", "", ""]);
  }
  await p.screenshots("quantized-taken");
}

export async function anotherSchemeIsQuantizedAgain(p) {
  await p.open();
  await p.drop(zone, [await fixture("ort_uint8_asymmetric", "model.onnx")]);
  const refused = p.page.getByRole("alert").filter({ hasText: "quantized already" });
  await refused.waitFor();
  assert.ok(await p.button("Quantize").isDisabled());
  await p.screenshots("quantized-refused");
  await p.button("Quantize it again").click();
  await p.page.locator("#quantization").filter({ hasText: "quantized again here" }).waitFor();
  assert.equal(await refused.count(), 0);
  await p.drop("Drop images, a folder, a zip or arrays here", [await fixture("ort_uint8_asymmetric", "x.npy")]);
  await p.page.getByText("each 1×2×8×8").waitFor();
  await p.quantize();
  await p.page.locator("#results").waitFor();
}
