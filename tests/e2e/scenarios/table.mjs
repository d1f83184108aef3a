// A quantization table that exists already, used instead of calibrating.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";

const fixture = async (net, file) => ({ name: file, bytes: await readFile(join(root, "tests/fixtures", net, file)) });
const model = "Drop an ONNX file here";
const zone = "Drop a table here";

async function open(p, net) {
  await p.open();
  await p.drop(model, [await fixture(net, "model.onnx")]);
  await p.page.locator("summary", { hasText: "existing quantization table" }).click();
}

export async function makesTheModelThatCalibrationMade(p) {
  await open(p, "tf2onnx_cnn");
  await p.drop("Drop images, a folder, a zip or arrays here", [await fixture("tf2onnx_cnn", "calib.npy")]);
  await p.page.getByLabel("Calibration method").selectOption("Min-max");
  await p.page.getByLabel("One exponent per layer").check();
  await p.page.locator("summary", { hasText: "Advanced" }).click();
  await p.page.locator("input[value=espdl]").check();
  await p.quantize();
  const calibrated = await p.download("Download model.fxp");
  await p.page.locator("summary", { hasText: "For ESP-DL projects" }).click();
  const tables = {};
  for (const name of ["report.json", "table.json", "table.pickle"]) tables[name] = await p.download(`Download ${name}`);

  for (const [name, bytes] of Object.entries(tables)) {
    // The same model, and no images at all.
    await open(p, "tf2onnx_cnn");
    assert.ok(await p.button("Quantize").isDisabled());
    await p.drop(zone, [{ name, bytes }]);
    await p.page.locator("#table").waitFor();
    assert.match(await p.text("#table"), new RegExp(`${name.replace(".", "[.]")}: int8, per-tensor, \\d+ tensors`));
    assert.equal(await p.page.getByLabel("Calibration method").count(), 0);
    await p.page.locator("summary", { hasText: "Advanced" }).click();
    await p.page.locator("input[value=espdl]").check();
    await p.quantize();
    assert.match(await p.text("#results h3 >> nth=0"), new RegExp(`int8, per-tensor, espdl[^]*exponents of ${name}`));
    assert.match(await p.text("#unmeasured"), /not measured/);
    assert.ok(calibrated.equals(await p.download("Download model.fxp")), name);
  }
  await p.screenshots("table-used");
}

export async function toolkitsExponentsAreKept(p) {
  const table = await fixture("conv_relu_dw_prelu_fc", "exponents_int16_per-tensor_minmax.json");
  await open(p, "conv_relu_dw_prelu_fc");
  // As on a slow machine: frames are drawn, and the focus is taken from a disabled button, before the table is read.
  await p.page.evaluate(() => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (...message) {
      setTimeout(() => post.apply(this, message), 300);
    };
    globalThis.fast = () => (Worker.prototype.postMessage = post);
  });
  await p.choose("Quantize", "Choose a table", { name: table.name, mimeType: "application/json", buffer: table.bytes });
  await p.page.locator("#table").filter({ hasText: "int16, per-tensor" }).waitFor();
  // The zone is gone, and the keyboard is at what has taken its place.
  const focused = (words) => p.page.waitForFunction((all) => document.activeElement.textContent.trim() === all, words);
  await focused("Calibrate instead");
  await p.page.evaluate(() => void fast());
  await p.quantize();
  assert.deepEqual(JSON.parse(await p.download("Download report.json")).tensors, JSON.parse(table.bytes));

  // It goes to a board without images, and is tested once there are some.
  await p.button("Try it on a virtual board").click();
  await p.page.locator("#untested").waitFor();
  assert.match(await p.text("#step-board .verdict"), /Flashed and verified/);
  assert.equal(await p.section("Flash & Run").getByRole("alert").count(), 0);
  assert.ok(await p.button("Run the images").isDisabled());
  await p.screenshots("table-untested");
  await p.drop("Drop images, a folder, a zip or arrays here", [await fixture("conv_relu_dw_prelu_fc", "input.npy")]);
  await p.button("Run the images").and(p.page.locator(":enabled")).click();
  await p.page.locator("#answers").waitFor();

  // Calibration is still there.
  await p.button("Calibrate instead").press("Enter");
  await p.page.getByLabel("Calibration method").waitFor();
  await focused("Use an existing quantization table");
  assert.match(await p.text("#results"), /Out of date/);
  await p.quantize();
  assert.match(await p.text("#results h3 >> nth=0"), /int8[^]*24 of 24 images/);
}

export async function whatIsNoTableIsSaid(p) {
  await open(p, "tf2onnx_cnn");
  const alert = p.page.getByRole("alert").filter({ hasText: "can't be used as a table" });
  const cases = [
    ["notes.json", '{"a": "b"}', /JSON, but holds no table/],
    ["half.json", '{"a": [', /JSON, but holds no table/],
    ["model.onnx", (await fixture("tf2onnx_cnn", "model.onnx")).bytes, /The table /],
    ["far.json", '{"input": [4000]}', /not between -100 and 100/],
  ];
  for (const [name, bytes, sentence] of cases) {
    await p.drop(zone, [{ name, bytes: Buffer.from(bytes) }]);
    await alert.filter({ hasText: name }).waitFor();
    assert.match(await alert.innerText(), sentence);
  }
  await p.screenshots("table-refused");
  // What was there stays.
  assert.equal(await p.page.locator("#table").count(), 0);
  assert.ok(await p.page.getByLabel("Calibration method").isEnabled());
}

export async function anotherModelTakesItIfItFits(p) {
  await open(p, "tf2onnx_cnn");
  const table = await fixture("tf2onnx_cnn", "exponents_int8_per-channel_minmax.json");
  await p.drop(zone, [table]);
  await p.page.locator("#table").filter({ hasText: "per-channel" }).waitFor();
  const replace = "Drop another ONNX file to replace it";
  await p.drop(replace, [{ name: "again.onnx", bytes: (await fixture("tf2onnx_cnn", "model.onnx")).bytes }]);
  await p.page.locator("dd", { hasText: "again.onnx" }).waitFor();
  assert.equal(await p.page.locator("#table").count(), 1);
  await p.drop(replace, [await fixture("mlp", "model.onnx")]);
  await p.page.getByRole("alert").filter({ hasText: "doesn't fit this model and was put away" }).waitFor();
  assert.equal(await p.page.locator("#table").count(), 0);
}
