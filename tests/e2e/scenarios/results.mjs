// What the page says about a model and its layers, and the files it gives.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import { needs, root } from "../bench.mjs";
import { unzip } from "../unzip.mjs";

const fixture = (net, file) => join(root, "tests/fixtures", net, file);

async function load(p, net, calibration) {
  await p.open();
  await p.choose("Model", "Choose an ONNX file", fixture(net, "model.onnx"));
  await p.page.getByText("Drop images, a folder, a zip or arrays here").waitFor();
  await p.choose("Calibration images", "Choose files", fixture(net, calibration));
  await p.button("Quantize").and(p.page.locator(":enabled")).waitFor();
}

export async function passesBeforeAndAfter(p) {
  await load(p, "tf2onnx_cnn", "calib.npy");
  const summary = p.page.locator("summary", { hasText: "Optimizer," });
  const [, before, after] = /(\d+) → (\d+) nodes/.exec(await summary.innerText());
  await summary.click();
  const rows = await p.table("passes");
  assert.ok(rows.length >= 3, JSON.stringify(rows));
  assert.equal(rows[0]["Nodes before"], before);
  assert.equal(rows.at(-1)["Nodes after"], after);
  for (const row of rows) assert.ok(Number(row["Nodes after"]) <= Number(row["Nodes before"]), JSON.stringify(row));
  assert.ok(rows.some((row) => Number(row["Nodes after"]) < Number(row["Nodes before"])));
  // Each says what it changed, on demand.
  const first = p.page.locator("#passes tbody tr").first();
  assert.equal(await first.locator("li").first().isVisible(), false);
  await first.locator("summary").click();
  assert.ok((await first.locator("li").first().innerText()).length > 5);
  await p.screenshots("1-passes");
}

export async function layersThatLoseAccuracy(p) {
  await p.open();
  await p.useSample();
  await p.page.getByLabel("One exponent per layer").check();
  await p.quantize();
  const report = JSON.parse(await p.download("Download report.json"));
  const chart = p.page.getByRole("img", { name: "SQNR and saturation, layer by layer" });
  const known = report.layers.filter((layer) => layer.sqnr_db !== null);
  const worst = known.reduce((a, b) => (b.sqnr_db < a.sqnr_db ? b : a));
  assert.ok((await chart.locator("desc").textContent()).includes(`${worst.sqnr_db.toFixed(1)} dB, in ${worst.name}`));
  assert.equal(await chart.locator(".dot, .poor").count(), known.length, "a point for each layer");

  // The layer with the largest fall in SQNR is the first that is named.
  const sqnr = Object.fromEntries(report.layers.map((layer) => [layer.output, layer.sqnr_db]));
  const fall = (layer) => Math.min(...layer.inputs.filter((name) => name in sqnr).map((name) => sqnr[name])) - layer.sqnr_db;
  const saturated = report.layers.filter((layer) => layer.saturation >= 0.001);
  assert.deepEqual(saturated, [], "min-max clips nothing");
  const deepest = report.layers.filter((layer) => Number.isFinite(fall(layer))).reduce((a, b) => (fall(b) > fall(a) ? b : a));
  const advice = p.page.locator("#advice li");
  const text = await advice.first().innerText();
  assert.ok(text.includes(deepest.name) && text.includes(`loses ${fall(deepest).toFixed(1)} dB`), text);
  assert.ok(text.includes(deepest.op === "Gemm" ? "16 bits" : "its own weight exponent"), text);
  const rows = await p.table("layers");
  assert.deepEqual(
    rows.slice(1).map((row) => row["SQNR (dB)"]),
    report.layers.map((layer) => (layer.sqnr_db === null ? "exact" : layer.sqnr_db.toFixed(1))),
  );

  await p.page.getByLabel("16 bits").check();
  await p.quantize();
  await p.page.getByText("No layer stands out").waitFor();
}

export async function defaultsAreTheEngines(p) {
  await p.open();
  const method = p.page.getByLabel("Calibration method");
  await p.page.waitForFunction(() => document.querySelector('input[name="bits"]:checked') !== null);
  const chosen = await p.page.evaluate(async () => {
    const { init, options } = await import("/package/index.js");
    await init();
    return [options({}), options({ bits: "int16" })];
  });
  const words = { minmax: "Min-max", mse: "Least squares (MSE)", entropy: "Entropy", percentile: "Percentile" };
  const shown = () => method.evaluate((select) => select.selectedOptions[0].textContent);
  assert.equal(await shown(), words[chosen[0].method]);
  await p.page.getByLabel("16 bits").check();
  await p.page.waitForFunction(
    (word) => document.querySelector("#method").selectedOptions[0].textContent === word,
    words[chosen[1].method],
  );
}

export async function projectAsTheToolkitWritesIt(p) {
  await load(p, "mlp", "input.npy");
  await p.page.getByLabel("One exponent per layer").check();
  await p.quantize();
  await p.page.getByText("For ESP-DL projects").click();
  const name = p.page.getByLabel("Name of the files and the class");
  for (const chip of ["esp32s3", "esp32c3"]) {
    await p.page.getByLabel("Chip", { exact: true }).selectOption({ label: { esp32s3: "ESP32-S3", esp32c3: "ESP32-C3" }[chip] });
    const files = `coef_int8_per_tensor_${chip}`;
    await name.fill(files);
    await name.press("Tab");
    const made = unzip(await p.download("Download ESP-DL project"));
    const wanted = gunzipSync(await readFile(fixture("mlp", `${files}.cpp.gz`)));
    assert.ok(made[`${files}.cpp`].equals(wanted), `${files}.cpp of ${Object.keys(made)}`);
    assert.ok(made[`${files}.hpp`].equals(await readFile(fixture("mlp", `${files}.hpp`))), `${files}.hpp`);
    assert.ok(Object.keys(made).length > 2, "the model's class and a program are there too");
  }
  const table = JSON.parse((await p.download("Download table.json")).toString());
  assert.deepEqual(table, JSON.parse(await readFile(fixture("mlp", "exponents_int8_per-tensor_minmax.json"), "utf8")));
  const pickle = await p.download("Download table.pickle");
  assert.equal(pickle[0], 0x80);
  for (const tensor of Object.keys(table)) assert.ok(pickle.includes(tensor), `${tensor} in the pickle`);
  assert.ok((await p.download("Download the log")).length > 100);

  // The model of the results is no longer the open one.
  await p.page.getByLabel("16 bits").check();
  await p.page.locator("#results").getByText("Out of date").waitFor();
  assert.ok(await p.button("Download ESP-DL project").isDisabled());
  await name.fill("1 two");
  await name.press("Tab");
  assert.equal(await name.evaluate((input) => input.validity.valid), false);
}

export async function flashFilesAsTheCommandLineWritesThem(p) {
  const program = needs(process.env.FIXPOINT ?? join(root, "target/debug/fixpoint"), "the command line (target/debug/fixpoint)");
  await load(p, "mlp", "input.npy");
  await p.quantize();
  await p.page.getByText("For other flashing tools").click();
  const folder = mkdtempSync(join(tmpdir(), "fixpoint-e2e-"));
  writeFileSync(join(folder, "model.fxp"), await p.download("Download model.fxp"));
  for (const title of ["Fixpoint", "Reading digits"]) {
    await p.page.getByLabel("Name on the install button's page").fill(title);
    await p.page.getByLabel("Name on the install button's page").press("Tab");
    const zip = unzip(await p.download("Download ESP Web Tools zip"));
    const merged = await p.download("Download flash.bin");
    const out = join(folder, title);
    execFileSync(program, ["export-flash", "--model", join(folder, "model.fxp"), "--name", title, "--out", out], { stdio: "pipe" });
    for (const [name, bytes] of Object.entries(zip)) assert.ok(bytes.equals(readFileSync(join(out, name))), `${title}: ${name}`);
    assert.ok(merged.equals(readFileSync(join(out, "flash.bin"))), `${title}: flash.bin`);
    assert.deepEqual([...Object.keys(zip), "flash.bin"].sort(), readdirSync(out).sort());

    // The two say the same: every part of the manifest is in the merged image, at its place.
    const manifest = JSON.parse(zip["manifest.json"]);
    assert.equal(manifest.name, title);
    const [build] = manifest.builds;
    assert.equal(build.chipFamily, "ESP32-S3");
    assert.equal(build.parts.length, Object.keys(zip).length - 1);
    for (const { path, offset } of build.parts) {
      assert.ok(merged.subarray(offset, offset + zip[path].length).equals(zip[path]), path);
    }
  }
  await p.screenshots("3-files");
}
