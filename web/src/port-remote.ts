/** The page's side of the port worker: started when it is first needed, and anew after it was ended. */
import { module, unloaded } from "./module.ts";
import { type Remote, connect } from "./rpc.ts";
import type { PortWorkerService } from "./workers/port.worker.ts";

export class PortRemote {
  /** Undefined before the first start and after the end. */
  running: Promise<Remote<PortWorkerService>> | undefined;
  #terminate = (): void => {};

  ready(): Promise<Remote<PortWorkerService>> {
    this.running ??= this.#start().catch((error: unknown) => {
      this.running = undefined;
      throw error;
    });
    return this.running;
  }

  end(): void {
    this.#terminate();
    this.running = undefined;
  }

  async #start(): Promise<Remote<PortWorkerService>> {
    const compiled = await module();
    const worker = new Worker(new URL("./workers/port.worker.ts", import.meta.url), { type: "module" });
    const { remote, abandon } = connect<PortWorkerService>(worker);
    this.#terminate = () => worker.terminate();
    // Its file could not be had: nothing would ever answer.
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      abandon(unloaded());
      this.end();
    });
    await remote.start(compiled);
    return remote;
  }
}
