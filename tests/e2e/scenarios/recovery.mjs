// Every way in which the virtual board can go wrong: the page says what happened, and the next
// attempt succeeds without a reload.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const script = { path: fileURLToPath(new URL("../scripted-serial.js", import.meta.url)) };

const alert = (p) => p.page.getByRole("alert");
const drawing = (p) => p.page.getByRole("img", { name: "The buttons BOOT and RESET" });

async function ready(p) {
  await p.page.addInitScript(script);
  await p.open();
  await p.useSample();
  await p.quantize();
  await p.page.getByText("Settings", { exact: true }).click();
  await p.page.getByLabel("Test images").fill("1");
  await p.page.getByLabel("Test images").press("Tab");
}

/** Another board, or the same one (`keep`) in another state. */
const board = (p, options, keep = false) => p.page.evaluate(([o, k]) => globalThis.scripted.board(o, k), [options, keep]);

const connect = (p) => p.button("Connect & Flash").click();

async function succeeds(p, name) {
  await connect(p);
  await p.page.locator("#verdict").filter({ hasText: "1 of 1" }).waitFor();
  await p.button("Disconnect").waitFor();
  assert.equal(await alert(p).count(), 0, `${name}: the old failure is gone`);
  await p.button("Disconnect").click();
  await p.button("Disconnect").waitFor({ state: "detached" });
}

/** What each must be called on the page, and whether pressing buttons is the advice. */
const failures = [
  { name: "mute", options: { faults: [{ fault: "mute" }] }, says: /sends nothing/, drawn: true },
  { name: "no automatic reset", options: { bootMode: "no-auto-reset" }, says: /hold BOOT, tap RESET/, drawn: true },
  { name: "another chip", options: { chipId: 5 }, says: /ESP32-C3.*for the ESP32-S3/s },
  { name: "secure boot", options: { securityFlags: 1 }, says: /Secure boot is on/ },
  { name: "secure download", options: { securityFlags: 4 }, says: /Secure download mode/ },
  { name: "encrypted", options: { flashCryptCnt: 1 }, says: /Flash encryption is on/ },
  { name: "small flash", options: { flashBytes: 256 * 1024 }, says: /the flash has only/ },
  { name: "cable pulled", options: { faults: [{ fault: "disconnect-after", bytes: 20_000 }] }, says: /Plug the board in again/ },
];

export async function failRetrySucceed(p) {
  await ready(p);
  for (const { name, options, says, drawn = false } of failures) {
    await board(p, options);
    await connect(p);
    await alert(p).filter({ hasText: says }).waitFor();
    assert.equal(await drawing(p).count(), drawn ? 1 : 0, `${name}: drawing`);
    if (name === "mute") await p.screenshots("7-no-answer");
    await p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
    await board(p, {});
    await succeeds(p, name);
  }
}

/** Noise on the line is worked around, or named; never more. */
export async function noiseOnTheLine(p) {
  await ready(p);
  const faults = [
    { fault: "stub-does-not-start" },
    { fault: "flip-to-board", at: 12_000, mask: 4 },
    { fault: "drop-to-board", at: 30_000 },
    { fault: "flip-to-host", at: 900, mask: 1 },
    { fault: "drop-to-host", at: 700 },
  ];
  for (const fault of faults) {
    await board(p, { faults: [fault] });
    await connect(p);
    const end = alert(p).or(p.button("Disconnect"));
    await end.first().waitFor();
    if ((await alert(p).count()) === 0) {
      assert.match(await p.text("#verdict"), /1 of 1/, fault.fault);
      await p.button("Disconnect").click();
    }
    await p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
    await board(p, {}, true);
    await succeeds(p, fault.fault);
  }
}

/** A board whose buttons are its only reset: into the loader by hand, flashed, started by hand. */
export async function onlyByItsButtons(p) {
  await ready(p);
  await board(p, { bootMode: "no-auto-reset" });
  await connect(p);
  await alert(p).filter({ hasText: "hold BOOT, tap RESET" }).waitFor();
  assert.equal(await drawing(p).count(), 1);
  await board(p, { bootMode: "held-in-loader" }, true);
  await connect(p);
  await alert(p).filter({ hasText: "RESET" }).waitFor();
  await p.page.getByText("Flashed and verified").waitFor();
  assert.equal(await drawing(p).count(), 1, "RESET is drawn");
  await board(p, {}, true);
  await succeeds(p, "buttons");
}
