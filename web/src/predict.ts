/** What a quantized model will take on a chip, before anything is flashed. */
import type { Prediction } from "fixpoint";

import { firmware } from "./firmware.ts";
import { module } from "./module.ts";
import { connect, plainError } from "./rpc.ts";
import type { PredictService } from "./workers/predict.worker.ts";

/** The emulator's estimates, or in words why there are none. */
export type Forecast = Prediction | { problem: string };

export async function forecast(image: Uint8Array): Promise<Forecast> {
  let worker: Worker | undefined;
  try {
    const [compiled, parts] = await Promise.all([module(), firmware()]);
    worker = new Worker(new URL("./workers/predict.worker.ts", import.meta.url), { type: "module" });
    return await connect<PredictService>(worker).remote.run(compiled, parts, image);
  } catch (error) {
    return { problem: plainError(error).message };
  } finally {
    worker?.terminate();
  }
}
