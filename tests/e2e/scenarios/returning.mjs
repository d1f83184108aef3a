// Boards whose USB is the chip's own: it leaves the bus with a restart and comes back as another port.
import assert from "node:assert/strict";

import { alert, board, connect, drawing, log, ran, ready, rules } from "../scripted.mjs";

const jtag = { personality: "usb-serial-jtag" };
const otg = { personality: "usb-otg", bootMode: "held-in-loader" };
const chooses = (p) => p.button("Choose the board's port");
const counted = async (p, line) => (await log(p)).filter((entry) => entry.startsWith(line)).length;

export async function usbSerialJtagTakesItsPortAlong(p) {
  await ready(p);
  await board(p, jtag);
  await rules(p, { resetsTakePort: true });
  await connect(p);
  await ran(p);
  assert.equal(await counted(p, "leaves the bus"), 2, "into the loader and out of it");
  assert.equal(await counted(p, "request"), 1, "one click was enough");
  const segments = await p.page.locator(".segments li").allInnerTexts();
  assert.ok(segments.length >= 4 && segments.every((text) => text.includes("verified")), segments.join("; "));
  // Once more: the loader is needed to compare, nothing has to be written.
  await p.button("Flash again").click();
  await ran(p);
  assert.equal(await counted(p, "request"), 1);
  assert.equal(await counted(p, "leaves the bus"), 4);
}

export async function usbOtgComesBackAsAnotherDevice(p) {
  await ready(p);
  await board(p, otg);
  await connect(p);
  await ran(p);
  assert.equal(await counted(p, "leaves the bus"), 1);
  assert.equal(await counted(p, "request"), 1, "one click was enough");
  assert.ok(!(await log(p)).some((line) => line.startsWith("dtr")), "there are no reset lines");
}

export async function anotherDeviceNeedsAnotherClick(p) {
  await ready(p);
  await board(p, otg);
  await rules(p, { granted: false });
  await connect(p);
  await p.page.getByText("waiting for its port to come back").waitFor();
  await alert(p).filter({ hasText: "its port has not come back" }).filter({ hasText: "choose its new one" }).waitFor();
  await p.page.getByText("Flashed and verified").waitFor();
  assert.equal(await drawing(p).count(), 1, "RESET is drawn");
  await p.screenshots("9-port-away");
  const opened = await counted(p, "open");
  await chooses(p).click();
  await ran(p);
  assert.equal(await counted(p, "open"), opened + 1, "nothing is flashed again");
  assert.equal(await alert(p).count(), 0);
  assert.equal(await chooses(p).count(), 0);
}

export async function lostOnTheWayIntoTheLoader(p) {
  await ready(p);
  await board(p, jtag);
  await rules(p, { resetsTakePort: true, back: undefined });
  await connect(p);
  await alert(p).filter({ hasText: "its port has not come back" }).waitFor();
  assert.equal(await p.page.getByText("Flashed and verified").count(), 0);
  // It is in its loader, on whatever port: no reset that would take that away too.
  await rules(p, { back: 300 });
  const before = (await log(p)).length;
  await chooses(p).click();
  await ran(p);
  const since = (await log(p)).slice(before);
  assert.equal(since.filter((line) => line === "leaves the bus").length, 1, `only out of the loader: ${since}`);
}

export async function cancelWhileWaiting(p) {
  await ready(p);
  await board(p, otg);
  await rules(p, { back: undefined });
  await connect(p);
  await p.page.getByText("waiting for its port to come back").waitFor();
  await p.button("Cancel").click();
  await alert(p).filter({ hasText: "Cancelled" }).waitFor();
  await rules(p, { back: 300 });
  await board(p, jtag, true);
  await connect(p);
  await ran(p);
}

/** A pulled cable is no restart: the page says what it was doing, and goes on with the next click. */
export async function cablePulledFromUsb(p) {
  await ready(p);
  await board(p, { ...jtag, faults: [{ fault: "disconnect-after", bytes: 20_000 }] });
  await connect(p);
  await alert(p).filter({ hasText: /unplugged during.*Plug the board in again/s }).waitFor();
  assert.equal(await chooses(p).count(), 0);
  await connect(p);
  await ran(p);
}
