// The page's button for other people's images: a manifest of ESP Web Tools with its files.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../bench.mjs";
import { tabTo } from "../keys.mjs";
import { alert, board, log, ready, rules } from "../scripted.mjs";

const zone = "Drop a manifest.json with its files, or a zip";
const go = (p) => p.button("Connect & flash the project");
const prebuilt = (name) => readFile(join(root, "firmware/prebuilt", name));

const manifest = (chipFamily, parts) => ({
  name: "manifest.json",
  bytes: Buffer.from(JSON.stringify({ name: "Another project", version: "1", builds: [{ chipFamily, parts }] })),
});

async function project(chipFamily = "ESP32-S3") {
  const places = { "bootloader.bin": 0, "partition-table.bin": 0x8000, "runtime.bin": 0x10000 };
  const files = await Promise.all(Object.keys(places).map(async (name) => ({ name, bytes: await prebuilt(name) })));
  return [manifest(chipFamily, Object.entries(places).map(([path, offset]) => ({ path, offset }))), ...files];
}

async function written(p, files, places) {
  for (const [name, offset] of places) {
    const bytes = files.find((file) => file.name === name).bytes;
    const there = await p.page.evaluate(([at, length]) => [...globalThis.scripted.flash().subarray(at, at + length)], [offset, bytes.length]);
    assert.ok(bytes.equals(Buffer.from(there)), `${name} is at ${offset}`);
  }
}

export async function anotherProjectsManifest(p) {
  await ready(p);
  await p.page.getByText("Flash another project instead").click();

  // What can't be flashed is said, and the next choice is taken.
  await p.drop(zone, await project("ESP32"));
  await go(p).click();
  await alert(p).filter({ hasText: /nothing for the ESP32-S3, only for: ESP32/ }).waitFor();
  await p.drop(zone, (await project()).slice(0, 3));
  await go(p).click();
  await alert(p).filter({ hasText: /runtime\.bin is missing/ }).waitFor();
  await board(p, { chipId: 5 });
  const files = await project();
  await p.drop(zone, files);
  await go(p).click();
  await alert(p).filter({ hasText: /ESP32-C3/ }).waitFor();
  await p.screenshots("8-project");

  await board(p, { personality: "usb-serial-jtag" });
  await rules(p, { resetsTakePort: true });
  await tabTo(p, "Connect & flash the project");
  await p.page.keyboard.press("Enter");
  const flashed = p.page.locator("#step-board").getByText("Flashed and verified");
  await flashed.waitFor();
  await p.page.getByRole("status").filter({ hasText: "Flashed and verified." }).waitFor({ state: "attached" });
  assert.equal(await p.page.evaluate(() => document.activeElement.textContent.trim()), "Connect & flash the project");
  await p.button("Disconnect").waitFor();
  assert.equal(await alert(p).count(), 0);
  await written(p, files, [["bootloader.bin", 0], ["partition-table.bin", 0x8000], ["runtime.bin", 0x10000]]);
  // The port has left and come back, and the console is the board's.
  assert.equal((await log(p)).filter((line) => line === "leaves the bus").length, 2);
  await p.page.locator("pre.console").filter({ hasText: "Loaded app from partition" }).waitFor({ state: "attached" });

  // Again: everything is there. And the page's own model after that.
  await go(p).click();
  await p.page.locator(".segments li").filter({ hasText: "already there" }).nth(2).waitFor();
  await p.button("Disconnect").waitFor();
  await p.button("Connect & Flash").click();
  await p.page.locator("#verdict").filter({ hasText: "1 of 1" }).waitFor();
}

/** What the page writes for others' buttons goes through its own. */
export async function theZipOfThePage(p) {
  await ready(p);
  await p.page.getByText("For other flashing tools").click();
  const zip = await p.download("Download ESP Web Tools zip");
  await p.page.getByText("Flash another project instead").click();
  await p.drop(zone, [{ name: "install.zip", bytes: zip }]);
  await go(p).click();
  await p.page.locator("#step-board").getByText("Flashed and verified").waitFor();
  await p.button("Disconnect").waitFor();
  await p.page.locator("pre.console").filter({ hasText: "arena" }).waitFor({ state: "attached" });
  const merged = await p.download("Download flash.bin");
  const there = await p.page.evaluate((length) => [...globalThis.scripted.flash().subarray(0, length)], merged.length);
  assert.ok(merged.equals(Buffer.from(there)), "the flash is that of the merged image");
}
