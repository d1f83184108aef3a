// The package's front: the generated module's classes, and the two calls that make them handy.
import initialise, {
  Flasher,
  Link,
  Model,
  Quantized,
  Samples,
  Simulator,
  VirtualBoard,
  diagnose,
  flashFiles,
  quantize as quantizeWith,
} from "./dist/fixpoint_wasm.js";

export { Flasher, Link, Model, Quantized, Samples, Simulator, VirtualBoard, diagnose, flashFiles };

let ready;

/** Loads the WebAssembly module once; later calls wait for the first. */
export function init(source) {
  ready ??= initialise(source === undefined ? undefined : { module_or_path: source }).then(() => undefined);
  return ready;
}

export const defaultOptions = Object.freeze({
  bits: "int8",
  granularity: "per-tensor",
  method: "minmax",
  arithmetic: "fixpoint",
  input_exponent: null,
});

/** Quantizes `model` with the ranges seen on `samples`. */
export function quantize(model, samples, options = {}, progress = () => {}) {
  return quantizeWith(model, samples, { ...defaultOptions, ...options }, progress);
}
