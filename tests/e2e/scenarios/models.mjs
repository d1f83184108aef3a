// Whole networks in the browser: quantized in 8 and in 16 bits, flashed to the virtual board, and run
// there with the simulator's bits. The page's own samples always, the public models where they are.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { needs, root, shared } from "../bench.mjs";
import { unzip } from "../unzip.mjs";

const samples = join(root, "web/public/samples");
const models = join(shared, "data/models");
/** Of a network's calibration samples, for time's sake. */
const CALIBRATION = 8;

export async function samplesOfThePage(p) {
  const names = (await readdir(samples)).filter((name) => name.endsWith(".onnx")).sort();
  assert.ok(names.length > 0);
  for (const name of names) {
    await p.open();
    await runs(p, join(samples, name), join(samples, `${name.split("-")[0]}-calib.npz`));
  }
}

/** A 1-D network, whose samples are the inputs of its reference. */
export async function streamingNetwork(p) {
  const inputs = unzip(await readFile(needs(join(models, "espdl_stream/ref.npz"), "shared/")));
  const parts = Object.keys(inputs).filter((name) => name.startsWith("in")).map((name) => floats(inputs[name]));
  await publicModel(p, "espdl_stream", npy([parts.length, 16, 24], Buffer.concat(parts)));
}

export const resnet8 = (p) => publicModel(p, "mlperf_ic_resnet8");

export const keywordSpotting = (p) => publicModel(p, "mlperf_kws_dscnn");

/** There are no samples of it: waves take their place. */
export async function visualWakeWords(p) {
  const dims = [CALIBRATION, 3, 96, 96];
  const values = new Float32Array(dims.reduce((a, b) => a * b));
  for (let i = 0; i < values.length; i++) values[i] = 0.5 + 0.5 * Math.sin(i * 0.013 * (1 + Math.floor(i / 27_648)));
  await publicModel(p, "mlperf_vww_mobilenet", npy(dims, Buffer.from(values.buffer)));
}

export const textDirection = (p) => publicModel(p, "pp_ocr_cls");

/** Too large for internal memory: it runs partly from PSRAM, and its first layers in strips. */
export async function faceDetector(p) {
  await publicModel(p, "ulf_slim_320", undefined, layersInStrips);
  assert.match(await p.text("#arena-place"), /runs partly from PSRAM, slower/);
}

/** They are shown, timed and compared as the layers that they are. */
async function layersInStrips(p, bits) {
  assert.match(await p.text("#strips-note"), /a few rows at a time/);
  const layers = (await p.page.locator("#layers tbody tr").count()) - 1;
  if (bits === 16) return;
  await p.page.getByText("Estimated cycles and bits of each layer").click();
  await p.button("Compare every layer with the simulator").click();
  await p.page.locator("#layers-verdict").waitFor();
  assert.equal((await p.text("#layers-verdict")).trim(), `✓ All ${layers} layers equal`);
  const rows = p.page.getByLabel("Cycles of each layer").locator("tbody tr");
  assert.equal(await rows.count(), layers);
  assert.match(await rows.first().innerText(), /^Conv_0\s+Conv in strips/);
}

/** `calibration`: a .npy; without it the first of calib.npz. `look`: at what the page shows with each width. */
async function publicModel(p, name, calibration, look) {
  const folder = needs(join(models, name), "shared/");
  calibration ??= await first(join(folder, "calib.npz"));
  await p.open();
  await runs(p, join(folder, "model.onnx"), { name: "calib.npy", mimeType: "application/octet-stream", buffer: calibration }, look);
}

async function runs(p, model, calibration, look = async () => {}) {
  assert.ok(existsSync(model), model);
  // The float model, the simulator and the emulator take their time with these.
  p.page.setDefaultTimeout(300_000);
  await p.choose("Model", "Choose an ONNX file", model);
  await p.page.getByText("Drop images, a folder, a zip or arrays here").waitFor();
  await p.choose("Calibration images", "Choose files", calibration);
  await p.button("Quantize").and(p.page.locator(":enabled")).waitFor();
  await p.page.getByText("Settings", { exact: true }).click();
  await p.page.getByLabel("Test images").fill("1");
  await p.page.getByLabel("Test images").press("Tab");
  for (const bits of [8, 16]) {
    await p.page.getByLabel(`${bits} bits`).check();
    await p.quantize();
    await p.button("Try it on a virtual board").click();
    await p.page.locator("#verdict").waitFor();
    assert.match(await p.text("#verdict"), /Equal bit for bit with the simulator: 1 of 1/, `${model} in ${bits} bits`);
    await look(p, bits);
    await p.button("Disconnect").click();
    await p.button("Disconnect").waitFor({ state: "detached" });
  }
}

/** The first samples of an .npz's `x`, float32, as a .npy. */
async function first(path) {
  const x = unzip(await readFile(path))["x.npy"];
  const [, text] = /'shape': \(([^)]*)\)/.exec(x.subarray(0, 200).toString("latin1"));
  const dims = text.split(",").filter((dim) => dim.trim() !== "").map(Number);
  dims[0] = Math.min(dims[0], CALIBRATION);
  const bytes = dims.reduce((a, b) => a * b) * 4;
  return npy(dims, floats(x).subarray(0, bytes));
}

/** The data of a .npy of version 1 with little-endian float32. */
function floats(file) {
  const start = 10 + file.readUInt16LE(8);
  assert.match(file.subarray(10, start).toString("latin1"), /'<f4', 'fortran_order': False/);
  return file.subarray(start);
}

function npy(dims, data) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(", ")},), }`;
  const header = Buffer.from(`${text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11)}\n`, "latin1");
  const head = Buffer.from("\x93NUMPY\x01\x00\0\0", "latin1");
  head.writeUInt16LE(header.length, 8);
  return Buffer.concat([head, header, data]);
}
