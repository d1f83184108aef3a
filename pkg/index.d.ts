/**
 * Quantize ONNX models to integers, simulate them bit for bit, flash them to an ESP32-S3 and run
 * them there. Everything runs where it is called; call the heavy parts from a worker.
 *
 * Every failure is an `Error` with a `code` (see {@link ErrorCode}). Objects of the classes below
 * live in WebAssembly memory: call `free()` when done with one.
 */

/** Loads the module; call and await once before anything else. */
export function init(source?: RequestInfo | URL | Response | BufferSource | WebAssembly.Module): Promise<void>;

export type ErrorCode =
  | "argument"
  | "import"
  | "unsupported"
  | "samples"
  | "quantize"
  | "simulate"
  | "flash"
  | "export";

/** `done` of `total` steps of `stage`. */
export type ProgressListener<Stage extends string> = (stage: Stage, done: number, total: number) => void;

// --- Models ---------------------------------------------------------------------------------

export interface ValueInfo {
  name: string;
  /** ONNX order, batch 1; null where it could not be worked out. */
  dims: number[] | null;
}

export interface NodeInfo {
  name: string;
  op: string;
  inputs: string[];
  outputs: ValueInfo[];
  macs: number;
  supported: boolean;
  /** Why not, and what to do. */
  reason: string | null;
}

export interface PassInfo {
  name: string;
  description: string;
  /** One line for every change. */
  changes: string[];
  nodes_before: number;
  nodes_after: number;
}

/** How a file is quantized already. */
export interface Quantization {
  form: "QDQ" | "QLinear" | "dynamic";
  /** In words; of a scheme that isn't Fixpoint's a tensor that shows it. */
  scheme: string;
  /**
   * `taken`: its exponents and integers are used as they are, without calibration. `refused`: its
   * scheme can't be followed exactly; `Model.fromOnnx(bytes, true)` quantizes it anew.
   */
  fate: "taken" | "requantized" | "refused";
}

/** A size that the file leaves open, besides an input's first, which is the batch. */
export interface OpenSize {
  /** The file's own word for it, or the input's name and the dimension, as `x[2]`. */
  name: string;
  /** The first dimension that has it, in words. */
  place: string;
  /** What `Model.fromOnnx` was told that it is; 1 of a batch, which needn't be told. */
  size: number | null;
}

export interface Inspection {
  name: string;
  producer: string;
  opset: number;
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  /** Weights and biases, in elements. */
  parameters: number;
  macs: number;
  /** The file's nodes. */
  original: NodeInfo[];
  /** The nodes after the passes, in execution order. */
  nodes: NodeInfo[];
  passes: PassInfo[];
  /** null for a float model. */
  quantization: Quantization | null;
  /** Sizes that the file leaves open. */
  open: OpenSize[];
  /** What stands in the way of quantizing; empty when nothing does. */
  problems: string[];
}

export interface Evaluation {
  /** 0..1; null without labels. */
  accuracy: number | null;
  n: number;
  /** 0..1: answers equal to the reference's; null without a reference. */
  agreement: number | null;
  predictions: number[];
}

/** A quantization table: exponents by tensor name, and what they are for. */
export interface TableInfo {
  bits: Options["bits"];
  granularity: Options["granularity"];
  /** How many tensors have an entry. */
  tensors: number;
  warnings: string[];
}

/** An ONNX model. */
export class Model {
  private constructor();
  /**
   * `anew`: of a model that is quantized already only the values of its weights are kept. `sizes`: what the sizes are
   * that the file leaves open, by name; an open batch is 1.
   */
  static fromOnnx(bytes: Uint8Array, anew?: boolean, sizes?: Record<string, number>): Model;
  inspect(): Inspection;
  /**
   * The model with a table's exponents, width and granularity instead of calibrated ones: `quantize` needs no
   * samples then. `table` is a report, exponents by tensor name, or a file's bytes: JSON with either, or the
   * pickle of ESP-DL's toolkit. `bits` is for tables that don't tell their width.
   */
  withTable(table: Report | Record<string, number[]> | Uint8Array, bits?: Options["bits"]): Model;
  /** null without a table. */
  readonly table: TableInfo | null;
  /** Accuracy of the float model. */
  evaluate(samples: Samples, progress: ProgressListener<"float">): Evaluation;
  free(): void;
}

// --- Samples --------------------------------------------------------------------------------

/** `(pixel * scale - mean[c]) / std[c]`; `mean` and `std` have one value, or one per channel. */
export interface Preprocess {
  channels: "grey" | "rgb" | "bgr";
  layout: "nchw" | "nhwc";
  scale: number;
  mean: number[];
  std: number[];
  resize: "stretch" | "crop-center" | "pad";
  /** Which arrays (.npy, .npz) hold pixels. */
  arrays: "bytes-are-pixels" | "pixels" | "values";
}

export interface NamedFile {
  /** Path below the dropped folder; the folder's name is the label. */
  path: string;
  bytes: Uint8Array;
}

export interface SamplesSummary {
  count: number;
  /** Dimensions of one sample of the first input, batch 1. */
  dims: number[];
  /** For each of the model's inputs: its dimensions, and how pixels became its values, where there were pixels. */
  inputs: { dims: number[]; pixels: string | null }[];
  labels: number[] | null;
  class_names: string[];
  names: string[];
  skipped: { path: string; reason: string }[];
  notes: string[];
}

/** An input of a model with several. */
export interface WantedInput {
  name: string;
  /** ONNX order, batch 1. */
  dims: number[];
  preprocess: Preprocess;
}

/** Samples shaped for a model's inputs. */
export class Samples {
  private constructor();
  /** `limit` 0: all. */
  static load(
    files: NamedFile[],
    dims: Uint32Array,
    preprocess: Preprocess,
    limit: number,
    progress: ProgressListener<"read">,
  ): Samples;
  /**
   * For a model with several inputs: an .npz with an array for each, or an .npy each, called as the inputs
   * are, or `x_0`, `x_1` and so on in the model's order.
   */
  static loadSeveral(files: NamedFile[], inputs: WantedInput[], limit: number): Samples;
  /** No samples: enough to `quantize` a model whose own exponents, or those of a table, are taken. */
  static none(): Samples;
  static defaultPreprocess(dims: Uint32Array): Preprocess;
  /** Settings in words, as `pixel / 255`. */
  static pixelRule(preprocess: Preprocess): string;
  summary(): SamplesSummary;
  /** One sample, in the order of input number `input` (0 when not given). */
  values(index: number, input?: number): Float32Array;
  /** A copy of `count` samples: the first, or spread evenly over all. */
  select(count: number, spread: boolean): Samples;
  free(): void;
}

// --- Quantizing -----------------------------------------------------------------------------

export interface Options {
  bits: "int8" | "int16";
  granularity: "per-tensor" | "per-channel";
  method: "minmax" | "entropy" | "percentile" | "mse";
  /** `espdl` predicts what ESP-DL computes; only `fixpoint` images run on the board. */
  arithmetic: "fixpoint" | "espdl";
  /** Overrides the exponent that calibration gives the input. */
  input_exponent: number | null;
  /** With `espdl`: the chip that is predicted. */
  chip: "esp32" | "esp32s2" | "esp32s3" | "esp32c3";
  /**
   * With `espdl`: what ESP-DL's evaluator computes where the chip differs. Refused for models with Sub, Mul,
   * mean pools or shared weights, which no image holds: use `fixpoint quantize --mimic-evaluator` there.
   */
  mimic_evaluator: boolean;
}

/** All options: those asked for, and for the rest what is best. */
export function options(request?: Partial<Options>): Options;

export interface TensorReport {
  name: string;
  dims: number[];
  exponent: number;
  range: [number, number];
}

export interface LayerReport {
  name: string;
  op: string;
  /** The activation fused into the layer. */
  activation: string | null;
  /** A reordering in memory that has no node in the ONNX graph. */
  inserted: boolean;
  inputs: string[];
  output: string;
  output_dims: number[];
  output_exponent: number;
  /**
   * None, one, or one per output channel: the model's channels, also where a transposed convolution runs as an
   * ordinary one with more of them (`output_dims`), of which several are then the same channel's.
   */
  weight_exponents: number[];
  /**
   * Powers of two by which the output's channels are larger than the model's, by the model's channels; none where
   * all are 0.
   */
  channel_powers: number[];
  range: [number, number];
  /** null: exact, or no signal. */
  sqnr_db: number | null;
  /** 0..1. */
  saturation: number;
  macs: number;
  accumulator_bits: number | null;
  weight_bytes: number;
  output_bytes: number;
}

/** What `report.json` holds. */
export interface Report {
  model: string;
  options: Options;
  /** The exponents and integers are those that the quantized file came with. */
  given: boolean;
  calibration_samples: number;
  measured_samples: number;
  inputs: TensorReport[];
  outputs: TensorReport[];
  layers: LayerReport[];
  /**
   * For each op of the image the layer, by its place in `layers`, that it is part of: some layers are done in strips,
   * a few rows at a time. Empty where each op is a layer.
   */
  steps: number[];
  /** Exponents by ONNX tensor name. */
  tensors: Record<string, number[]>;
  macs: number;
  image_bytes: number;
  arena_bytes: number;
  warnings: string[];
}

/** A quantized model. */
export class Quantized {
  private constructor();
  /** The model image (`model.fxp`). */
  readonly image: Uint8Array;
  readonly report: Report;
  /** `report.json`. */
  readonly reportJson: string;
  /** The lines that ESP-DL's toolkit prints. */
  readonly log: string;
  free(): void;
}

export function quantize(
  model: Model,
  samples: Samples,
  request?: Partial<Options>,
  progress?: ProgressListener<"calibrate" | "convert" | "measure">,
): Quantized;

// --- Exporting ------------------------------------------------------------------------------

export interface EspdlExport {
  /** Coefficients as ESP-DL's toolkit writes them, the model's class, a program around it. */
  files: { name: string; contents: string }[];
  /** What the toolkit prints. */
  log: string;
  warnings: string[];
}

/**
 * C++ for ESP-DL v1. `table` is what {@link Model.withTable} takes; `name` is a C++ identifier and names the files.
 */
export function exportEspdl(
  model: Model,
  table: Report | Record<string, number[]> | Uint8Array,
  chip: Options["chip"],
  name: string,
): EspdlExport;

/** The quantization table of a report as ESP-DL's toolkit keeps it: a pickled dictionary of scales. */
export function tablePickle(model: Model, report: Report): Uint8Array;

/** A zip, the same bytes for the same files: {@link exportEspdl}'s, {@link flashFiles}'s. */
export function zipFiles(files: { name: string; contents: string | Uint8Array }[]): Uint8Array;

// --- Simulating -----------------------------------------------------------------------------

export interface TensorInfo {
  name: string;
  dims: number[];
  exponent: number;
  bits: number;
}

/** Integers in ONNX order; real value = integer * 2^exponent. */
export interface RawOutput extends TensorInfo {
  data: number[];
}

/** How far a layer's output on a board is from the simulator's. */
export interface LayerComparison {
  name: string;
  elements: number;
  /** Elements that differ. */
  differing: number;
  /** Largest distance, in units of the output's exponent. */
  largest: number;
}

/** Runs a model image with the kernels that run on the chip. */
export class Simulator {
  constructor(image: Uint8Array);
  readonly inputs: TensorInfo[];
  readonly outputs: TensorInfo[];
  /** One sample: its values, or for a model with several inputs those of each. */
  runRaw(values: Float32Array | Float32Array[]): RawOutput[];
  /** The bytes a board gets for input `index`. */
  inputBytes(index: number, values: Float32Array): Uint8Array;
  /** Output `index` as it came from a board. */
  decodeOutput(index: number, bytes: Uint8Array): RawOutput;
  /** `inputs` as `inputBytes` gives them, `layers` as the events of `Link.trace` do, in order. */
  compareLayers(inputs: Uint8Array[], layers: Uint8Array[]): LayerComparison[];
  /** Accuracy, and agreement with `reference` (empty: none). */
  evaluate(samples: Samples, reference: Uint32Array, progress: ProgressListener<"quantized">): Evaluation;
  free(): void;
}

// --- Flashing -------------------------------------------------------------------------------

/** The images that make a board a Fixpoint board, as `firmware/prebuilt` holds them. */
export interface Firmware {
  bootloader: Uint8Array;
  partitionTable: Uint8Array;
  runtime: Uint8Array;
}

/** Where the weights are read from while a model runs: where they were flashed, or a copy made at the start. */
export type Constants = "flash" | "internal" | "psram";

/** What one run will take on a chip: the emulator's estimates. */
export interface Prediction {
  cpuHz: number;
  /** Bytes for tensors in internal memory. */
  arenaAvailable: number;
  /** The tensors are in PSRAM: slower, and only on a board that has some. */
  needsPsram: boolean;
  constants: Constants;
  cycles: number;
  /** Of each op of the image: see `Report.steps`. */
  layerCycles: number[];
}

/**
 * Boots `firmware` with a model image in the emulator, as it would be flashed, and runs it once on zeros. Throws
 * with a sentence about what doesn't fit.
 */
export function predict(firmware: Firmware, image: Uint8Array): Prediction;

export interface FlashOptions {
  link: "uart-bridge" | "usb-serial-jtag" | "usb-otg" | "plain";
  /** Rate for the transfer; the session starts at 115200 and goes down from this one when it does not work. */
  baud: number;
  stub: boolean;
  resetBefore: boolean;
  /** The loader may run already, as after a reset that took the port along: ask for it before any reset. */
  askFirst?: boolean;
  resetAfter: boolean;
  /** Leave out what the board already holds. */
  skipEqual: boolean;
}

/** What the driver of a machine does next. Times are those given to `poll`, in milliseconds. */
export type Action =
  | { do: "write"; bytes: Uint8Array }
  /** Set DTR, then RTS; true asserts. */
  | { do: "signals"; dtr: boolean; rts: boolean }
  | { do: "baud"; rate: number }
  /** Feed bytes until then, and poll again at the first. */
  | { do: "wait"; until: number };

export interface FlashFailure {
  code: string;
  message: string;
  /** What to do next. */
  remedy: string;
  bootLog: string | null;
}

export type FlashAction =
  | Action
  | { do: "done"; summary: FlashSummary }
  | { do: "failed"; error: FlashFailure };

export type FlashPhase =
  | "connecting"
  | "identifying"
  | "starting-stub"
  | "comparing"
  | "writing"
  | "verifying"
  | "restarting"
  | "done";

export interface FlashProgress {
  phase: FlashPhase;
  segment: string | null;
  doneBytes: number;
  totalBytes: number;
  skippedBytes: number;
  wireOut: number;
  wireIn: number;
  roundTrips: number;
  elapsedMs: number;
}

export interface ChipInfo {
  chip: string;
  revision: string;
  mac: string;
  flashBytes: number;
  flashId: number;
  psramBytes: number;
}

export type FlashEvent =
  | { type: "phase"; phase: FlashPhase }
  | { type: "text"; text: string }
  | { type: "note"; text: string }
  | ({ type: "chip" } & ChipInfo)
  | { type: "segment-skipped"; name: string; bytes: number }
  | { type: "segment-started"; name: string; bytes: number; compressed: number }
  | { type: "segment-written"; name: string; bytes: number };

export interface FlashSummary {
  chip: ChipInfo;
  segments: { name: string; role: string; offset: number; bytes: number; written: number }[];
  stub: boolean;
  baud: number;
  restarted: boolean;
  /** What was heard of the board after its restart. */
  start: "not-tried" | "running" | "booting" | "loader" | "port-changes" | "silent";
  progress: FlashProgress;
}

/** One flashing session: no I/O and no clock of its own. Drive it with `poll`. */
export class Flasher {
  /** `model` undefined flashes the runtime alone. */
  constructor(firmware: Firmware, model: Uint8Array | undefined, options: FlashOptions);
  /** For another project's images: a manifest.json of esp-web-tools and the files it names, or a zip of them. */
  static ofFiles(files: NamedFile[], options: FlashOptions): Flasher;
  poll(nowMs: number): FlashAction;
  onBytes(bytes: Uint8Array): void;
  onClosed(): void;
  cancel(): void;
  readonly progress: FlashProgress;
  takeEvents(): FlashEvent[];
  free(): void;
}

/** What is flashed on a blank board, as files for other people's tools. */
export interface FlashFiles {
  /** Text of esp-web-tools' `manifest.json`, which names the parts. */
  manifest: string;
  /** One image from offset 0, for `esptool write-flash 0`. */
  merged: Uint8Array;
  parts: { path: string; offset: number; bytes: Uint8Array }[];
}

/** `name` is what the install page shows; without `version` the manifest names this package's. */
export function flashFiles(
  firmware: Firmware,
  model: Uint8Array | undefined,
  name: string,
  version?: string,
): FlashFiles;

/** A trouble in words: what is the matter, and what to try, likeliest first. */
export interface TroubleWords {
  code: string;
  message: string;
  remedies: string[];
}

/** What a board's text since its reset says it is doing; `bytes` came, of any kind. */
export function diagnose(log: string, bytes: number, wanted: "loader" | "runtime"): TroubleWords;

/** Why there is no port to talk over, for the caller who found out. */
export type PortTrouble =
  | "port-busy"
  | "port-no-permission"
  | "port-not-found"
  /** It can't be opened, and the browser does not say why. */
  | "port-not-opened"
  | "port-open-here"
  | "port-not-allowed"
  | "port-not-chosen"
  | "port-lost"
  /** The board restarted, and its port did not come back. */
  | "port-away";

/** `linux`: whether the page runs there, where the user's rights may be the reason. */
export function portTrouble(code: PortTrouble, linux: boolean): TroubleWords;

// --- The link to a running board ------------------------------------------------------------

export interface BoardTensor extends TensorInfo {
  /** Bytes hold (H,W,C) where dims say (1,C,H,W). */
  channelsLast: boolean;
  bytes: number;
}

export interface BoardInfo {
  chip: string;
  firmware: string;
  /** True: a board in software, whose cycle counts are no measurements. */
  virtualBoard: boolean;
  cpuHz: number;
  flashBytes: number;
  /** Bytes for tensors in internal memory. */
  arenaAvailable: number;
  /** First four bytes of the SHA-256 at the end of the runtime's image, little-endian; 0 when unknown. */
  runtimeId: number;
  /** Bytes of the place for a second model that the board can write itself; 0 when it can't. */
  modelRoom: number;
  /** CPU cores that run the model; 0 when unknown. */
  cores: number;
  /** PSRAM in the package; 0 when there is none, or unknown. */
  psramBytes: number;
  /** Bytes of it for the tensors of models that need more than internal memory; 0 when it does not answer. */
  psramAvailable: number;
  constants: Constants;
  model: {
    id: number;
    name: string;
    bytes: number;
    arenaNeeded: number;
    layers: number;
    inputs: BoardTensor[];
    outputs: BoardTensor[];
  } | null;
  /** Why there is no model. */
  problem: string | null;
}

export interface BoardLayer {
  name: string;
  operator: string;
  /** Of its output, like what follows. */
  bytes: number;
  exponent: number;
  bits: number;
  /** ONNX order; empty when the firmware is too old to tell. */
  dims: number[];
  channelsLast: boolean;
}

export interface Inference {
  /** Bytes of every output as the image stores them. */
  outputs: Uint8Array[];
  cycles: number;
  /** Shorter than the model when the firmware keeps fewer. */
  layerCycles: number[];
}

export type LinkEvent =
  | { type: "console"; text: string }
  | { type: "connected"; board: BoardInfo }
  | { type: "layers"; layers: BoardLayer[] }
  | { type: "progress"; done: number; layers: number }
  /** Bytes of the new model that the board has. */
  | { type: "updating"; done: number; total: number }
  /** The board switches to the model with this id and restarts: connect anew. */
  | { type: "updated"; id: number }
  /** A layer of `trace` has run; its output as the board stores it. */
  | { type: "layerOutput"; layer: number; bytes: Uint8Array }
  | ({ type: "inference" } & Inference);

export type LinkAction =
  | Action
  | { do: "event"; event: LinkEvent }
  /** The job is finished, or there is none. */
  | { do: "done" }
  | { do: "failed"; error: { code: string; message: string } };

/** A client of the board's firmware: one job at a time. Drive it with `poll`. */
export class Link {
  constructor();
  connect(): void;
  describeLayers(): void;
  infer(inputs: Uint8Array[]): void;
  /**
   * One run that stops behind every layer to fetch its output. `layerBytes` are the sizes that the
   * `layers` event told. A firmware that is too old for it refuses.
   */
  trace(inputs: Uint8Array[], layerBytes: Uint32Array): void;
  /** A new model into the board's other model slot, without the loader; the old one runs until it is checked. */
  updateModel(image: Uint8Array): void;
  cancel(): void;
  onBytes(bytes: Uint8Array): void;
  poll(nowMs: number): LinkAction;
  free(): void;
}

// --- The virtual board ----------------------------------------------------------------------

export interface VirtualBoardOptions {
  flashBytes?: number;
  personality?: "uart-bridge" | "usb-serial-jtag" | "usb-otg";
  bootMode?: "auto" | "held-in-loader" | "no-auto-reset";
  /** 9: ESP32-S3. */
  chipId?: number;
  securityFlags?: number;
  /** An odd number of set bits: flash encryption is on. */
  flashCryptCnt?: number;
  /** Highest rate that the line carries. */
  maxBaud?: number;
  /** PSRAM in the package: 2, 4, 8 or 16 MiB, or 0. */
  psramBytes?: number;
  faults?: VirtualBoardFault[];
}

/** Something going wrong; bytes are counted from 0 over the board's life. */
export type VirtualBoardFault =
  | { fault: "flip-to-board" | "flip-to-host"; at: number; mask: number }
  | { fault: "drop-to-board" | "drop-to-host" | "duplicate-to-board" | "duplicate-to-host"; at: number }
  /** From this byte on nothing arrives for a while. */
  | { fault: "delay-to-host"; at: number; ms: number }
  /** The loader crashes at that byte from the host, and is silent until a reset. */
  | { fault: "hang-at"; at: number }
  /** The cable is pulled after so many bytes from the host. */
  | { fault: "disconnect-after"; bytes: number }
  /** The power fails in the middle of an erasure or programming of the flash, counted from 0, and comes back. */
  | { fault: "power-fails"; operation: number }
  /** The chip never answers. */
  | { fault: "mute" }
  | { fault: "stub-does-not-start" };

/** An ESP32-S3 in software, behind a serial line: ROM loader, flash, and what boots from it. */
export class VirtualBoard {
  constructor(flash?: Uint8Array, options?: VirtualBoardOptions);
  write(bytes: Uint8Array): void;
  read(): Uint8Array;
  setSignals(dtr: boolean, rts: boolean): void;
  setBaud(rate: number): void;
  /** It is now `nowMs` by any clock that never goes back. */
  tick(nowMs: number): void;
  /** The cable is put back, or the new device opened that came after a reset. */
  replug(): void;
  readonly connected: boolean;
  readonly flash: Uint8Array;
  /** Instructions that the application has executed since it was started. */
  readonly instructions: number;
  free(): void;
}
