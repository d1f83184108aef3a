/** What becomes of each part of the flash while it is written. */
import type { FlashEvent, FlashProgress } from "fixpoint";

export interface SegmentState {
  name: string;
  bytes: number;
  done: number;
  state: "waiting" | "writing" | "written" | "kept";
}

export class Segments {
  readonly list: SegmentState[] = [];

  take(event: FlashEvent): void {
    if (event.type === "segment-started") this.set(event.name, event.bytes, "writing");
    else if (event.type === "segment-written") this.set(event.name, event.bytes, "written");
    else if (event.type === "segment-skipped") this.set(event.name, event.bytes, "kept");
  }

  set(name: string, bytes: number, state: SegmentState["state"]): void {
    let entry = this.list.find((segment) => segment.name === name);
    if (!entry) {
      entry = { name, bytes, done: 0, state };
      this.list.push(entry);
    }
    // The runtime comes in two pieces: its first sector makes the board bootable and goes last.
    entry.bytes = Math.max(entry.bytes, bytes);
    entry.state = state;
    if (state !== "writing") entry.done = entry.bytes;
  }

  /** The session counts over all segments; what the finished ones don't hold is the current one's. */
  count(progress: FlashProgress): void {
    const current = this.list.find(({ state }) => state === "writing");
    if (!current) return;
    const others = this.list.filter((s) => s !== current).reduce((sum, s) => sum + s.done, 0);
    current.done = Math.min(current.bytes, Math.max(current.done, progress.doneBytes - others));
  }
}
