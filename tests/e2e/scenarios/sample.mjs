// The sample, from the first click to a (virtual) board that answers.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { needs, root } from "../bench.mjs";

const samples = join(root, "web/public/samples");

export async function quantizeAndRunOnTheVirtualBoard(p) {
  await p.open();
  await p.screenshots("1-empty");
  await p.useSample();
  await p.screenshots("2-loaded");
  await p.quantize();

  const rows = await p.table("layers");
  assert.equal(rows[0].Type, "input");
  assert.ok(rows.length > 8, `a residual network has more than ${rows.length} layers`);
  const report = JSON.parse(await p.download("Download report.json"));
  const shown = rows.slice(1).map((row) => Number(row["Output exponent"]));
  assert.deepEqual(shown, report.layers.map((layer) => layer.output_exponent));
  assert.equal(report.options.bits, "int8");

  const float = parseFloat(await p.text("#accuracy-float"));
  const quantized = parseFloat(await p.text("#accuracy-quantized"));
  // The float network is right about 95 to 98 times in 100; 8 bits may cost a few.
  assert.ok(float > 94 && float < 99.5, `float accuracy ${float}`);
  assert.ok(quantized > float - 3, `quantized accuracy ${quantized}, float ${float}`);
  // What it will take is told before anything is flashed.
  await p.page.waitForFunction(() => /^\s*about .*s\s*$/.test(document.querySelector("#forecast")?.textContent ?? ""));
  await p.screenshots("3-quantized");

  await p.button("Try it on a virtual board").click();
  await p.page.locator("#verdict").waitFor();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /Equal bit for bit with the simulator: 10 of 10/);
  assert.match(await p.text("#verdict"), /the emulator's estimate, not a measurement/);
  const answers = await p.table("answers");
  assert.equal(answers.length, 10);
  assert.ok(answers.filter((row) => row["Virtual board"].includes("✓")).length >= 8);
  await p.screenshots("4-virtual-board");

  await p.page.locator("summary", { hasText: "bits of each layer" }).click();
  await p.button("Compare every layer with the simulator").click();
  const tooOld = p.page.getByText("The layers could not be compared");
  await p.page.locator("#layers-verdict").or(tooOld).waitFor();
  if (await tooOld.isVisible()) {
    console.log("skipped: layer by layer, which the firmware in firmware/prebuilt can't");
    return;
  }
  assert.match(await p.text("#layers-verdict"), new RegExp(`All ${report.layers.length} layers equal`));
}

export async function sameBytesAsTheCommandLine(p) {
  const program = needs(process.env.FIXPOINT ?? join(root, "target/debug/fixpoint"), "the command line (target/debug/fixpoint)");
  await p.open();
  await p.useSample();
  for (const [bits, granularity] of [[8, "per-tensor"], [8, "per-channel"], [16, "per-tensor"]]) {
    await p.page.getByLabel(`${bits} bits`).check();
    await p.page.getByLabel(granularity === "per-tensor" ? "One exponent per layer" : "One exponent per channel").check();
    await p.quantize();
    const image = await p.download("Download model.fxp");
    const report = await p.download("Download report.json");
    const folder = mkdtempSync(join(tmpdir(), "fixpoint-e2e-"));
    execFileSync(program, [
      ...["quantize", join(samples, "digits-cnn.onnx"), "--calib", join(samples, "digits-calib.npz")],
      ...["--bits", String(bits), "--granularity", granularity, "--method", "minmax", "--limit", "100", "--out", folder],
    ]);
    assert.ok(image.equals(readFileSync(join(folder, "model.fxp"))), `model.fxp differs: int${bits} ${granularity}`);
    sameReport(JSON.parse(report), JSON.parse(readFileSync(join(folder, "report.json"))));
  }
}

/**
 * Every integer and word is the same. The measured floats may differ in their last digits: the float
 * reference multiplies with fused instructions where a processor has them, and the browser has none.
 */
function sameReport(here, there, path = "report") {
  if (typeof here === "number" && !Number.isInteger(here)) {
    const error = Math.abs(here - there);
    assert.ok(error <= 1e-4 * Math.max(1, Math.abs(there)), `${path}: ${here} and ${there}`);
  } else if (here !== null && typeof here === "object") {
    assert.deepEqual(Object.keys(here), Object.keys(there), path);
    for (const key of Object.keys(here)) sameReport(here[key], there[key], `${path}.${key}`);
  } else {
    assert.equal(here, there, path);
  }
}

export async function cancelKeepsEverything(p) {
  await p.open();
  await p.useSample();
  await p.button("Quantize").click();
  await p.button("Cancel").click();
  await p.page.getByRole("alert").filter({ hasText: "Cancelled" }).waitFor();
  await p.quantize();
  assert.match(await p.text("#accuracy-float"), /%/);
}

export async function changedOptionsMakeTheResultStale(p) {
  await p.open();
  await p.useSample();
  await p.quantize();
  await p.page.getByLabel("16 bits").check();
  await p.page.locator("#results").getByText("Out of date").waitFor();
  await p.quantize();
  assert.equal(await p.page.locator("#results").getByText("Out of date").count(), 0);
  assert.match(await p.text("#results h3 >> nth=0"), /int16/);
}

export async function aBrokenVirtualBoardIsReplaced(p) {
  await p.open();
  await p.useSample();
  await p.quantize();
  await p.button("Try it on a virtual board").click();
  await p.button("Disconnect").waitFor();
  const board = p.page.workers().find((worker) => worker.url().includes("board.worker"));
  await board.evaluate(() => void setTimeout(() => { throw new Error("broken on purpose"); }));
  await p.page.getByRole("alert").filter({ hasText: "Plug the board in again" }).waitFor();
  await p.button("Try it on a virtual board").click();
  await p.button("Disconnect").waitFor();
  assert.match(await p.text("#verdict"), /10 of 10/);
  assert.equal(await p.page.getByRole("alert").count(), 0);
  // The browser may note the error that was made here.
  p.problems.splice(0, p.problems.length, ...p.problems.filter((text) => !text.includes("broken on purpose")));
}
