// Every way in which the virtual board and its port can go wrong: the page says what happened and what
// to do, and the next attempt on the same page succeeds.
import assert from "node:assert/strict";

import { tabTo } from "../keys.mjs";
import { npy, onnx } from "../onnx.mjs";
import { alert, board, connect, drawing, ran, ready, rules, script, succeeds } from "../scripted.mjs";

const faults = (...list) => ({ faults: list });

/** What each must be called on the page, and whether pressing buttons is the advice. */
const failures = [
  { name: "mute", options: faults({ fault: "mute" }), says: /The board sends nothing.*hold BOOT, tap RESET/s, drawn: true },
  { name: "no automatic reset", options: { bootMode: "no-auto-reset" }, says: /hold BOOT, tap RESET/, drawn: true },
  { name: "another chip", options: { chipId: 5 }, says: /ESP32-C3.*for the ESP32-S3.*Nothing was changed/s },
  { name: "secure boot", options: { securityFlags: 1 }, says: /Secure boot is on.*without this protection/s },
  { name: "secure download", options: { securityFlags: 4 }, says: /Secure download mode.*without this protection/s },
  { name: "encrypted", options: { flashCryptCnt: 1 }, says: /Flash encryption is on.*without this protection/s },
  { name: "small flash", options: { flashBytes: 256 * 1024 }, says: /needs a flash of at least.*has only 256 KiB.*a board with more flash/s },
  {
    name: "cable pulled",
    options: faults({ fault: "disconnect-after", bytes: 20_000 }),
    says: /closed or unplugged during.*Plug the board in again/s,
  },
  { name: "port busy", rules: { openFails: 1 }, says: /could not be opened.*Close other programs/s },
];

export async function failRetrySucceed(p) {
  await ready(p);
  for (const { name, options = {}, rules: changes = {}, says, drawn = false } of failures) {
    await board(p, options);
    await rules(p, changes);
    await connect(p);
    await alert(p).filter({ hasText: says }).waitFor();
    assert.equal(await drawing(p).count(), drawn ? 1 : 0, `${name}: drawing`);
    if (name === "mute") await p.screenshots("7-no-answer");
    await p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
    await board(p, {});
    await succeeds(p, name);
  }
}

/** What is Linux' alone is said there, and only there. */
export async function portBusyOnLinux(p) {
  const linux = process.platform === "linux";
  await ready(p);
  await rules(p, { openFails: 1 });
  await connect(p);
  await alert(p).filter({ hasText: "could not be opened" }).waitFor();
  assert.equal(/dialout/.test(await alert(p).innerText()), linux);
}

/** Noise on the line is worked around, or named; never more. */
export async function noiseOnTheLine(p) {
  await ready(p);
  const list = [
    { fault: "stub-does-not-start" },
    { fault: "flip-to-board", at: 12_000, mask: 4 },
    { fault: "drop-to-board", at: 30_000 },
    { fault: "duplicate-to-board", at: 15_000 },
    { fault: "flip-to-host", at: 900, mask: 1 },
    { fault: "drop-to-host", at: 700 },
    { fault: "duplicate-to-host", at: 800 },
    { fault: "delay-to-host", at: 1_000, ms: 1_500 },
    { fault: "hang-at", at: 20_000 },
  ];
  const ends = [];
  for (const fault of list) {
    await board(p, faults(fault));
    await connect(p);
    await alert(p).or(p.button("Disconnect")).first().waitFor();
    const failed = (await alert(p).count()) > 0;
    ends.push(`${fault.fault}: ${failed ? (await alert(p).innerText()).split("\n")[0] : "worked around"}`);
    if (!failed) {
      assert.match(await p.text("#verdict"), /1 of 1/, fault.fault);
      await p.button("Disconnect").click();
    }
    await p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
    await board(p, {}, true);
    await succeeds(p, fault.fault);
  }
  console.log(`         ${ends.join("; ")}`);
}

/** What the page shows while it can be cancelled, in the order it shows it. */
const stages = [
  "Opening the port",
  "Reaching the board's loader",
  "Reading which chip it is",
  "Starting the fast loader",
  "Comparing with what is on the board",
  "Writing",
  "Verifying what was written",
  "Restarting the board",
  "Waiting for the restarted board",
  "Test image 1 of 1",
];

export async function cancelInEveryStage(p) {
  await p.page.addInitScript(() => void (globalThis.scriptedDelay = 10));
  await ready(p);
  for (const stage of stages) {
    await board(p, {});
    // In the very moment the stage is shown.
    await p.page.evaluate((wanted) => {
      const seen = new MutationObserver(() => {
        const shown = [...document.querySelectorAll("#step-board .work .line span")].some((s) => s.textContent === wanted);
        const cancel = [...document.querySelectorAll("#step-board button")].find((b) => b.textContent.trim() === "Cancel");
        if (!shown || !cancel) return;
        seen.disconnect();
        cancel.click();
      });
      seen.observe(document.querySelector("fx-board-step"), { childList: true, subtree: true, characterData: true });
    }, stage);
    await connect(p);
    await alert(p).filter({ hasText: "Cancelled" }).waitFor();
    assert.equal(await drawing(p).count(), 0, stage);
    await p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
    await succeeds(p, stage);
  }
}

/** A failure, a cancellation and a success without a mouse: the focus stays among the buttons. */
export async function withoutAMouse(p) {
  await ready(p);
  const focus = () => p.page.evaluate(() => document.activeElement.textContent.trim());
  await board(p, { chipId: 5 });
  await tabTo(p, "Connect & Flash");
  await p.page.keyboard.press("Enter");
  await alert(p).filter({ hasText: "ESP32-C3" }).waitFor();
  await board(p, {});
  assert.equal(await focus(), "Connect & Flash");
  await p.page.evaluate(() => void (globalThis.scriptedDelay = 60));
  await p.page.keyboard.press("Enter");
  await p.page.locator(".segments li").first().waitFor();
  assert.equal(await focus(), "Cancel");
  await p.page.keyboard.press("Space");
  await alert(p).filter({ hasText: "Cancelled" }).waitFor();
  assert.equal(await focus(), "Connect & Flash");
  await p.page.evaluate(() => void (globalThis.scriptedDelay = 0));
  await p.page.keyboard.press("Enter");
  await ran(p);
  assert.equal(await focus(), "Connect & Flash");
  await tabTo(p, "Disconnect");
  await p.page.keyboard.press("Enter");
  await p.button("Disconnect").waitFor({ state: "detached" });
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
  await p.page.getByText("Flashed and verified").waitFor();
  await p.page.getByText("Tap RESET, and leave BOOT alone", { exact: true }).waitFor();
  await alert(p).filter({ hasText: "download mode" }).filter({ hasText: "Press RESET" }).waitFor();
  await board(p, {}, true);
  await succeeds(p, "buttons");
}

/** A cable that does not carry the rate asked for: the next lower one is taken, and it is said. */
export async function aSlowLine(p) {
  await ready(p);
  await board(p, { maxBaud: 230_400 });
  await connect(p);
  await ran(p);
  await p.page.getByText("460800 baud do not work; trying 230400").waitFor();
  assert.equal(await alert(p).count(), 0);
}

/** The model's tensors need PSRAM, and this chip has none: it is said before anything is written. */
export async function aChipWithoutPsram(p) {
  await p.page.addInitScript(script);
  await p.open();
  const dims = [1, 3, 400, 400];
  await p.drop("Drop an ONNX file here", [{ name: "large.onnx", bytes: onnx({ op: "Relu", name: "large", dims }) }]);
  const values = Float32Array.from({ length: 3 * 400 * 400 }, (_, i) => (i % 97) / 97);
  await p.drop("Drop images, a folder, a zip or arrays here", [{ name: "one.npy", bytes: npy(dims, values) }]);
  await p.button("Quantize").and(p.page.locator(":enabled")).waitFor();
  await p.quantize();
  await board(p, { psramBytes: 0 });
  await connect(p);
  await alert(p).filter({ hasText: /memory for its tensors.*has no PSRAM.*a board with PSRAM.*Nothing was changed/s }).waitFor();
  assert.equal(await drawing(p).count(), 0);
  assert.ok(await p.page.evaluate(() => globalThis.scripted.flash().every((byte) => byte === 0xff)), "nothing was written");
  await p.screenshots("8-no-psram");
  await board(p, { psramBytes: 2 << 20 });
  await succeeds(p, "no PSRAM");
}
