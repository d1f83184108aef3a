// The page with a scripted `navigator.serial` and a quantized sample, one test image per run.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

export const script = { path: fileURLToPath(new URL("scripted-serial.js", import.meta.url)) };

export async function ready(p) {
  await p.page.addInitScript(script);
  await p.open();
  await p.useSample();
  await p.quantize();
  await p.page.getByText("Settings", { exact: true }).click();
  await p.page.getByLabel("Test images").fill("1");
  await p.page.getByLabel("Test images").press("Tab");
}

export const alert = (p) => p.page.getByRole("alert");
export const drawing = (p) => p.page.getByRole("img", { name: "The buttons BOOT and RESET" });
export const log = (p) => p.page.evaluate(() => globalThis.scripted.log);

/** Another board, or the same one (`keep`) in another state. */
export const board = (p, options, keep = false) =>
  p.page.evaluate(([o, k]) => globalThis.scripted.board(o, k), [options, keep]);

/** How the port behaves from now on; see scripted-serial.js. */
export const rules = (p, changes) => p.page.evaluate((c) => void Object.assign(globalThis.scripted.rules, c), changes);

export const connect = (p) => p.button("Connect & Flash").click();

/** Until the image has run and the buttons are back. */
export async function ran(p) {
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /1 of 1/);
}

/** The next attempt, on the same page: everything works, nothing reminds of the failure. */
export async function succeeds(p, name) {
  await connect(p);
  // What a cancelled run has shown may still be there at this moment.
  await alert(p).waitFor({ state: "detached" });
  await p.page.locator("#verdict").filter({ hasText: "1 of 1" }).waitFor();
  await ran(p);
  assert.equal(await alert(p).count(), 0, `${name}: the old failure is gone`);
  await p.button("Disconnect").click();
  await p.button("Disconnect").waitFor({ state: "detached" });
}
