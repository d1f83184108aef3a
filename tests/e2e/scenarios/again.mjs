// Nothing that happens to port, board, page or tab needs a reload: after each, the next click works.
import assert from "node:assert/strict";

import { alert, board, connect, log, ran, ready, rules, succeeds } from "../scripted.mjs";

const idle = (p) => p.button("Connect & Flash").and(p.page.locator(":enabled")).waitFor();
const unplug = (p) => p.page.evaluate(() => globalThis.scripted.port.unplug());
const delay = (p, ms) => p.page.evaluate((wanted) => void (globalThis.scriptedDelay = wanted), ms);

/** Sees `text` among the board's lines of work, and does `act` in that very moment. */
const inTheMoment = (p, text, act) =>
  p.page.evaluate(
    ([wanted, name]) => {
      const acts = {
        unplug: () => globalThis.scripted.port.unplug(),
        cancel: () => [...document.querySelectorAll("#step-board button")].find((b) => b.textContent.trim() === "Cancel").click(),
      };
      const seen = new MutationObserver(() => {
        const lines = [...document.querySelectorAll("#step-board .work .line span, #step-board .amount")];
        if (!lines.some((line) => line.textContent.includes(wanted))) return;
        seen.disconnect();
        acts[name]();
      });
      seen.observe(document.querySelector("fx-board-step"), { childList: true, subtree: true, characterData: true });
    },
    [text, act],
  );

/** The same network with other integers: a new model, which the running runtime takes. */
async function anotherModel(p) {
  const other = (await p.page.getByLabel("One exponent per layer").isChecked()) ? "One exponent per channel" : "One exponent per layer";
  await p.page.getByLabel(other).check();
  await p.quantize();
}

export async function pulledWhileNothingRuns(p) {
  await ready(p);
  await connect(p);
  await ran(p);
  await unplug(p);
  await alert(p).filter({ hasText: /The board is gone.*Plug the board in again/s }).waitFor();
  await idle(p);
  await succeeds(p, "pulled while nothing runs");
}

export async function pulledWhileImagesRun(p) {
  await ready(p);
  await inTheMoment(p, "Test image 1 of 1", "unplug");
  await connect(p);
  await alert(p).filter({ hasText: /test images did not run through.*unplugged/s }).waitFor();
  await idle(p);
  await succeeds(p, "pulled while images run");
}

export async function pulledWhileLayersAreCompared(p) {
  await ready(p);
  await connect(p);
  await ran(p);
  await p.page.getByText("bits of each layer").click();
  // The keyboard is still there afterwards.
  await p.page.locator("#compare-layers").focus();
  await p.page.keyboard.press("Enter");
  await p.page.locator("#layers-verdict").waitFor();
  await p.page.locator("#compare-layers:focus").waitFor();
  await inTheMoment(p, "Layer ", "unplug");
  await p.page.locator("#compare-layers").click();
  await alert(p).filter({ hasText: /layers could not be compared.*unplugged/s }).waitFor();
  await idle(p);
  await succeeds(p, "pulled while layers are compared");
}

/** A new model through the running runtime: told in bytes, cancelled, pulled, and done. */
export async function aNewModelThroughTheRuntime(p) {
  await ready(p);
  await connect(p);
  await ran(p);
  await anotherModel(p);
  await delay(p, 60);
  await inTheMoment(p, "/s, ", "cancel");
  await p.button("Flash again").click();
  await alert(p).filter({ hasText: "Cancelled" }).waitFor();
  await p.page.getByText("Not finished").waitFor();
  await p.button("Flash again").waitFor();

  await inTheMoment(p, " of ", "unplug");
  await p.button("Flash again").click();
  await alert(p).filter({ hasText: /not flashed.*unplugged/s }).waitFor();
  await idle(p);
  await delay(p, 0);
  await connect(p);
  await ran(p);

  await anotherModel(p);
  await p.button("Flash again").click();
  await p.page.getByText("the model goes to it directly").waitFor();
  await p.page.locator("#step-board").getByText("Flashed and verified").waitFor();
  await ran(p);
  assert.equal(await alert(p).count(), 0);
}

export async function aPortThatDoesNotOpen(p) {
  await ready(p);
  await rules(p, { openHangs: true });
  await connect(p);
  await p.page.getByText("Opening the port").waitFor();
  await p.button("Cancel").click();
  await alert(p).filter({ hasText: "Cancelled" }).waitFor();
  await rules(p, { openHangs: false });
  await succeeds(p, "a port that does not open");
}

/** A chip that hangs takes no more bytes: the browser's write would never end. */
export async function aChipThatTakesNoMore(p) {
  await ready(p);
  await rules(p, { stallAfter: 40 });
  await connect(p);
  await p.page.waitForFunction(() => globalThis.scripted.log.includes("stalls"));
  await rules(p, { stallAfter: Infinity });
  // What was dropped is sent again.
  await p.page.locator("#verdict").filter({ hasText: "1 of 1" }).waitFor();
  await ran(p);
  await p.button("Disconnect").click();
  await rules(p, { stallAfter: 45 });
  await connect(p);
  await p.page.waitForFunction(() => globalThis.scripted.log.filter((line) => line === "stalls").length > 1);
  await p.button("Cancel").click();
  await alert(p).filter({ hasText: "Cancelled" }).waitFor();
  await rules(p, { stallAfter: Infinity });
  await idle(p);
  await succeeds(p, "a chip that takes no more");
}

export async function noPortAndNoPermission(p) {
  await ready(p);
  for (const [choice, says] of [
    ["none", /No port was chosen/],
    ["forbidden", /may not use serial ports/],
  ]) {
    await p.page.evaluate((how) => void (globalThis.scriptedChoice = how), choice);
    await connect(p);
    await alert(p).filter({ hasText: says }).waitFor();
    await p.page.evaluate(() => void (globalThis.scriptedChoice = undefined));
    await succeeds(p, choice);
  }
}

/** The page's own parts can't be loaded when they are wanted: the server is away, and comes back. */
export async function partsThatCanNotBeLoaded(p) {
  const blocked = /port\.worker|board\.worker|runtime.*\.bin/;
  await p.page.route(blocked, (route) => route.abort());
  await ready(p);
  const network = (text) => /Failed to load resource|net::ERR_FAILED/.test(text);
  for (const button of ["Connect & Flash", "Try it on a virtual board"]) {
    await p.button(button).click();
    await alert(p).filter({ hasText: "could not be loaded" }).waitFor();
    await idle(p);
  }
  await p.page.unroute(blocked);
  await p.page.route(/runtime.*\.bin/, (route) => route.abort());
  await connect(p);
  await alert(p).filter({ hasText: "The firmware could not be loaded" }).waitFor();
  await p.page.unroute(/runtime.*\.bin/);
  await idle(p);
  await succeeds(p, "parts that can not be loaded");
  await p.button("Try it on a virtual board").click();
  await ran(p);
  // What the browser itself says of the blocked requests is expected.
  p.problems.splice(0, p.problems.length, ...p.problems.filter((text) => !network(text)));
}

/** In a tab in the background the page's timers run once a second; the machines' don't. */
export async function inTheBackground(p) {
  await ready(p);
  await p.page.evaluate(() => {
    const { setTimeout, setInterval } = globalThis;
    globalThis.setTimeout = (work, ms = 0, ...rest) => setTimeout(work, Math.ceil(Math.max(ms, 1) / 1000) * 1000, ...rest);
    globalThis.setInterval = (work, ms = 0, ...rest) => setInterval(work, Math.max(ms, 1000), ...rest);
    globalThis.requestAnimationFrame = () => 0;
    Object.defineProperty(document, "visibilityState", { value: "hidden" });
    Object.defineProperty(document, "hidden", { value: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await succeeds(p, "in the background");
  // The same with a chip whose port leaves the bus, which the page itself waits for.
  await board(p, { personality: "usb-serial-jtag" });
  await rules(p, { resetsTakePort: true });
  await connect(p);
  await p.page.locator("#verdict").filter({ hasText: "1 of 1" }).waitFor();
  await ran(p);
  assert.equal((await log(p)).filter((line) => line === "leaves the bus").length, 2);
}
