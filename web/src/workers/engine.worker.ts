/** The heavy half: reads models and samples, quantizes, simulates. Owns one instance of the module. */
import { Model, Samples, Simulator, exportEspdl, flashFiles, init, options, quantize, tablePickle, zipFiles } from "fixpoint";
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

import { CodedError, serve } from "../rpc.ts";

/** How a model's file is read where that is a choice. */
export interface Reading {
  /** A model that is quantized already is quantized again, from the values of its weights. */
  anew?: boolean;
  /** What sizes are that the file leaves open. */
  sizes?: Record<string, number>;
}

export interface Progress {
  stage: "read" | "calibrate" | "convert" | "measure" | "float" | "quantized";
  done: number;
  total: number;
}

export type Which = "calibration" | "evaluation";

export interface Result {
  image: Uint8Array;
  report: Report;
  reportJson: string;
  log: string;
}

/** What one test run on a board needs: bytes to send and the answer to expect. */
export interface TestCase {
  index: number;
  label: number | null;
  inputs: Uint8Array[];
  expected: RawOutput[];
}

let model: Model | undefined;
/** The model with a table's exponents. */
let tabled: Model | undefined;
const samples: Partial<Record<Which, Samples>> = {};
let simulator: Simulator | undefined;

function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CodedError("argument", `There is no ${what} yet.`);
  return value;
}

/** Twenty reports a second are plenty for a progress bar; the last one always gets through. */
function paced(report: (progress: Progress) => void): (stage: Progress["stage"], done: number, total: number) => void {
  let last = 0;
  return (stage, done, total) => {
    const now = performance.now();
    if (done < total && now - last < 50) return;
    last = now;
    report({ stage, done, total });
  };
}

const service = {
  async start(module: WebAssembly.Module): Promise<void> {
    await init(module);
  },

  openModel(bytes: Uint8Array, { anew, sizes }: Reading): Inspection {
    const opened = Model.fromOnnx(bytes, anew, sizes);
    model?.free();
    model = opened;
    service.dropTable();
    return opened.inspect();
  },

  /** A table's exponents for the open model, instead of calibrated ones. */
  openTable(bytes: Uint8Array): TableInfo {
    const opened = need(model, "model").withTable(bytes);
    service.dropTable();
    tabled = opened;
    return need(opened.table ?? undefined, "table");
  },

  dropTable(): void {
    tabled?.free();
    tabled = undefined;
  },

  defaultPreprocess(dims: number[]): Preprocess {
    return Samples.defaultPreprocess(Uint32Array.from(dims));
  },

  pixelRule(preprocess: Preprocess): string {
    return Samples.pixelRule(preprocess);
  },

  loadSamples(
    which: Which,
    files: NamedFile[],
    inputs: WantedInput[],
    report: (progress: Progress) => void,
  ): SamplesSummary {
    const [input, ...more] = inputs;
    const loaded =
      input && more.length === 0
        ? Samples.load(files, Uint32Array.from(input.dims), input.preprocess, 0, paced(report))
        : Samples.loadSeveral(files, inputs, 0);
    samples[which]?.free();
    samples[which] = loaded;
    return loaded.summary();
  },

  dropSamples(which: Which): void {
    samples[which]?.free();
    delete samples[which];
  },

  /** Of the model's input number `input`. */
  values(which: Which, indexes: number[], input: number): Float32Array[] {
    const set = need(samples[which], "set of samples");
    return indexes.map((index) => set.values(index, input));
  },

  options(request: Partial<Options>): Options {
    return options(request);
  },

  quantize(count: number, spread: boolean, request: Partial<Options>, report: (progress: Progress) => void): Result {
    // A model that brings its own exponents, or has a table's, needs no samples.
    const chosen = samples.calibration?.select(count, spread) ?? Samples.none();
    try {
      const made = quantize(tabled ?? need(model, "model"), chosen, request, paced(report));
      const { image, report: written, reportJson, log } = made;
      made.free();
      service.openImage(image);
      return { image, report: written, reportJson, log };
    } finally {
      chosen.free();
    }
  },

  /** Makes `image` the model that is simulated. */
  openImage(image: Uint8Array): void {
    const ready = new Simulator(image);
    simulator?.free();
    simulator = ready;
  },

  exportEspdl(report: Report, chip: Options["chip"], name: string): { zip: Uint8Array; warnings: string[] } {
    const { files, warnings } = exportEspdl(need(model, "model"), report, chip, name);
    return { zip: zipFiles(files), warnings };
  },

  flashFiles(firmware: Firmware, image: Uint8Array, name: string): { zip: Uint8Array; merged: Uint8Array } {
    const { manifest, merged, parts } = flashFiles(firmware, image, name);
    const files = parts.map(({ path, bytes }) => ({ name: path, contents: bytes }));
    return { zip: zipFiles([{ name: "manifest.json", contents: manifest }, ...files]), merged };
  },

  tablePickle(report: Report): Uint8Array {
    return tablePickle(need(model, "model"), report);
  },

  evaluateFloat(which: Which, report: (progress: Progress) => void): Evaluation {
    return need(model, "model").evaluate(need(samples[which], "set of samples"), paced(report));
  },

  evaluateQuantized(which: Which, reference: number[], report: (progress: Progress) => void): Evaluation {
    const set = need(samples[which], "set of samples");
    return need(simulator, "quantized model").evaluate(set, Uint32Array.from(reference), paced(report));
  },

  testCase(which: Which, index: number, label: number | null): TestCase {
    const ready = need(simulator, "quantized model");
    const set = need(samples[which], "set of samples");
    const values = ready.inputs.map((_, input) => set.values(index, input));
    const inputs = values.map((one, input) => ready.inputBytes(input, one));
    return { index, label, inputs, expected: ready.runRaw(values) };
  },

  compareLayers(inputs: Uint8Array[], layers: Uint8Array[]): LayerComparison[] {
    return need(simulator, "quantized model").compareLayers(inputs, layers);
  },

  decodeOutput(index: number, bytes: Uint8Array): RawOutput {
    return need(simulator, "quantized model").decodeOutput(index, bytes);
  },
};

export type EngineService = typeof service;

serve(service, self as unknown as Worker);
