// Bad input: the page says what is wrong and what to do, and goes on.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";
import { npy, onnx } from "../onnx.mjs";

const samples = join(root, "web/public/samples");
const zone = "Drop an ONNX file here";

const alert = (p, text) => p.page.getByRole("alert").filter({ hasText: text });

export async function notAnOnnxFile(p) {
  await p.open();
  await p.drop(zone, [{ name: "notes.onnx", bytes: Buffer.from("this is not a model, it is a note") }]);
  await alert(p, "not an ONNX file").waitFor();
  await p.drop(zone, [{ name: "empty.onnx", bytes: Buffer.alloc(0) }]);
  await alert(p, "empty.onnx can't be used").waitFor();
  await p.screenshots("error-not-onnx");
  await p.useSample();
  assert.equal(await alert(p, "can't be used").count(), 0);
}

export async function unsupportedOperator(p) {
  await p.open();
  const model = onnx({ op: "Bogus", name: "strange node" });
  await p.drop(zone, [{ name: "strange.onnx", bytes: model }]);
  await alert(p, "can't be quantized as it is").filter({ hasText: "Bogus" }).waitFor();
  assert.ok(await p.button("Quantize").isDisabled());
  await p.screenshots("error-unsupported");
}

export async function emptyZipAndWrongShape(p) {
  await p.open();
  await p.choose("Model", "Choose an ONNX file", join(samples, "digits-cnn.onnx"));
  const images = "Drop images, a folder, a zip or arrays here";
  await p.drop(images, [{ name: "empty.zip", bytes: Buffer.from("504b0506" + "00".repeat(18), "hex") }]);
  await alert(p, "These files give no samples").waitFor();
  await p.drop(images, [{ name: "photo.png", bytes: Buffer.from("89504e470d0a1a0a", "hex") }]);
  await alert(p, "photo.png").waitFor();
  await p.drop(images, [{ name: "wrong.npy", bytes: npy([4, 7, 7]) }]);
  await alert(p, "7").waitFor();
  await p.screenshots("error-samples");
  await p.drop(images, [{ name: "digits.npz", bytes: await readFile(join(samples, "digits-calib.npz")) }]);
  await p.page.getByText("each 1×1×28×28").waitFor();
  assert.equal(await alert(p, "no samples").count(), 0);
}

export async function withoutWebSerial(p) {
  await p.page.addInitScript(() => Object.defineProperty(navigator, "serial", { value: undefined }));
  await p.open();
  await p.page.getByText("This browser can't reach serial ports").waitFor();
  assert.ok(await p.button("Connect & Flash").isDisabled());
  await p.useSample();
  await p.quantize();
  assert.ok(await p.button("Try it on a virtual board").isEnabled());
  await p.screenshots("error-no-serial");
}
