/** Rate and time left from the bytes done so far. */

/** Long enough to even out the pauses between segments, short enough to follow a change. */
const WINDOW_MS = 4_000;
/** Before this much is known a guess would jump about. */
const LEAST_MS = 700;

export interface Pace {
  bytesPerSecond: number;
  secondsLeft: number;
}

export class PaceMeter {
  #seen: { ms: number; bytes: number }[] = [];

  /** `bytes` of `total` are done at `ms`; undefined while too little is known. */
  at(ms: number, bytes: number, total: number): Pace | undefined {
    this.#seen = [...this.#seen.filter((s) => ms - s.ms <= WINDOW_MS), { ms, bytes }];
    const [first] = this.#seen;
    if (!first || ms - first.ms < LEAST_MS || bytes <= first.bytes) return undefined;
    const bytesPerSecond = ((bytes - first.bytes) * 1000) / (ms - first.ms);
    return { bytesPerSecond, secondsLeft: Math.max(0, total - bytes) / bytesPerSecond };
  }
}
