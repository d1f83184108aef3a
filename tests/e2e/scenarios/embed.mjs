// The page inside another site, and under a strict policy.
import assert from "node:assert/strict";

const frameOf = (p) => p.page.frameLocator("fixpoint-app iframe");

async function openDocs(p) {
  const response = await p.page.goto(`${p.otherOrigin}/docs/docs.html`);
  assert.match(response.headers()["content-security-policy"], /^default-src 'none'/);
  assert.notEqual(new URL(p.page.url()).origin, p.origin, "the docs are another site");
}

export async function insideAnotherSite(p) {
  await openDocs(p);
  const frame = frameOf(p);
  // The model and the images were named by attributes; the data step is hidden.
  await frame.getByText("digits-cnn.onnx").first().waitFor();
  const quantize = frame.getByRole("button", { name: "Quantize", exact: true });
  await quantize.and(frame.locator(":enabled")).waitFor();
  assert.equal(await frame.getByRole("region", { name: "Calibration images" }).count(), 0);
  assert.equal(await frame.getByText("Nothing leaves this computer").count(), 0, "the masthead is the site's business");
  assert.equal(await frame.getByRole("navigation", { name: "Steps" }).getByRole("link").count(), 3);
  // The steps that are there are counted, and spoken of as they are numbered.
  assert.deepEqual(await frame.locator(".numeral").allInnerTexts(), ["1", "2", "3"]);
  await frame.getByText("Needs a quantized model from step 2.").waitFor();
  await quantize.click();
  await frame.locator("#results").waitFor();
  await frame.getByRole("button", { name: "Try it on a virtual board" }).click();
  await frame.locator("#verdict").filter({ hasText: "Equal bit for bit with the simulator: 10 of 10" }).waitFor();
  await frame.getByRole("button", { name: "Disconnect" }).waitFor();

  // The frame is as tall as what is in it, and may use serial ports.
  const inner = p.page.frames().find((f) => f.url().startsWith(p.origin));
  assert.ok(await inner.evaluate(() => document.featurePolicy.allowsFeature("serial")), 'allow="serial" reaches the frame');
  await p.page.waitForFunction(
    (height) => Math.abs(document.querySelector("fixpoint-app iframe").clientHeight - height) <= 1,
    await inner.evaluate(() => document.body.clientHeight),
  );
  await p.screenshots("8-embedded");
}

export async function aMissingFileIsSaid(p) {
  await openDocs(p);
  await p.page.evaluate(() => {
    document.querySelector("fixpoint-app").remove();
    const app = document.createElement("fixpoint-app");
    app.setAttribute("model", "samples/nowhere.onnx");
    app.setAttribute("hide", "model");
    document.body.append(app);
  });
  const alert = frameOf(p).getByRole("alert");
  await alert.filter({ hasText: "nowhere.onnx could not be fetched: the server answered 404" }).waitFor();
  // The browser itself notes the answer on the console.
  assert.equal(p.problems.length, 1);
  assert.match(p.problems.pop(), /404/);
}

export async function strictPolicy(p) {
  const response = await p.page.goto(`${p.origin}/strict/`);
  assert.match(response.headers()["content-security-policy"], /script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:/);
  await p.useSample();
  await p.quantize();
  await p.button("Try it on a virtual board").click();
  await p.page.locator("#verdict").waitFor();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /10 of 10/);
}
