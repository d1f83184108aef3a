/** The virtual board, in a thread of its own. Bytes it sends are posted as plain `Uint8Array`s. */
import { VirtualBoard, init } from "fixpoint";

import { serve } from "../rpc.ts";

/** How often time passes on the board when nobody talks to it. */
const TICK_MS = 10;

let board: VirtualBoard | undefined;
let dtr = false;
let rts = false;

function live(): void {
  if (!board) return;
  board.tick(performance.now());
  const bytes = board.read();
  if (bytes.length > 0) self.postMessage(bytes, { transfer: [bytes.buffer] });
}

const service = {
  async start(module: WebAssembly.Module): Promise<void> {
    await init(module);
    board = new VirtualBoard();
    setInterval(live, TICK_MS);
  },

  write(bytes: Uint8Array): void {
    board?.write(bytes);
    live();
  },

  /** null leaves a line as it is. */
  setSignals(nextDtr: boolean | null, nextRts: boolean | null): void {
    dtr = nextDtr ?? dtr;
    rts = nextRts ?? rts;
    board?.setSignals(dtr, rts);
    live();
  },

  setBaud(rate: number): void {
    board?.setBaud(rate);
  },
};

export type BoardService = typeof service;

serve(service, self as unknown as Worker);
