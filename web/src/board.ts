/**
 * Step 4's state: from choosing a port to the board's answers. One port at a time, real or
 * virtual, held from flashing through the last test image.
 */
import type { BoardInfo, BoardLayer, ChipInfo, FlashProgress, FlashSummary, LayerComparison, NamedFile, PortTrouble } from "fixpoint";

import { type Answer, compare } from "./answers.ts";
import { firmware } from "./firmware.ts";
import { duration, percent } from "./format.ts";
import { stepAs } from "./framed.ts";
import { PaceMeter } from "./pace.ts";
import { type Phase, failures, stations } from "./phases.ts";
import { PortRemote } from "./port-remote.ts";
import { CodedError, plainError, serve, Transfer } from "./rpc.ts";
import { Segments } from "./segments.ts";
import { PortError, PortOwner, type SerialLike, browserSerial, filters, onLinux, requestError } from "./serial.ts";
import { type Trouble, explain, session } from "./session.ts";
import { VirtualSerial } from "./virtual-serial.ts";
import type { Images, PortService } from "./workers/port.worker.ts";

export type Kind = "real" | "virtual";

/** Enough to see the start of a crash, little enough to stay quick. */
const CONSOLE_CHARS = 200_000;
/** The console's rate and the loader's. */
const FIRST_BAUD = 115_200;
/** A device is back on the bus within a second or two; a slow hub takes a few more. */
const RETURN_MS = 8_000;
/** Restarts of one flashing that may take the port along: into the loader, once more, out of it. */
const RETURNS = 3;

class Board extends EventTarget {
  phase: Phase = { name: "idle" };
  kind: Kind | undefined;
  baud = 460_800;
  testCount = 10;
  chip: ChipInfo | undefined;
  info: BoardInfo | undefined;
  layers: BoardLayer[] = [];
  segments = new Segments();
  notes: string[] = [];
  summary: FlashSummary | undefined;
  /** What the last flashing began is on the board, all of it. */
  flashed = false;
  answers: Answer[] = [];
  /** Each layer of the last test image beside the simulator's, once that was asked for. */
  comparison: LayerComparison[] | undefined;
  console = "";
  /** The last failure's kind: a word of the flasher, the link or the page. */
  failure: string | undefined;
  trouble: Trouble | undefined;
  /** What is left to do on the port that the board came back as, once the user has chosen it. */
  left: "flash" | "start" | undefined;

  readonly #virtual = new VirtualSerial();
  #owner: PortOwner | undefined;
  readonly #port = new PortRemote();
  #cancelled = new AbortController();
  /** What is flashed instead of the runtime and the model. */
  #project: NamedFile[] | undefined;

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
    return this.phase.name === "ready" && this.virtual ? "virtual" : stations[this.phase.name];
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
      case "returning":
        return "The board restarts";
      case "running":
        return `Test image ${phase.done} of ${phase.total}`;
      case "comparing":
        return `Layer ${phase.done} of ${phase.total}`;
      case "ready": {
        const equal = this.answers.filter((answer) => answer.equal).length;
        if (this.answers.length > 0) return `Finished. ${equal} of ${this.answers.length} answers equal the simulator's.`;
        return this.flashed ? "Flashed and verified." : "";
      }
    }
  }

  /** The button's whole job: choose a port, flash, restart, run. Must be called from the click. */
  async connectAndFlash(kind: Kind): Promise<void> {
    const chosen = await this.#choose(kind);
    if (!chosen) return;
    await this.#session(async () => {
      await this.disconnect();
      this.kind = kind;
      this.console = "";
      this.#project = undefined;
      await this.#open(...chosen);
      await this.#flash();
      await this.#start();
      if (session.testSet) await this.#run();
    });
  }

  /**
   * Other people's images, by the manifest.json of ESP Web Tools among the files: flashed, verified, started, and
   * listened to. Must be called from the click.
   */
  async flashProject(files: NamedFile[]): Promise<void> {
    const chosen = await this.#choose("real");
    if (!chosen) return;
    await this.#session(async () => {
      await this.disconnect();
      this.kind = "real";
      this.console = "";
      this.#project = files;
      await this.#open(...chosen);
      await this.#write({ files });
      await this.#listen();
    });
  }

  /** Until the port is there that the board's text comes from. */
  async #listen(): Promise<void> {
    await this.#throughRestarts(async () => {}, () => undefined);
  }

  /** Goes on where the board left with its port, on the port it came back as. Must be called from the click. */
  async goOn(): Promise<void> {
    const { left } = this;
    const chosen = left && (await this.#choose("real"));
    if (!chosen) return;
    await this.#session(async () => {
      await this.#open(...chosen);
      if (this.#project) {
        await this.#write({ files: this.#project }, "waits");
        return this.#listen();
      }
      if (left === "flash") await this.#flash("waits");
      await this.#start();
      if (session.testSet) await this.#run();
    });
  }

  async #choose(kind: Kind): Promise<[SerialLike, SerialPort] | undefined> {
    const serial = kind === "virtual" ? this.#virtual : browserSerial();
    if (this.busy || !serial) return undefined;
    try {
      return [serial, await serial.requestPort({ filters })];
    } catch (error) {
      await this.#fail("No port", requestError(error));
      return undefined;
    }
  }

  async flashAgain(): Promise<void> {
    if (this.busy || !this.#owner) return;
    await this.#session(async () => {
      this.#project = undefined;
      if (!(await this.#updateModel())) await this.#flash();
      await this.#start();
      if (session.testSet) await this.#run();
    });
  }

  async runAgain(): Promise<void> {
    if (this.busy || !this.#owner) return;
    await this.#session(() => this.#run());
  }

  /** Stops the board behind every layer and compares what it has with the simulator. */
  async compareLayers(): Promise<void> {
    if (this.busy || !this.#owner) return;
    await this.#session(async () => {
      const which = session.testSet;
      const last = this.answers.at(-1);
      if (!which || !last) return;
      const worker = await this.#port.ready();
      const total = this.layers.length;
      this.#set({ name: "comparing", done: 0, total });
      const { inputs } = await session.engine.testCase(which, last.index, last.label);
      const sizes = this.layers.map(({ bytes }) => bytes);
      const outputs = await worker.trace(inputs, sizes, (done) => this.#set({ name: "comparing", done, total }));
      this.comparison = await session.engine.compareLayers(inputs, outputs);
    });
  }

  async cancel(): Promise<void> {
    this.#cancelled.abort();
    await (await this.#port.running)?.cancel();
  }

  async disconnect(): Promise<void> {
    const owner = this.#owner;
    this.#owner = undefined;
    this.info = undefined;
    this.chip = undefined;
    this.summary = undefined;
    this.segments = new Segments();
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
    const worker = await this.#port.ready();
    const owner = new PortOwner(port, serial);
    owner.onBytes = (bytes) => void worker.received(new Transfer(bytes, [bytes.buffer]) as unknown as Uint8Array);
    owner.onLost = () => {
      void worker.lost();
      // While something runs, its failure tells the story.
      if (!this.busy) void this.#unplugged();
    };
    await this.#unlessCancelled(owner.open(FIRST_BAUD), () => owner.close());
    this.#owner = owner;
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

  /** Does not wait for what can't be stopped; `undo` follows when it is done after all. */
  async #unlessCancelled(work: Promise<void>, undo: () => Promise<void>): Promise<void> {
    const { signal } = this.#cancelled;
    const cancelled = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([work, cancelled]);
    if (!signal.aborted) return;
    void work.then(undo, () => {});
    this.#stopIfCancelled();
  }

  /** The runtime and the model. `waits`: the board should be in its loader already. */
  async #flash(loader?: "waits"): Promise<void> {
    const model = session.outcome?.image;
    if (!model) throw new CodedError("no-model", `There is no quantized model.\nQuantize one in ${stepAs("quantize")} first.`);
    await this.#write({ firmware: await firmware(), model }, loader);
  }

  async #write(images: Images, loader?: "waits"): Promise<void> {
    this.notes = [];
    this.answers = [];
    this.info = undefined;
    this.summary = undefined;
    this.flashed = false;
    const worker = await this.#port.ready();
    let askFirst = loader === "waits";
    this.summary = await this.#throughRestarts(async (owner) => {
      this.#set({ name: "flashing", progress: undefined, pace: undefined });
      this.segments = new Segments();
      const meter = new PaceMeter();
      const { link } = owner;
      const options = { link, baud: this.baud, stub: true, resetBefore: true, askFirst, resetAfter: true, skipEqual: true };
      // If the reset into the loader takes the port along, the loader is what comes back. Later than that,
      // the cable was pulled and put back, and the application runs.
      askFirst = true;
      return worker.flash(images, options, ({ progress, events }) => {
        for (const event of events) {
          if (event.type === "chip") this.chip = event;
          else if (event.type === "note") this.notes.push(event.text);
          else this.segments.take(event);
        }
        this.segments.count(progress);
        const { phase, elapsedMs, doneBytes, skippedBytes, totalBytes } = progress;
        askFirst = phase === "connecting";
        const pace = phase === "writing" ? meter.at(elapsedMs, doneBytes - skippedBytes, totalBytes - skippedBytes) : undefined;
        this.#set({ name: "flashing", progress, pace });
      });
    }, () => (askFirst ? "flash" : undefined));
    this.flashed = true;
    this.#stopIfCancelled();
  }

  /**
   * Does `work`, and does it again when the chip's own USB goes away with a restart and comes back. When
   * it does not come back, `left` says whether that was a restart and what is left to do: the user may
   * know the port it became.
   */
  async #throughRestarts<T>(work: (owner: PortOwner) => Promise<T>, left: () => Board["left"]): Promise<T> {
    const owner = this.#owner;
    if (!owner) throw new PortError("port-lost");
    for (let returns = 0; ; returns++) {
      try {
        if (owner.lost) throw new PortError("port-away");
        return await work(owner);
      } catch (error) {
        if (!owner.lost || !owner.restartsWithChip || returns === RETURNS) throw error;
        this.#stopIfCancelled();
        this.#set({ name: "returning" });
        if (!(await owner.reopen(FIRST_BAUD, RETURN_MS, this.#cancelled.signal))) {
          this.#stopIfCancelled();
          this.left = left();
          throw this.left ? new PortError("port-away") : error;
        }
        await (await this.#port.ready()).returned();
      }
    }
  }

  /**
   * The model alone, through the runtime that runs on the board, if that is this page's and has room;
   * false when the loader has to do it. The old model stays in service until the board has checked the new one.
   */
  async #updateModel(): Promise<boolean> {
    const image = session.outcome?.image;
    const { info } = this;
    if (!image || !info || info.runtimeId === 0 || info.modelRoom < image.length) return false;
    // The loader says in words what is missing, before anything is written.
    const memory = Math.max(info.arenaAvailable, info.psramAvailable);
    if ((session.outcome?.report.arena_bytes ?? 0) > memory) return false;
    // The same model again is asked for to have everything compared.
    if (info.model?.id === new DataView(image.buffer, image.byteOffset).getUint32(12, true)) return false;
    const { runtime } = await firmware();
    const digest = new DataView(runtime.buffer, runtime.byteOffset + runtime.length - 32, 32);
    if (digest.getUint32(0, true) !== info.runtimeId) return false;
    this.#set({ name: "flashing", progress: undefined, pace: undefined });
    this.segments = new Segments();
    this.flashed = false;
    this.notes = ["The board runs this runtime: the model goes to it directly."];
    this.answers = [];
    this.summary = undefined;
    this.segments.set("model", image.length, "writing");
    const meter = new PaceMeter();
    const began = performance.now();
    try {
      await (await this.#port.ready()).updateModel(image, (event) => {
        if (event.type !== "updating") return;
        const [model] = this.segments.list;
        if (model) model.done = event.done;
        const { done, total } = event;
        const elapsedMs = performance.now() - began;
        this.#set({ name: "flashing", progress: throughTheLink(done, total, elapsedMs), pace: meter.at(elapsedMs, done, total) });
      });
    } catch (error) {
      this.#stopIfCancelled();
      const { code, message } = plainError(error);
      if (code === "port-lost" && !this.#owner?.restartsWithChip) throw error;
      this.notes.push(`${message} Trying the loader.`);
      return false;
    }
    this.segments.set("model", image.length, "written");
    this.flashed = true;
    return true;
  }

  /** For a cancellation that came too late for the step it was meant for. */
  #stopIfCancelled(): void {
    if (this.#cancelled.signal.aborted) throw new CodedError("cancelled", "Cancelled. What was flashed stays on the board.");
  }

  async #start(): Promise<void> {
    const worker = await this.#port.ready();
    await this.#throughRestarts(
      async () => {
        this.#set({ name: "starting" });
        this.info = await worker.hello();
        if (this.info.problem) throw new CodedError("link-no-model", this.info.problem);
        this.layers = await worker.layers();
      },
      () => "start",
    );
  }

  async #run(): Promise<void> {
    const which = session.testSet;
    const set = which && session.samples[which];
    if (!which || !set) throw new CodedError("no-images", `There are no test images.\nDrop some in ${stepAs("data")}.`);
    const worker = await this.#port.ready();
    const total = Math.min(this.testCount, set.summary.count);
    const hertz = this.info?.cpuHz ?? 0;
    this.answers = [];
    this.comparison = undefined;
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

  async #unplugged(): Promise<void> {
    const kind = this.kind;
    await this.disconnect();
    await this.#fail("The board is gone", new PortError("port-lost"));
    this.kind = kind;
  }

  /** A failure becomes a notice. The port stays open when it still can be used. */
  async #session(work: () => Promise<void>): Promise<void> {
    this.trouble = undefined;
    this.failure = undefined;
    this.left = undefined;
    this.#cancelled = new AbortController();
    try {
      await work();
      this.#set({ name: "ready" });
    } catch (error) {
      const { code } = plainError(error);
      // A trap leaves the module's memory in an unknown state.
      if (code === "RuntimeError") this.#port.end();
      const title = code === "link-no-model" ? "The board was flashed, but can't run the model" : this.#title;
      const usable = code !== "RuntimeError" && !this.#owner?.lost;
      this.phase = { name: this.info && usable ? "ready" : "idle" };
      // A failed flash leaves the port in an unknown state: the next attempt opens it afresh.
      if (this.phase.name === "idle") {
        const owner = this.#owner;
        this.#owner = undefined;
        await owner?.close();
      }
      await this.#fail(code === "cancelled" ? "Cancelled" : title, error);
    }
  }

  get #title(): string {
    if (this.phase.name === "returning") return this.left === "start" ? failures.returning : failures.flashing;
    return failures[this.phase.name];
  }

  async #fail(title: string, error: unknown): Promise<void> {
    const { code } = plainError(error);
    this.trouble = (await this.#words(title, error)) ?? explain(title, error);
    this.failure = code;
    this.changed();
  }

  /** The engine's, for an error that has none of its own. */
  async #words(title: string, error: unknown): Promise<Trouble | undefined> {
    const { code, message } = plainError(error);
    if (message !== "") return undefined;
    const worker = await this.#port.ready().catch(() => undefined);
    const words = await worker?.portTrouble(code as PortTrouble, onLinux).catch(() => undefined);
    return words && { title, lines: [words.message, ...words.remedies] };
  }
}

/** Of a model that the runtime takes: there is no loader that counts. */
const throughTheLink = (doneBytes: number, totalBytes: number, elapsedMs: number): FlashProgress => ({
  phase: "writing",
  segment: "model",
  doneBytes,
  totalBytes,
  skippedBytes: 0,
  wireOut: 0,
  wireIn: 0,
  roundTrips: 0,
  elapsedMs,
});

export const board = new Board();
