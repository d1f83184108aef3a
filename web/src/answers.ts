/** A board's answers beside the simulator's. */
import type { RawOutput } from "fixpoint";

import type { TestCase } from "./workers/engine.worker.ts";

/** One test image on the board, beside what the simulator says. */
export interface Answer {
  index: number;
  label: number | null;
  board: number;
  simulator: number;
  /** Every integer of every output is the same. */
  equal: boolean;
  /** Milliseconds on the chip; on a virtual board the emulator's estimate of them. */
  milliseconds: number | undefined;
  layerCycles: number[];
}

export function compare(
  test: TestCase,
  decoded: readonly RawOutput[],
  milliseconds: number | undefined,
  layerCycles: number[],
): Answer {
  const equal =
    decoded.length === test.expected.length &&
    test.expected.every(({ data }, k) => {
      const got = decoded[k]?.data;
      return got?.length === data.length && data.every((value, i) => value === got[i]);
    });
  return {
    index: test.index,
    label: test.label,
    board: largest(decoded[0]?.data ?? []),
    simulator: largest(test.expected[0]?.data ?? []),
    equal,
    milliseconds,
    layerCycles,
  };
}

/** Position of the largest value, the first of several. */
const largest = (values: readonly number[]): number =>
  values.reduce((best, value, i) => (value > (values[best] ?? -Infinity) ? i : best), 0);
