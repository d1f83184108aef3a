/**
 * Drives the flashing and link machines over a port that the page holds.
 *
 * It runs here and not beside the port because timers of a tab in the background are slowed to one
 * a second, and a loader's patience is shorter than that.
 */
import { Flasher, Link, diagnose, init, portTrouble } from "fixpoint";
import type {
  Action,
  BoardInfo,
  BoardLayer,
  Firmware,
  FlashEvent,
  FlashOptions,
  FlashProgress,
  FlashSummary,
  Inference,
  LinkEvent,
  NamedFile,
  PortTrouble,
  TroubleWords,
} from "fixpoint";

import { CodedError, connect, plainError, type Remote, serve } from "../rpc.ts";

/** What the page does for this worker. */
export type PortService = {
  write(bytes: Uint8Array): Promise<void>;
  setSignals(dtr: boolean, rts: boolean): Promise<void>;
  setBaud(rate: number): Promise<void>;
  console(text: string): void;
};

/** What is flashed: the runtime with a model, or another project's manifest with its files. */
export type Images = { firmware: Firmware; model: Uint8Array } | { files: NamedFile[] };

export type FlashReport = { progress: FlashProgress; events: FlashEvent[] };

let port: Remote<PortService> | undefined;
let link: Link | undefined;
let flasher: Flasher | undefined;
let lost = false;
/** What the board printed after its restart while the flasher listened: the link does not get to see it. */
let heard = "";
let working = false;
let wake: (() => void) | undefined;

/** Until the time, or until bytes come or the port goes. */
function pause(until: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, Math.max(0, until - performance.now()));
    wake = done;
    function done(): void {
      clearTimeout(timer);
      wake = undefined;
      resolve();
    }
  });
}

async function act(action: Action): Promise<void> {
  const { write, setSignals, setBaud } = attached();
  switch (action.do) {
    case "write":
      return write(action.bytes);
    case "signals":
      return setSignals(action.dtr, action.rts);
    case "baud":
      return setBaud(action.rate);
    case "wait":
      return pause(action.until);
  }
}

function attached(): Remote<PortService> {
  if (!port || lost) throw portLost();
  return port;
}

/** Without words, as the page's own. */
const portLost = (): CodedError => new CodedError("port-lost", "");

/** Runs the link's job to its end and gives the event that is its result. */
async function job<T extends LinkEvent["type"]>(
  begin: (link: Link) => void,
  wanted: T,
  report: (event: LinkEvent) => void = () => {},
): Promise<Extract<LinkEvent, { type: T }>> {
  link ??= new Link();
  const client = link;
  begin(client);
  working = true;
  try {
    return await finish(client, wanted, report);
  } finally {
    working = false;
  }
}

async function finish<T extends LinkEvent["type"]>(
  client: Link,
  wanted: T,
  report: (event: LinkEvent) => void,
): Promise<Extract<LinkEvent, { type: T }>> {
  let result: Extract<LinkEvent, { type: T }> | undefined;
  for (;;) {
    const action = client.poll(performance.now());
    switch (action.do) {
      case "event":
        if (action.event.type === "console") void attached().console(action.event.text);
        else if (action.event.type === wanted) result = action.event as Extract<LinkEvent, { type: T }>;
        else report(action.event);
        break;
      case "done":
        if (result) return result;
        throw new CodedError("cancelled", "Cancelled.");
      case "failed":
        throw new CodedError(action.error.code, action.error.message);
      default:
        await act(action);
    }
    if (lost) throw portLost();
  }
}

const service = {
  async start(module: WebAssembly.Module): Promise<void> {
    await init(module);
  },

  attach(channel: MessagePort): void {
    port = connect<PortService>(channel).remote;
    service.returned();
  },

  /** The port is there, or there again after a restart. */
  returned(): void {
    lost = false;
    link?.free();
    link = new Link();
  },

  portTrouble(code: PortTrouble, linux: boolean): TroubleWords {
    return portTrouble(code, linux);
  },

  received(bytes: Uint8Array): void {
    if (flasher) flasher.onBytes(bytes);
    else link?.onBytes(bytes);
    wake?.();
    // A job takes the link's events itself.
    if (!flasher && !working) idle();
  },

  /** The port is gone. */
  lost(): void {
    lost = true;
    flasher?.onClosed();
    wake?.();
  },

  cancel(): void {
    flasher?.cancel();
    link?.cancel();
    wake?.();
  },

  async flash(images: Images, options: FlashOptions, report: (report: FlashReport) => void): Promise<FlashSummary> {
    const machine =
      "files" in images ? Flasher.ofFiles(images.files, options) : new Flasher(images.firmware, images.model, options);
    flasher = machine;
    let shown = 0;
    try {
      for (;;) {
        const action = machine.poll(performance.now());
        const events = machine.takeEvents();
        for (const event of events) {
          if (event.type !== "text") continue;
          const restarted = ["restarting", "done"].includes(machine.progress.phase);
          heard = restarted ? (heard + event.text).slice(-8192) : "";
          void port?.console(event.text);
        }
        const now = performance.now();
        if (events.length > 0 || now - shown > 100) {
          shown = now;
          report({ progress: machine.progress, events });
        }
        if (action.do === "done") return action.summary;
        if (action.do === "failed") {
          const { code, message, remedy } = action.error;
          throw new CodedError(code, `${message}\n${remedy}`);
        }
        try {
          await act(action);
        } catch (error) {
          // The machine words the end of its session itself: it knows what was going on.
          if (!lost) throw error;
          machine.onClosed();
        }
      }
    } finally {
      flasher = undefined;
      machine.free();
    }
  },

  async hello(): Promise<BoardInfo> {
    const before = heard;
    heard = "";
    try {
      return (await job((client) => client.connect(), "connected")).board;
    } catch (error) {
      // Silent now, but it has said why.
      if (plainError(error).code !== "link-silent" || before === "") throw error;
      const { code, message, remedies } = diagnose(before, before.length, "runtime");
      throw new CodedError(`link-${code}`, [message, ...remedies].join("\n"));
    }
  },

  async layers(): Promise<BoardLayer[]> {
    return (await job((client) => client.describeLayers(), "layers")).layers;
  },

  /** A new model through the running runtime; the board restarts at the end. */
  async updateModel(image: Uint8Array, report: (event: LinkEvent) => void): Promise<number> {
    return (await job((client) => client.updateModel(image), "updated", report)).id;
  },

  /** One run that stops behind every layer: the outputs of all. */
  async trace(inputs: Uint8Array[], layerBytes: number[], report: (done: number) => void): Promise<Uint8Array[]> {
    const outputs: Uint8Array[] = [];
    await job(
      (client) => client.trace(inputs, Uint32Array.from(layerBytes)),
      "inference",
      (event) => {
        if (event.type !== "layerOutput") return;
        outputs[event.layer] = event.bytes;
        report(outputs.length);
      },
    );
    return outputs;
  },

  infer(inputs: Uint8Array[], report: (event: LinkEvent) => void): Promise<Inference> {
    return job((client) => client.infer(inputs), "inference", report);
  },
};

/** Between jobs the board may still print. */
function idle(): void {
  for (;;) {
    const action = link?.poll(performance.now());
    if (action?.do !== "event") return;
    if (action.event.type === "console") void port?.console(action.event.text);
  }
}

export type PortWorkerService = typeof service;

serve(service, self as unknown as Worker);
