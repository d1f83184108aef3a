// Drives the built page (web/dist) in a real browser. `node run.mjs [name]` runs the scenarios
// whose name contains the argument. The last line says how many passed and how many failed.
import { mkdir, readdir, rm } from "node:fs/promises";
import { performance } from "node:perf_hooks";

import { Bench, Skipped } from "./bench.mjs";

const here = new URL(".", import.meta.url);
const wanted = process.argv[2] ?? "";

await rm(new URL("out/", here), { recursive: true, force: true });
await mkdir(new URL("out/", here), { recursive: true });

const bench = await Bench.start();
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  for (const file of (await readdir(new URL("scenarios/", here))).sort()) {
    if (!file.endsWith(".mjs")) continue;
    const scenarios = await import(new URL(`scenarios/${file}`, here).href);
    for (const [key, scenario] of Object.entries(scenarios)) {
      const name = `${file.replace(".mjs", "")}: ${key.replace(/([A-Z])/g, (c) => ` ${c.toLowerCase()}`)}`;
      if (!name.includes(wanted)) continue;
      const begun = performance.now();
      try {
        await bench.run(name, scenario);
        passed += 1;
        console.log(`ok       ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
      } catch (error) {
        if (error instanceof Skipped) {
          skipped += 1;
          console.log(`skipped  ${name}: ${error.message}`);
          continue;
        }
        failed += 1;
        console.log(`FAILED   ${name}\n${indent(error.stack ?? String(error))}`);
      }
    }
  }
} finally {
  await bench.stop();
}
if (skipped > 0) console.log(`${skipped} skipped`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function indent(text) {
  return text
    .split("\n")
    .map((line) => `         ${line}`)
    .join("\n");
}
