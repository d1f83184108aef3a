/**
 * Step 4's state: from choosing a port to the board's answers. One port at a time, real or
 * virtual, held from flashing through the last test image.
 */
import type { BoardInfo, BoardLayer, ChipInfo, FlashProgress, FlashSummary, RawOutput } from "fixpoint";

import { firmware } from "./firmware.ts";
import { duration, percent } from "./format.ts";
import { module } from "./module.ts";
import { type Pace, PaceMeter } from "./pace.ts";
import { CodedError, connect, plainError, type Remote, serve, Transfer } from "./rpc.ts";
import { PortOwner, type SerialLike, browserSerial, filters, linkKind, requestError } from "./serial.ts";
import { type Trouble, explain, session } from "./session.ts";
import { VirtualSerial } from "./virtual-serial.ts";
import type { TestCase } from "./workers/engine.worker.ts";
import type { PortService, PortWorkerService } from "./workers/port.worker.ts";

export type Kind = "real" | "virtual";

export interface SegmentState {
  name: string;
  bytes: number;
  done: number;
  state: "waiting" | "writing" | "written" | "kept";
}

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

export type Phase =
  | { name: "idle" }
  | { name: "connecting" }
  | { name: "flashing"; progress: FlashProgress | undefined; pace: Pace | undefined }
  | { name: "starting" }
  | { name: "running"; done: number; total: number }
  | { name: "ready" };

/** Enough to see the start of a crash, little enough to stay quick. */
const CONSOLE_CHARS = 200_000;

class Board extends EventTarget {
  phase: Phase = { name: "idle" };
  kind: Kind | undefined;
  baud = 460_800;
  testCount = 10;
  chip: ChipInfo | undefined;
  info: BoardInfo | undefined;
  layers: BoardLayer[] = [];
  segments: SegmentState[] = [];
  notes: string[] = [];
  summary: FlashSummary | undefined;
  answers: Answer[] = [];
  console = "";
  /** The last failure's kind: a word of the flasher, the link or the page. */
  failure: string | undefined;
  trouble: Trouble | undefined;

  readonly #virtual = new VirtualSerial();
  #owner: PortOwner | undefined;
  #port: SerialPort | undefined;
  #worker: Promise<Remote<PortWorkerService>> | undefined;
  #cancelled = false;

  get supported(): boolean {
    return browserSerial() !== undefined;
  }

  get busy(): boolean {
    return !["idle", "ready"].includes(this.phase.name);
  }

  get connected(): boolean {
    return this.#owner !== undefined;
  }

  /** By choice of the button, or because the firmware says so. */
  get virtual(): boolean {
    return this.kind === "virtual" || this.info?.virtualBoard === true;
  }

  get flashing(): boolean {
    return this.phase.name === "flashing" && this.kind === "real";
  }

  get done(): boolean {
    return this.phase.name === "ready" && this.answers.length > 0 && this.answers.every(({ equal }) => equal);
  }

  /** For the rail. */
  get station(): string {
    const words: Record<Phase["name"], string> = {
      idle: "not connected",
      connecting: "connecting",
      flashing: "flashing",
      starting: "starting",
      running: "running",
      ready: this.virtual ? "virtual board" : "connected",
    };
    return words[this.phase.name];
  }

  /** For the live region. */
  get spoken(): string {
    const { phase } = this;
    switch (phase.name) {
      case "idle":
        return "";
      case "connecting":
        return "Connecting to the board";
      case "flashing": {
        const { progress, pace } = phase;
        if (!progress || progress.totalBytes === 0) return "Flashing";
        const left = pace ? `, ${duration(pace.secondsLeft)} left` : "";
        return `Flashing, ${percent(progress.doneBytes / progress.totalBytes, 0)}${left}`;
      }
      case "starting":
        return "The board restarts";
      case "running":
        return `Test image ${phase.done} of ${phase.total}`;
      case "ready": {
        const equal = this.answers.filter((answer) => answer.equal).length;
        return this.answers.length > 0 ? `Finished. ${equal} of ${this.answers.length} answers equal the simulator's.` : "";
      }
    }
  }

  /** The button's whole job: choose a port, flash, restart, run. Must be called from the click. */
  async connectAndFlash(kind: Kind): Promise<void> {
    if (this.busy) return;
    const serial = kind === "virtual" ? this.#virtual : browserSerial();
    if (!serial) return;
    let port: SerialPort;
    try {
      port = await serial.requestPort({ filters });
    } catch (error) {
      const trouble = requestError(error);
      if (trouble) this.#fail("No port", trouble);
      else this.#fail("No port chosen", new CodedError("no-port", NO_PORT));
      return;
    }
    await this.#session(async () => {
      await this.disconnect();
      this.kind = kind;
      this.console = "";
      await this.#open(serial, port);
      await this.#flash();
      await this.#start();
      await this.#run();
    });
  }

  async flashAgain(): Promise<void> {
    if (this.busy || !this.#owner) return;
    await this.#session(async () => {
      if (!(await this.#updateModel())) await this.#flash();
      await this.#start();
      await this.#run();
    });
  }

  async runAgain(): Promise<void> {
    if (this.busy || !this.#owner) return;
    await this.#session(() => this.#run());
  }

  async cancel(): Promise<void> {
    this.#cancelled = true;
    await (await this.#worker)?.cancel();
  }

  async disconnect(): Promise<void> {
    const owner = this.#owner;
    this.#owner = undefined;
    this.#port = undefined;
    this.info = undefined;
    this.chip = undefined;
    this.summary = undefined;
    this.segments = [];
    this.answers = [];
    if (!this.busy) this.phase = { name: "idle" };
    await owner?.close();
    this.changed();
  }

  changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  async #open(serial: SerialLike, port: SerialPort): Promise<void> {
    this.#set({ name: "connecting" });
    const worker = await this.#ready();
    const owner = new PortOwner(port, serial);
    owner.onBytes = (bytes) => void worker.received(new Transfer(bytes, [bytes.buffer]) as unknown as Uint8Array);
    owner.onLost = () => {
      void worker.lost();
      // While something runs, its failure tells the story.
      if (!this.busy) void this.#unplugged();
    };
    await owner.open(115_200);
    this.#owner = owner;
    this.#port = port;
    const channel = new MessageChannel();
    serve(
      {
        write: (bytes: Uint8Array) => owner.write(bytes),
        setSignals: (dtr: boolean, rts: boolean) => owner.setSignals(dtr, rts),
        setBaud: (rate: number) => owner.setBaud(rate),
        console: (text: string) => this.#print(text),
      } satisfies PortService,
      channel.port1,
    );
    await worker.attach(new Transfer(channel.port2, [channel.port2]) as unknown as MessagePort);
  }

  async #flash(): Promise<void> {
    const image = session.outcome?.image;
    if (!image || !this.#port) throw new CodedError("no-model", "There is no quantized model.\nQuantize one in step 3 first.");
    this.#set({ name: "flashing", progress: undefined, pace: undefined });
    const meter = new PaceMeter();
    this.segments = [];
    this.notes = [];
    this.answers = [];
    this.info = undefined;
    this.summary = undefined;
    const worker = await this.#ready();
    const options = {
      link: linkKind(this.#port),
      baud: this.baud,
      stub: true,
      resetBefore: true,
      resetAfter: true,
      skipEqual: true,
    };
    this.summary = await worker.flash(await firmware(), image, options, ({ progress, events }) => {
      for (const event of events) {
        if (event.type === "chip") this.chip = event;
        else if (event.type === "note") this.notes.push(event.text);
        else if (event.type === "segment-started") this.#segment(event.name, event.bytes, "writing");
        else if (event.type === "segment-written") this.#segment(event.name, event.bytes, "written");
        else if (event.type === "segment-skipped") this.#segment(event.name, event.bytes, "kept");
      }
      this.#count(progress);
      const { phase, elapsedMs, doneBytes, skippedBytes, totalBytes } = progress;
      const pace = phase === "writing" ? meter.at(elapsedMs, doneBytes - skippedBytes, totalBytes - skippedBytes) : undefined;
      this.#set({ name: "flashing", progress, pace });
    });
    this.#stopIfCancelled();
  }

  /**
   * The model alone, through the runtime that runs on the board, if that is this page's and has room;
   * false when the loader has to do it. The old model stays in service until the board has checked the new one.
   */
  async #updateModel(): Promise<boolean> {
    const image = session.outcome?.image;
    const { info } = this;
    if (!image || !info || info.runtimeId === 0 || info.modelRoom < image.length) return false;
    // The same model again is asked for to have everything compared.
    if (info.model?.id === new DataView(image.buffer, image.byteOffset).getUint32(12, true)) return false;
    const { runtime } = await firmware();
    const digest = new DataView(runtime.buffer, runtime.byteOffset + runtime.length - 32, 32);
    if (digest.getUint32(0, true) !== info.runtimeId) return false;
    this.#set({ name: "flashing", progress: undefined, pace: undefined });
    this.segments = [];
    this.notes = ["The board runs this runtime: the model goes to it directly."];
    this.answers = [];
    this.summary = undefined;
    this.#segment("model", image.length, "writing");
    try {
      await (await this.#ready()).updateModel(image, (event) => {
        if (event.type !== "updating") return;
        const [model] = this.segments;
        if (model) model.done = event.done;
        this.changed();
      });
    } catch (error) {
      this.#stopIfCancelled();
      const { code, message } = plainError(error);
      if (code === "port-lost") throw error;
      this.notes.push(`${message} Trying the loader.`);
      return false;
    }
    this.#segment("model", image.length, "written");
    return true;
  }

  /** For a cancellation that came too late for the step it was meant for. */
  #stopIfCancelled(): void {
    if (this.#cancelled) throw new CodedError("cancelled", "Cancelled. What was flashed stays on the board.");
  }

  #segment(name: string, bytes: number, state: SegmentState["state"]): void {
    let entry = this.segments.find((segment) => segment.name === name);
    if (!entry) {
      entry = { name, bytes, done: 0, state };
      this.segments.push(entry);
    }
    // The runtime comes in two pieces: its first sector makes the board bootable and goes last.
    entry.bytes = Math.max(entry.bytes, bytes);
    entry.state = state;
    if (state !== "writing") entry.done = entry.bytes;
  }

  /** The session counts over all segments; what the finished ones don't hold is the current one's. */
  #count(progress: FlashProgress): void {
    const current = this.segments.find(({ state }) => state === "writing");
    if (!current) return;
    const others = this.segments.filter((s) => s !== current).reduce((sum, s) => sum + s.done, 0);
    current.done = Math.min(current.bytes, Math.max(current.done, progress.doneBytes - others));
  }

  async #start(): Promise<void> {
    this.#set({ name: "starting" });
    const worker = await this.#ready();
    this.info = await worker.hello();
    if (this.info.problem) throw new CodedError("link-no-model", this.info.problem);
    this.layers = await worker.layers();
  }

  async #run(): Promise<void> {
    const which = session.testSet;
    const set = which && session.samples[which];
    if (!which || !set) throw new CodedError("no-images", "There are no test images.\nDrop some in step 2.");
    const worker = await this.#ready();
    const total = Math.min(this.testCount, set.summary.count);
    const hertz = this.info?.cpuHz ?? 0;
    this.answers = [];
    for (let i = 0; i < total; i++) {
      this.#set({ name: "running", done: i, total });
      const test = await session.engine.testCase(which, i, set.summary.labels?.[i] ?? null);
      const { outputs, cycles, layerCycles } = await worker.infer(test.inputs, () => {});
      const decoded = await Promise.all(outputs.map((bytes, k) => session.engine.decodeOutput(k, bytes)));
      const timed = cycles > 0 && hertz > 0;
      this.answers = [...this.answers, compare(test, decoded, timed ? (1000 * cycles) / hertz : undefined, layerCycles)];
      this.#stopIfCancelled();
    }
  }

  #print(text: string): void {
    this.console = (this.console + text.replaceAll("\r\n", "\n")).slice(-CONSOLE_CHARS);
    this.changed();
  }

  #set(phase: Phase): void {
    this.phase = phase;
    this.changed();
  }

  #ready(): Promise<Remote<PortWorkerService>> {
    this.#worker ??= (async () => {
      const compiled = await module();
      const worker = new Worker(new URL("./workers/port.worker.ts", import.meta.url), { type: "module" });
      const { remote } = connect<PortWorkerService>(worker);
      await remote.start(compiled);
      return remote;
    })().catch((error: unknown) => {
      this.#worker = undefined;
      throw error;
    });
    return this.#worker;
  }

  async #unplugged(): Promise<void> {
    const kind = this.kind;
    await this.disconnect();
    this.#fail("The board is gone", new CodedError("port-lost", UNPLUGGED));
    this.kind = kind;
  }

  /** A failure becomes a notice. The port stays open when it still can be used. */
  async #session(work: () => Promise<void>): Promise<void> {
    this.trouble = undefined;
    this.failure = undefined;
    this.#cancelled = false;
    try {
      await work();
      this.#set({ name: "ready" });
    } catch (error) {
      const { code } = plainError(error);
      const title = code === "link-no-model" ? "The board was flashed, but can't run the model" : failures[this.phase.name];
      this.phase = { name: this.info && code !== "port-lost" ? "ready" : "idle" };
      // A failed flash leaves the port in an unknown state: the next attempt opens it afresh.
      if (this.phase.name === "idle") {
        const owner = this.#owner;
        this.#owner = undefined;
        await owner?.close();
      }
      this.#fail(code === "cancelled" ? "Cancelled" : title, error);
    }
  }

  #fail(title: string, error: unknown): void {
    this.trouble = explain(title, error);
    this.failure = plainError(error).code;
    this.changed();
  }
}

const failures: Record<Phase["name"], string> = {
  idle: "Not connected",
  connecting: "Not connected",
  flashing: "The board was not flashed",
  starting: "The board was flashed, but does not answer",
  running: "The test images did not run through",
  ready: "The connection failed",
};

const NO_PORT =
  "No port was chosen.\nIf the list was empty: use a USB cable that carries data, and plug the board in.\nNothing new appears when it is plugged in: install the driver of the board's USB bridge (CP210x or CH34x).\nOn Linux the user must be in the group dialout.";
const UNPLUGGED = "The board was unplugged or its port closed.\nPlug it in and press Connect & Flash: what is already on the board is skipped.";

function compare(test: TestCase, decoded: readonly RawOutput[], milliseconds: number | undefined, layerCycles: number[]): Answer {
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

export const board = new Board();
