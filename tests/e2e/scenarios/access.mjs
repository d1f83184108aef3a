// axe-core on every view, light and dark.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function check(p, view) {
  await p.page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  for (const colorScheme of ["light", "dark"]) {
    await p.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    // Run by the debugger, so that the page's policy against foreign scripts does not stand in the way.
    await p.page.evaluate(`${axe}; undefined`);
    const violations = await p.page.evaluate(async () => {
      const { violations } = await globalThis.axe.run(document);
      return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((n) => `${n.html.slice(0, 160)} ${n.any[0]?.message ?? ""}`).join(" | ")}`);
    });
    assert.deepEqual(violations, [], `${view}, ${colorScheme}`);
  }
}

export async function everyView(p) {
  await p.open();
  await check(p, "empty");
  await p.useSample();
  await check(p, "loaded");
  await p.quantize();
  await check(p, "quantized");
  await p.button("Try it on a virtual board").click();
  await p.page.locator("#verdict").waitFor();
  await p.button("Disconnect").waitFor();
  await check(p, "board");
}

export async function errorView(p) {
  await p.open();
  await p.drop("Drop an ONNX file here", [{ name: "notes.onnx", bytes: Buffer.from("not a model") }]);
  await p.page.getByRole("alert").waitFor();
  await check(p, "error");
}
