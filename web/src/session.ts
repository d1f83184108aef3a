/** What the page knows, in one place. The steps are views of it. */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import type { Evaluation, Inspection, NamedFile, Options, Preprocess, SamplesSummary, TableInfo, WantedInput } from "fixpoint";

import { Engine } from "./engine.ts";
import { count, plural } from "./format.ts";
import { type Forecast, forecast } from "./predict.ts";
import { plainError } from "./rpc.ts";
import type { Progress, Reading, Result, Which } from "./workers/engine.worker.ts";

/** What went wrong, in words; further lines are the next steps. */
export interface Trouble {
  title: string;
  lines: string[];
}

export interface ModelState {
  fileName: string;
  fileBytes: number;
  file: NamedFile;
  reading: Reading;
  inspection: Inspection;
  /** Dimensions of the first input. */
  dims: number[];
}

export interface SampleState {
  /** What was dropped, for the reader. */
  source: string;
  files: NamedFile[];
  summary: SamplesSummary;
}

/** A table whose exponents are used instead of calibrated ones. */
export interface TableState {
  file: NamedFile;
  info: TableInfo;
}

export interface Accuracy {
  which: Which;
  float: Evaluation;
  quantized: Evaluation;
}

export interface Outcome extends Result {
  /** Counts the results of this session from 1. */
  run: number;
  seconds: number;
  calibrated: { count: number; of: number; spread: boolean };
  /** Where the exponents are from, if not from calibration. */
  table: string | undefined;
  accuracy: Accuracy | undefined;
  /** What it will take on a chip; undefined while that is being found out. */
  forecast: Forecast | undefined;
}

export type Busy = "model" | "calibration" | "evaluation" | "table" | "quantize";

/** The page's own sample: a small convolutional network for digits, made for this page. */
export const sample = {
  model: "samples/digits-cnn.onnx",
  calibration: "samples/digits-calib.npz",
  evaluation: "samples/digits-eval.npz",
} as const;

export class Session extends EventTarget {
  readonly engine = new Engine();

  model: ModelState | undefined;
  /** The model's inputs, and how the values of each are read. */
  inputs: WantedInput[] = [];
  /** `inputs`' settings in words. */
  rules: string[] = [];
  samples: Partial<Record<Which, SampleState>> = {};
  table: TableState | undefined;
  calibrationCount = 100;
  spread = false;
  /** What the user chose. */
  #request: Partial<Options> = {};
  /** All options, as the engine completes them; undefined until it is there. */
  options: Options | undefined;
  outcome: Outcome | undefined;
  /** True when something the outcome was made from has changed since. */
  stale = false;

  busy: Busy | undefined;
  progress: Progress | undefined;
  trouble: Partial<Record<Busy, Trouble>> = {};

  /** How the first input is read. */
  get preprocess(): Preprocess | undefined {
    return this.inputs[0]?.preprocess;
  }

  /** Tells every view. */
  changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  /** Where test samples come from: the evaluation set, or else the calibration set. */
  get testSet(): Which | undefined {
    if (this.samples.evaluation) return "evaluation";
    return this.samples.calibration ? "calibration" : undefined;
  }

  async openModel(file: NamedFile, reading: Reading = {}): Promise<void> {
    await this.#doing("model", `${file.path} can't be used`, async () => {
      const inspection = await this.engine.openModel(file.bytes, reading);
      const dims = inspection.inputs[0]?.dims ?? [];
      const before = this.model?.inspection.inputs;
      this.model = { fileName: file.path, fileBytes: file.bytes.length, file, reading, inspection, dims };
      this.#touch();
      await this.#refitTable();
      if (JSON.stringify(inspection.inputs) !== JSON.stringify(before)) {
        this.inputs = await this.#defaults(inspection);
        this.rules = await this.#rules();
        await this.#reload().catch((error: unknown) => {
          this.trouble.calibration = explain("The images don't fit this model and were put away", error);
        });
      }
    });
  }

  async openTable(file: NamedFile): Promise<void> {
    await this.#doing("table", `${file.path} can't be used as a table`, async () => {
      this.table = { file, info: await this.engine.openTable(file.bytes) };
      this.#touch();
    });
  }

  async dropTable(): Promise<void> {
    this.table = undefined;
    delete this.trouble.table;
    this.#touch();
    this.changed();
    await this.engine.dropTable();
  }

  /** The table that was there is used with a new model too, if it is one for it. */
  async #refitTable(): Promise<void> {
    const before = this.table;
    delete this.trouble.table;
    if (!before) return;
    this.table = undefined;
    if (this.taken) return;
    await this.engine.openTable(before.file.bytes).then(
      (info) => {
        this.table = { file: before.file, info };
      },
      (error: unknown) => {
        this.trouble.table = explain(`${before.file.path} doesn't fit this model and was put away`, error);
      },
    );
  }

  /** The page around could not give what it promised. */
  refuse(message: string): void {
    this.trouble.model = { title: "The model of this page can't be loaded", lines: [message] };
    this.changed();
  }

  async openSamples(which: Which, source: string, files: NamedFile[]): Promise<void> {
    await this.#doing(which, "These files give no samples", async () => {
      await this.#load(which, source, files);
      this.#touch();
    });
  }

  async dropSamples(which: Which): Promise<void> {
    delete this.samples[which];
    delete this.trouble[which];
    this.#touch();
    this.changed();
    await this.engine.dropSamples(which);
  }

  /** Reads the same files again with other settings for input number `input`. */
  async setPreprocess(preprocess: Preprocess, input = 0): Promise<void> {
    this.inputs = this.inputs.map((one, i) => (i === input ? { ...one, preprocess } : one));
    await this.#doing("calibration", "The files can't be read with these settings", async () => {
      this.rules = await this.#rules();
      this.#touch();
      await this.#reload();
    });
  }

  async setOptions(request: Partial<Options>): Promise<void> {
    this.#request = { ...this.#request, ...request };
    this.#touch();
    await this.completeOptions();
  }

  /** A failure shows itself in the next thing that needs the engine. */
  async completeOptions(): Promise<void> {
    const request = this.#request;
    const options = await this.engine.options(request).catch(() => undefined);
    if (options && request === this.#request) this.options = options;
    this.changed();
  }

  setCalibration(calibrationCount: number, spread: boolean): void {
    this.calibrationCount = calibrationCount;
    this.spread = spread;
    this.#touch();
    this.changed();
  }

  async openSample(): Promise<void> {
    const get = async (path: string): Promise<NamedFile> => {
      const response = await fetch(path);
      if (!response.ok) throw new Error(`The sample ${path} is missing on the server (${response.status}).`);
      return { path: path.split("/").at(-1) ?? path, bytes: new Uint8Array(await response.arrayBuffer()) };
    };
    let files: NamedFile[] = [];
    await this.#doing("model", "The sample can't be loaded", async () => {
      files = await Promise.all([get(sample.model), get(sample.calibration), get(sample.evaluation)]);
    });
    const [model, calibration, evaluation] = files;
    if (!model || !calibration || !evaluation) return;
    await this.openModel(model);
    await this.openSamples("calibration", calibration.path, [calibration]);
    await this.openSamples("evaluation", evaluation.path, [evaluation]);
  }

  /** True for a model whose own exponents and integers are used: nothing is left to calibrate. */
  get taken(): boolean {
    return this.model?.inspection.quantization?.fate === "taken";
  }

  /** True when the exponents are known without calibration. */
  get settled(): boolean {
    return this.taken || this.table !== undefined;
  }

  async quantize(): Promise<void> {
    const set = this.samples.calibration;
    if (!this.model || !(set || this.settled)) return;
    await this.#doing("quantize", "Not quantized", async () => {
      const begun = performance.now();
      const of = set?.summary.count ?? 0;
      const used = Math.min(this.calibrationCount, of);
      const result = await this.engine.quantize(used, this.spread, this.#request, this.#report);
      const calibrated = { count: used, of, spread: this.spread };
      const table = this.table?.file.path;
      const which = this.testSet;
      let accuracy: Accuracy | undefined;
      if (which) {
        const float = await this.engine.evaluateFloat(which, this.#report);
        const quantized = await this.engine.evaluateQuantized(which, float.predictions, this.#report);
        accuracy = { which, float, quantized };
      }
      const seconds = (performance.now() - begun) / 1000;
      const outcome: Outcome = { ...result, run: (this.outcome?.run ?? 0) + 1, calibrated, table, accuracy, seconds, forecast: undefined };
      this.outcome = outcome;
      this.stale = false;
      if (result.report.options.arithmetic === "fixpoint") {
        void forecast(result.image).then((found) => {
          outcome.forecast = found;
          this.changed();
        });
      }
    });
  }

  async cancel(): Promise<void> {
    await this.engine.cancel();
  }

  readonly #report = (progress: Progress): void => {
    this.progress = progress;
    this.changed();
  };

  #touch(): void {
    if (this.outcome) this.stale = true;
  }

  async #load(which: Which, source: string, files: NamedFile[]): Promise<void> {
    if (this.inputs.length === 0) {
      throw new Error(
        this.model
          ? "The shape of the model's input is not known: export it with a fixed one (only the batch may be open)."
          : "Give the model first: its input says how images are read.",
      );
    }
    const summary = await this.engine.loadSamples(which, files, this.inputs, this.#report);
    this.samples[which] = { source, files, summary };
  }

  /**
   * An input alone is read from pixels, whatever holds bytes. Of several it can't be told which are
   * pictures: they take the arrays' values, unless the user says otherwise. None without a known shape.
   */
  async #defaults({ inputs }: Inspection): Promise<WantedInput[]> {
    const wanted: WantedInput[] = [];
    for (const { name, dims } of inputs) {
      if (!dims || dims.length === 0) return [];
      const preprocess = await this.engine.defaultPreprocess(dims);
      wanted.push({ name, dims, preprocess: inputs.length > 1 ? { ...preprocess, arrays: "values" } : preprocess });
    }
    return wanted;
  }

  #rules(): Promise<string[]> {
    return Promise.all(this.inputs.map(({ preprocess }) => this.engine.pixelRule(preprocess)));
  }

  async #reload(): Promise<void> {
    let failure: unknown;
    for (const which of ["calibration", "evaluation"] as const) {
      const set = this.samples[which];
      if (!set) continue;
      try {
        await this.#load(which, set.source, set.files);
      } catch (error) {
        // What was read with the old settings would mislead; the other set still gets its turn.
        delete this.samples[which];
        await this.engine.dropSamples(which);
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** One thing at a time; a failure becomes a notice and leaves everything else as it was. */
  async #doing(busy: Busy, title: string, work: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = busy;
    this.progress = undefined;
    delete this.trouble[busy];
    this.changed();
    try {
      await work();
    } catch (error) {
      this.trouble[busy] = explain(plainError(error).code === "cancelled" ? "Cancelled" : title, error);
    } finally {
      this.busy = undefined;
      this.progress = undefined;
      this.changed();
    }
  }
}

export function explain(title: string, error: unknown): Trouble {
  return { title, lines: plainError(error).message.split("\n").filter((line) => line.trim() !== "") };
}

export const session = new Session();
void session.completeOptions();

/** Redraws an element whenever the session changes. */
export class Watch implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #listener = (): void => this.#host.requestUpdate();

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }
  hostConnected(): void {
    session.addEventListener("change", this.#listener);
  }
  hostDisconnected(): void {
    session.removeEventListener("change", this.#listener);
  }
}

/** The state of each step in a few words, for the rail. */
export function stations(): { step: "model" | "data" | "quantize"; name: string; state: string; done: boolean }[] {
  const { model, samples, outcome, stale } = session;
  const calibration = samples.calibration?.summary.count;
  return [
    {
      step: "model",
      name: "Model",
      state: model ? model.fileName : "none yet",
      done: model !== undefined && model.inspection.problems.length === 0,
    },
    {
      step: "data",
      name: "Images",
      state: calibration === undefined ? "none yet" : count(calibration),
      done: calibration !== undefined,
    },
    {
      step: "quantize",
      name: "Quantize",
      state: outcome ? (stale ? "out of date" : plural(outcome.report.layers.length, "layer")) : "not yet",
      done: outcome !== undefined && !stale,
    },
  ];
}
