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
  exportEspdl,
  flashFiles,
  options,
  portTrouble,
  predict,
  quantize as quantizeWith,
  tablePickle,
  zipFiles,
} from "./dist/fixpoint_wasm.js";

export {
  Flasher,
  Link,
  Model,
  Quantized,
  Samples,
  Simulator,
  VirtualBoard,
  diagnose,
  exportEspdl,
  flashFiles,
  options,
  portTrouble,
  predict,
  tablePickle,
  zipFiles,
};

let ready;

/** Loads the WebAssembly module once; later calls wait for the first. */
export function init(source) {
  ready ??= initialise(source === undefined ? undefined : { module_or_path: source }).then(() => undefined);
  return ready;
}

/** Quantizes `model` with the ranges seen on `samples`. */
export function quantize(model, samples, request = {}, progress = () => {}) {
  return quantizeWith(model, samples, request, progress);
}
