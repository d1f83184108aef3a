// The Tab key.
import assert from "node:assert/strict";

const focused = (p) =>
  p.page.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return { text: element?.textContent?.trim() ?? "", visible: outlineStyle !== "none" && parseFloat(outlineWidth) > 0 };
  });

/** Tabs until the element with this text has the focus, and sees that the focus is visible. */
export async function tabTo(p, text) {
  for (let i = 0; i < 60; i++) {
    await p.page.keyboard.press("Tab");
    const now = await focused(p);
    if (now.text === text) {
      assert.ok(now.visible, `the focus on "${text}" can't be seen`);
      return;
    }
  }
  assert.fail(`"${text}" can't be reached with Tab`);
}
