/**
 * The page's side of the engine worker.
 *
 * Cancelling means ending the worker: a quantizer deep in a loop reads no messages. What the
 * worker held is given to its successor again before the next call, so that nothing the user
 * dropped is lost.
 */
import type {
  Evaluation,
  Firmware,
  Inspection,
  LayerComparison,
  NamedFile,
  Options,
  Preprocess,
  RawOutput,
  Report,
  SamplesSummary,
  TableInfo,
  WantedInput,
} from "fixpoint";

import { module } from "./module.ts";
import { CodedError, connect, type Remote } from "./rpc.ts";
import type { EngineService, Progress, Reading, Result, TestCase, Which } from "./workers/engine.worker.ts";

type Listener = (progress: Progress) => void;

interface Loaded {
  files: NamedFile[];
  inputs: WantedInput[];
}

interface Running {
  worker: Worker;
  remote: Remote<EngineService>;
  abandon(error: Error): void;
}

export class Engine {
  #running: Promise<Running> | undefined;
  #model: { bytes: Uint8Array; reading: Reading } | undefined;
  #table: Uint8Array | undefined;
  #image: Uint8Array | undefined;
  readonly #samples = new Map<Which, Loaded>();

  async openModel(bytes: Uint8Array, reading: Reading): Promise<Inspection> {
    const inspection = await this.#call((remote) => remote.openModel(bytes, reading));
    this.#model = { bytes, reading };
    this.#table = undefined;
    return inspection;
  }

  /** A file's exponents for the open model, instead of calibrated ones; another model comes without. */
  async openTable(bytes: Uint8Array): Promise<TableInfo> {
    const info = await this.#call((remote) => remote.openTable(bytes));
    this.#table = bytes;
    return info;
  }

  async dropTable(): Promise<void> {
    this.#table = undefined;
    await this.#call((remote) => remote.dropTable());
  }

  defaultPreprocess(dims: number[]): Promise<Preprocess> {
    return this.#call((remote) => remote.defaultPreprocess(dims));
  }

  /** Settings in words, as `pixel / 255`. */
  pixelRule(preprocess: Preprocess): Promise<string> {
    return this.#call((remote) => remote.pixelRule(preprocess));
  }

  async loadSamples(
    which: Which,
    files: NamedFile[],
    inputs: WantedInput[],
    report: Listener,
  ): Promise<SamplesSummary> {
    const summary = await this.#call((remote) => remote.loadSamples(which, files, inputs, report));
    this.#samples.set(which, { files, inputs });
    return summary;
  }

  async dropSamples(which: Which): Promise<void> {
    this.#samples.delete(which);
    await this.#call((remote) => remote.dropSamples(which));
  }

  /** Samples as they go into the model's input number `input`. */
  values(which: Which, indexes: number[], input = 0): Promise<Float32Array[]> {
    return this.#call((remote) => remote.values(which, indexes, input));
  }

  /** All options: those in `request`, and the best for the rest. */
  options(request: Partial<Options>): Promise<Options> {
    return this.#call((remote) => remote.options(request));
  }

  async quantize(count: number, spread: boolean, request: Partial<Options>, report: Listener): Promise<Result> {
    const result = await this.#call((remote) => remote.quantize(count, spread, request, report));
    this.#image = result.image;
    return result;
  }

  /** An ESP-DL v1 project of the open model, zipped. */
  exportEspdl(report: Report, chip: Options["chip"], name: string): Promise<{ zip: Uint8Array; warnings: string[] }> {
    return this.#call((remote) => remote.exportEspdl(report, chip, name));
  }

  /** What a blank board needs, for other people's tools: a zip for ESP Web Tools, one image for esptool. */
  flashFiles(firmware: Firmware, image: Uint8Array, name: string): Promise<{ zip: Uint8Array; merged: Uint8Array }> {
    return this.#call((remote) => remote.flashFiles(firmware, image, name));
  }

  tablePickle(report: Report): Promise<Uint8Array> {
    return this.#call((remote) => remote.tablePickle(report));
  }

  evaluateFloat(which: Which, report: Listener): Promise<Evaluation> {
    return this.#call((remote) => remote.evaluateFloat(which, report));
  }

  evaluateQuantized(which: Which, reference: number[], report: Listener): Promise<Evaluation> {
    return this.#call((remote) => remote.evaluateQuantized(which, reference, report));
  }

  testCase(which: Which, index: number, label: number | null): Promise<TestCase> {
    return this.#call((remote) => remote.testCase(which, index, label));
  }

  compareLayers(inputs: Uint8Array[], layers: Uint8Array[]): Promise<LayerComparison[]> {
    return this.#call((remote) => remote.compareLayers(inputs, layers));
  }

  decodeOutput(index: number, bytes: Uint8Array): Promise<RawOutput> {
    return this.#call((remote) => remote.decodeOutput(index, bytes));
  }

  /** Ends whatever is running; the calls that wait reject with code `cancelled`. */
  async cancel(): Promise<void> {
    await this.#end(new CodedError("cancelled", "Cancelled. The model and the images are still here."));
  }

  async #end(error: Error): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    const { worker, abandon } = (await running) ?? {};
    worker?.terminate();
    abandon?.(error);
  }

  async #call<T>(work: (remote: Remote<EngineService>) => Promise<T>): Promise<T> {
    const { remote } = await this.#ready();
    try {
      return await work(remote);
    } catch (error) {
      // A trap leaves the instance's memory in an unknown state: the next call gets a fresh one.
      if (!(error instanceof CodedError) || error.code !== "RuntimeError") throw error;
      const crash = new CodedError(
        "crashed",
        `The program failed inside (${error.message}). Try again with fewer or smaller images; if it stays, please report it with the model.`,
      );
      await this.#end(crash);
      throw crash;
    }
  }

  #ready(): Promise<Running> {
    this.#running ??= this.#start().catch((error: unknown) => {
      this.#running = undefined;
      throw error;
    });
    return this.#running;
  }

  async #start(): Promise<Running> {
    const compiled = await module();
    const worker = new Worker(new URL("./workers/engine.worker.ts", import.meta.url), { type: "module" });
    const { remote, abandon } = connect<EngineService>(worker);
    // Running out of memory ends here as well: the worker is replaced by the next call.
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const why = event.message ? ` (${event.message})` : "";
      void this.#end(
        new CodedError("crashed", `The worker stopped unexpectedly${why}. Try again, with fewer or smaller images.`),
      );
    });
    await remote.start(compiled);
    if (this.#model) await remote.openModel(this.#model.bytes, this.#model.reading);
    if (this.#table) await remote.openTable(this.#table);
    for (const [which, { files, inputs }] of this.#samples) {
      await remote.loadSamples(which, files, inputs, () => {});
    }
    if (this.#image) await remote.openImage(this.#image);
    return { worker, remote, abandon };
  }
}
