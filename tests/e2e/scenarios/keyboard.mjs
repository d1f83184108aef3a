// Everything without a mouse.
import assert from "node:assert/strict";

import { tabTo } from "../keys.mjs";

export async function fromSampleToVirtualBoard(p) {
  await p.open();
  await tabTo(p, "Skip to the first step");
  await tabTo(p, "Use the sample");
  await p.page.keyboard.press("Enter");
  await p.page.getByText("Accuracy is measured on").waitFor();
  await tabTo(p, "Quantize");
  await p.page.keyboard.press("Enter");
  await p.button("Cancel").waitFor();
  await p.button("Cancel").waitFor({ state: "detached" });
  await p.page.locator("#results").waitFor();
  await tabTo(p, "Try it on a virtual board");
  await p.page.keyboard.press("Space");
  await p.page.locator("#verdict").waitFor();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /10 of 10/);
}

export async function progressIsAnnouncedNowAndThen(p) {
  await p.open();
  await p.page.evaluate(() => {
    globalThis.spoken = [];
    const status = document.querySelector('[role="status"]');
    new MutationObserver(() => globalThis.spoken.push([performance.now(), status.textContent])).observe(status, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  await p.useSample();
  await p.quantize();
  await p.page.getByRole("status").filter({ hasText: "Quantized" }).waitFor();
  const spoken = await p.page.evaluate(() => globalThis.spoken);
  const gaps = spoken.slice(1).map(([time], i) => time - spoken[i][0]).filter((gap) => gap > 0.5);
  assert.ok(spoken.length >= 1 && gaps.every((gap) => gap > 900), `announcements ${JSON.stringify(spoken)}`);
}
