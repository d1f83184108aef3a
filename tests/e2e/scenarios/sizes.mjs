// A model whose file leaves sizes of its input open.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";

const folder = join(root, "tests/fixtures/conv_relu_dw_prelu_fc");

/** The fixture, but of its input `x`, N x 3 x 12 x 12, the third size is called H and the fourth nothing. */
async function open() {
  const hex = (await readFile(join(folder, "model.onnx"))).toString("hex");
  const fixed = "0a0312014e" + "0a020803" + "0a02080c" + "0a02080c";
  assert.equal(hex.split(fixed).length, 2);
  const opened = "0a021200" + "0a020803" + "0a03120148" + "0a021200";
  return { name: "open.onnx", bytes: Buffer.from(hex.replace(fixed, opened), "hex") };
}

export async function areAskedForAndUsed(p) {
  await p.open();
  await p.drop("Drop an ONNX file here", [await open()]);
  const form = p.page.locator("#sizes");
  await form.waitFor();
  const alert = p.section("Model").getByRole("alert");
  assert.equal(await alert.count(), 0);
  assert.match(await form.innerText(), /leaves 2 sizes of its input open/);
  assert.match(await p.text("#quantize-need"), /size of the input is open/);
  await p.screenshots("sizes-open");

  // With the keyboard alone; a size that doesn't fit the rest is explained, and can be mended.
  await form.getByLabel("H").focus();
  await p.page.keyboard.type("12");
  await p.page.keyboard.press("Tab");
  await p.page.keyboard.type("10");
  await p.page.keyboard.press("Enter");
  await alert.filter({ hasText: "fc" }).waitFor();
  await form.getByLabel("x[3]").fill("12");
  await p.page.keyboard.press("Enter");
  await p.page.locator("#step-model[data-state=done]").waitFor();
  assert.match(await p.text("#step-model .facts"), /1×3×12×12/);
  assert.equal(await alert.count(), 0);

  await p.drop("Drop images, a folder, a zip or arrays here", [
    { name: "calib.npy", bytes: await readFile(join(folder, "input.npy")) },
  ]);
  await p.quantize();
  assert.match(await p.text("#results h3 >> nth=0"), /int8/);
  await p.screenshots("sizes-given");
}
