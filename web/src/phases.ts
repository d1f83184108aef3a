/** What step 4 is doing, and the words for it. */
import type { FlashProgress } from "fixpoint";

import type { Pace } from "./pace.ts";

export type Phase =
  | { name: "idle" }
  | { name: "connecting" }
  | { name: "flashing"; progress: FlashProgress | undefined; pace: Pace | undefined }
  | { name: "starting" }
  /** The board restarts and takes its port along. */
  | { name: "returning" }
  | { name: "running"; done: number; total: number }
  | { name: "comparing"; done: number; total: number }
  | { name: "ready" };

/** For the rail. */
export const stations: Record<Phase["name"], string> = {
  idle: "none yet",
  connecting: "opening",
  flashing: "flashing",
  starting: "starting",
  returning: "restarts",
  running: "running",
  comparing: "comparing",
  ready: "ready",
};

/** Titles of what went wrong meanwhile. */
export const failures: Record<Phase["name"], string> = {
  idle: "Not connected",
  connecting: "Not connected",
  flashing: "The board was not flashed",
  starting: "The board was flashed, but does not answer",
  returning: "The board was flashed, but its port is gone",
  running: "The test images did not run through",
  comparing: "The layers could not be compared",
  ready: "The connection failed",
};
