/** Runs a model once on the emulated chip, beside everything else. */
import { init, predict } from "fixpoint";
import type { Firmware, Prediction } from "fixpoint";

import { serve } from "../rpc.ts";

const service = {
  async run(module: WebAssembly.Module, firmware: Firmware, image: Uint8Array): Promise<Prediction> {
    await init(module);
    return predict(firmware, image);
  },
};

export type PredictService = typeof service;

serve(service, self as unknown as Worker);
