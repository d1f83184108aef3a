// The real button, over a `navigator.serial` that a virtual board stands behind.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const script = { path: fileURLToPath(new URL("../scripted-serial.js", import.meta.url)) };

async function ready(p) {
  await p.page.addInitScript(script);
  await p.open();
  await p.useSample();
  await p.quantize();
}

const log = (p) => p.page.evaluate(() => globalThis.scripted.log);

export async function connectFlashAndRun(p) {
  await ready(p);
  await p.button("Connect & Flash").click();
  await p.page.locator("#verdict").waitFor();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /Equal bit for bit with the simulator: 10 of 10/);
  const segments = await p.page.locator(".segments li").allInnerTexts();
  for (const name of ["bootloader", "partition table", "runtime", "model"]) {
    assert.ok(segments.some((text) => text.startsWith(name) && text.includes("verified")), `${name} in ${segments}`);
  }
  const lines = await log(p);
  assert.equal(lines[0], "request 4 filters");
  assert.equal(lines[1], "open 115200");
  assert.ok(lines.includes("dtr 1 rts 0"), "IO0 low while the chip starts");
  // What step 3 promised is what the runtime has.
  const room = Number(/(\d+) KiB$/.exec(await p.text("#arena-bytes + dd"))[1]);
  const given = Number(/arena (\d+) bytes/.exec(await p.page.locator("pre.console").textContent())[1]);
  assert.ok(given >= room * 1024, `${given} bytes for tensors, ${room} KiB promised`);
  await p.page.getByText("Console", { exact: true }).click();
  assert.ok((await p.text("pre.console")).length > 0, "the boot log is shown");
  await p.screenshots("5-board");

  // The same again: everything is there already.
  await p.button("Flash again").click();
  await p.button("Disconnect").waitFor();
  const again = await p.page.locator(".segments li").allInnerTexts();
  assert.ok(again.length === segments.length && again.every((text) => text.includes("already there")), again.join("; "));
  assert.match(await p.text("#verdict"), /10 of 10/);

  await p.button("Disconnect").click();
  await p.button("Disconnect").waitFor({ state: "detached" });
  assert.equal((await log(p)).at(-1), "close");
}

export async function noPortChosen(p) {
  await p.page.addInitScript(() => void (globalThis.scriptedChoice = "none"));
  await ready(p);
  await p.button("Connect & Flash").click();
  await p.page.getByRole("alert").filter({ hasText: "No port was chosen" }).waitFor();
  assert.ok(await p.button("Connect & Flash").isEnabled());
}

export async function wrongChip(p) {
  // 5 is the ESP32-C3.
  await p.page.addInitScript(() => void (globalThis.scriptedBoard = { chipId: 5 }));
  await ready(p);
  await p.button("Connect & Flash").click();
  await p.page.getByRole("alert").filter({ hasText: "ESP32-S3" }).waitFor();
  assert.equal((await log(p)).at(-1), "close");
  assert.ok(await p.button("Connect & Flash").isEnabled());
}

export async function unpluggedAndConnectedAgain(p) {
  await p.page.addInitScript(() => void (globalThis.scriptedDelay = 60));
  await ready(p);
  await p.button("Connect & Flash").click();
  await p.page.locator(".segments li").first().waitFor();
  await p.page.evaluate(() => globalThis.scripted.port.unplug());
  await p.page.getByRole("alert").filter({ hasText: "not flashed" }).waitFor();
  await p.page.evaluate(() => void (globalThis.scriptedDelay = 0));
  await p.button("Connect & Flash").click();
  await p.page.locator("#verdict").waitFor();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /10 of 10/);
}

export async function cancelAtAnyTime(p) {
  await ready(p);
  for (const after of [0, 150, 300, 600, 900]) {
    await p.button("Connect & Flash").click();
    await p.page.waitForTimeout(after);
    // It may be over by then; what counts is that the next attempt works.
    await p.button("Cancel").click({ timeout: 500 }).catch(() => {});
    await p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
  }
  await p.button("Connect & Flash").click();
  // An attempt that was cancelled between two images leaves its own verdict until this one is there.
  await p.page.locator("#verdict").filter({ hasText: "10 of 10" }).waitFor();
}

export async function cancelWhileFlashing(p) {
  await p.page.addInitScript(() => void (globalThis.scriptedDelay = 60));
  await ready(p);
  await p.button("Connect & Flash").click();
  await p.page.locator(".segments li").first().waitFor();
  await p.button("Cancel").click();
  await p.page.getByRole("alert").filter({ hasText: "Cancelled" }).waitFor();
  assert.equal(await p.page.getByText("Flashed and verified").count(), 0);
  await p.page.evaluate(() => void (globalThis.scriptedDelay = 0));
  await p.button("Connect & Flash").click();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /10 of 10/);
}
