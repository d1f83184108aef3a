// A model with several inputs: read from one .npz or from a file for each input, measured, downloaded and run.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";
import { unzip } from "../unzip.mjs";

const model = async () => ({
  name: "sum_of_three.onnx",
  bytes: await readFile(join(root, "tests/fixtures/nodes/sum_of_three/model.onnx")),
});
const first = "Drop an array for each input here";
const again = "Drop other files to replace them";
const COUNT = 12;
const SIZE = 10;

/** Sample `i` of input `k`. The input numbered i mod 3 has a peak in it, at the sample's class. */
const value = (k, i, at) => ((k * 5 + i * 3 + at) % 7) / 16 + (k === i % 3 && at === classOf(i) ? 3 : 0);
const classOf = (i) => (i * 7) % SIZE;

const floats = (k, count = COUNT) => {
  const values = Float32Array.from({ length: count * SIZE }, (_, j) => value(k, Math.floor(j / SIZE), j % SIZE));
  return npy("<f4", [count, 2, 5], Buffer.from(values.buffer));
};
const labels = () => npy("<i4", [COUNT], Buffer.from(Int32Array.from({ length: COUNT }, (_, i) => classOf(i)).buffer));

export async function oneArchive(p) {
  await p.open();
  await p.drop("Drop an ONNX file here", [await model()]);
  const zone = p.page.getByRole("group", { name: first });
  await zone.waitFor();
  assert.match(await zone.innerText(), /the arrays i0, i1 and i2 \(or x_0, x_1, … in this order\)/);
  // In another order than the model's: names decide.
  const archive = zip({ "i2.npy": floats(2), "y.npy": labels(), "i0.npy": floats(0), "i1.npy": floats(1) });
  await p.drop(first, [{ name: "data.npz", bytes: archive }]);
  await p.page.locator("#values").waitFor();
  const facts = await p.section("Calibration images").innerText();
  for (const words of [/12[^]*i0: 2×5[^]*i1: 2×5[^]*i2: 2×5/, /10 classes/, /i0: as in the arrays/]) {
    assert.match(facts, words);
  }
  await p.screenshots("several");
  await p.quantize();
  // The peak is larger than what the other inputs add: the label is the largest sum in both models.
  const results = await p.text("#results");
  assert.match(results, /100(\.0+)? ?%/);
  const report = JSON.parse((await p.download("Download report.json")).toString());
  for (const name of ["i0", "i1", "i2"]) assert.equal(report.tensors[name].length, 1);
  assert.ok((await p.download("Download model.fxp")).length > 100);
  await p.button("Try it on a virtual board").click();
  await p.page.locator("#verdict").waitFor();
  assert.match(await p.text("#verdict"), /Equal bit for bit with the simulator: (\d+) of \1/);
  assert.match(await p.text("#verdict"), /(\d+) of \1 answers are right/);
}

export async function aFileForEachInputAndPixels(p) {
  await p.open();
  await p.drop("Drop an ONNX file here", [await model()]);
  const bytes = Buffer.from(Array.from({ length: COUNT * SIZE }, (_, j) => (j * 29) % 256));
  const files = [
    { name: "i0.npy", bytes: npy("|u1", [COUNT, 2, 5], bytes) },
    { name: "i1.npy", bytes: floats(1) },
    { name: "i2.npy", bytes: floats(2) },
  ];
  await p.drop(first, files);
  await p.page.locator("#values").filter({ hasText: "i0: as in the arrays" }).waitFor();
  assert.match(await p.section("Calibration images").innerText(), /i0\.npy: uint8 values are used as they are, 0 to 255/);
  await p.page.locator("summary").filter({ hasText: "Values of input i0: as they are" }).click();
  await p.page.locator("#pre-0-arrays").selectOption("uint8 arrays only");
  await p.page.locator("#values").filter({ hasText: "i0: pixel / 255" }).waitFor();
  assert.match(await p.text("#values"), /i1: as in the arrays/);
  const rewritten = async (field, text, rule) => {
    await p.page.locator(`#pre-0-${field}`).fill(text);
    await p.page.locator(`#pre-0-${field}`).press("Tab");
    await p.page.locator("#values").filter({ hasText: `i0: ${rule}` }).waitFor();
  };
  await rewritten("scale", "1/128", "pixel / 128");
  await rewritten("mean", "1", "pixel / 128 - 1");
  await p.quantize();
  await p.button("Try it on a virtual board").click();
  await p.page.locator("#verdict").waitFor();
  assert.match(await p.text("#verdict"), /Equal bit for bit with the simulator: (\d+) of \1/);
}

export async function arraysThatDoNotFit(p) {
  await p.open();
  await p.drop("Drop an ONNX file here", [await model()]);
  const said = async (zone, files, words) => {
    await p.drop(zone, files);
    const alert = p.section("Calibration images").getByRole("alert").filter({ hasText: words });
    await alert.waitFor();
    assert.match(await alert.innerText(), /These files give no samples/);
    assert.match(await alert.innerText(), /x_0, x_1 and so on in the model's order/);
  };
  await said(first, [{ name: "a.npz", bytes: zip({ "i0.npy": floats(0), "z.npy": floats(1) }) }], "'i1' (an array of N x 2x5)");
  const three = (last) => [{ name: "a.npz", bytes: zip({ "x_0.npy": floats(0), "x_1.npy": floats(1), "x_2.npy": last }) }];
  await said(first, three(npy("<f4", [COUNT, 2, 4], Buffer.alloc(COUNT * 32))), "(input 'i2') holds an array of shape 12x2x4");
  await said(first, three(floats(2, 5)), "every input needs as many");
  assert.ok(await p.button("Quantize").isDisabled());
  // What fits is taken after that; what is wrong then leaves it there.
  await p.drop(first, three(floats(2)));
  await p.page.locator("#values").waitFor();
  await said(again, [{ name: "x.npy", bytes: floats(0) }], "the model has 3 inputs");
  assert.ok(await p.button("Quantize").isEnabled());
}

export async function thePackage(p) {
  await p.open();
  const { sums, answer, refused } = await p.page.evaluate(
    async ({ model, files }) => {
      const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const { Model, Samples, Simulator, init, quantize } = await import("/package/index.js");
      await init();
      const opened = Model.fromOnnx(bytes(model));
      const inputs = opened
        .inspect()
        .inputs.map(({ name, dims }) => ({ name, dims, preprocess: Samples.defaultPreprocess(Uint32Array.from(dims)) }));
      const samples = Samples.loadSeveral(files.map(({ path, base64 }) => ({ path, bytes: bytes(base64) })), inputs, 0);
      const quantized = quantize(opened, samples, { bits: "int16" });
      const simulator = new Simulator(quantized.image);
      const values = inputs.map((_, k) => samples.values(1, k));
      const [output] = simulator.runRaw(values);
      let refused = "";
      try {
        simulator.runRaw(values[0]);
      } catch (error) {
        refused = error.code;
      }
      const sums = [...values[0]].map((_, at) => values.reduce((sum, one) => sum + one[at], 0));
      return { sums, answer: output.data.map((v) => v * 2 ** output.exponent), refused };
    },
    {
      model: (await model()).bytes.toString("base64"),
      files: [0, 1, 2].map((k) => ({ path: `x_${k}.npy`, base64: floats(k).toString("base64") })),
    },
  );
  sums.forEach((sum, at) => assert.ok(Math.abs(sum - answer[at]) < 0.001, `${sum} ${answer[at]}`));
  assert.equal(refused, "simulate");
}

function npy(type, dims, data) {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${dims.map((dim) => `${dim},`).join(" ")}), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n";
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from("\x93NUMPY\x01\x00", "latin1"), length, Buffer.from(header, "latin1"), data]);
}

/** The archive's checksum, bit by bit. */
function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** An archive of `files`, not compressed; {@link unzip} is its other half. */
function zip(files) {
  const parts = [];
  const entries = [];
  let at = 0;
  for (const [name, data] of Object.entries(files)) {
    const sizes = Buffer.alloc(12);
    sizes.writeUInt32LE(crc32(data));
    sizes.writeUInt32LE(data.length, 4);
    sizes.writeUInt32LE(data.length, 8);
    const common = Buffer.concat([Buffer.from([20, 0, 0, 0, 0, 0, 0, 0, 0, 0]), sizes, Buffer.from([name.length, 0, 0, 0])]);
    const place = Buffer.alloc(4);
    place.writeUInt32LE(at);
    entries.push(Buffer.from("PK\x01\x02\x14\x00"), common, Buffer.alloc(10), place, Buffer.from(name));
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), data]);
    parts.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  const archive = Buffer.concat([...parts, directory, end]);
  assert.deepEqual(Object.keys(unzip(archive)), Object.keys(files));
  return archive;
}
