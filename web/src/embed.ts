/**
 * `<fixpoint-app>`: the page inside another page. This module is the whole script that one adds.
 *
 * The page runs in a frame from the address of this module, because a worker can't be started from
 * another origin; `allow="serial"` passes the right to serial ports on to it. Files named by
 * attributes are fetched here, by the rules of the page around, and handed over as bytes.
 *
 * Attributes: `model`, `table`, `calibration` and `evaluation` are addresses of files; `sample` takes the
 * page's own instead; `hide` lists steps to leave out (`model`, `data`, `quantize`, `board`);
 * `label` names the frame for screen readers.
 */
import type { Hello, OpenFiles, ToFrame } from "./framed.ts";

// Not `new URL("index.html", import.meta.url)`: the bundler would take that for a file to copy.
const folder = new URL(".", import.meta.url);
const files = ["model", "table", "calibration", "evaluation"] as const;

class FixpointApp extends HTMLElement {
  #frame: HTMLIFrameElement | undefined;

  connectedCallback(): void {
    if (this.#frame) return;
    const address = new URL("index.html", folder);
    address.searchParams.set("embed", "");
    const hide = this.getAttribute("hide");
    if (hide) address.searchParams.set("hide", hide);
    const frame = document.createElement("iframe");
    frame.allow = "serial";
    frame.title = this.getAttribute("label") ?? "Fixpoint: quantize a model and flash it to an ESP32-S3";
    // Set one by one: a policy without inline styles refuses the attribute, not these.
    this.style.display = "block";
    Object.assign(frame.style, { display: "block", width: "100%", height: "40rem", border: "0" });
    frame.src = address.href;
    this.#frame = frame;
    window.addEventListener("message", this.#heard);
    this.append(frame);
  }

  disconnectedCallback(): void {
    window.removeEventListener("message", this.#heard);
    this.#frame?.remove();
    this.#frame = undefined;
  }

  readonly #heard = (event: MessageEvent): void => {
    const frame = this.#frame;
    if (!frame || event.source !== frame.contentWindow || event.origin !== folder.origin) return;
    const said = event.data as Hello;
    if (said?.fixpoint === "size") frame.style.height = `${said.height}px`;
    else if (said?.fixpoint === "ready") void this.#open();
  };

  async #open(): Promise<void> {
    if (this.hasAttribute("sample")) {
      this.#tell({ fixpoint: "sample" });
      return;
    }
    const given: OpenFiles = {};
    try {
      for (const name of files) {
        const address = this.getAttribute(name);
        if (address) given[name] = await get(new URL(address, document.baseURI));
      }
      if (given.model) this.#tell({ fixpoint: "open", files: given });
    } catch (error) {
      this.#tell({ fixpoint: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  }

  #tell(message: ToFrame): void {
    this.#frame?.contentWindow?.postMessage(message, folder.origin);
  }
}

async function get(address: URL): Promise<{ path: string; bytes: Uint8Array }> {
  const response = await fetch(address).catch(() => undefined);
  if (!response?.ok) {
    const why = response ? `the server answered ${response.status}` : "the server can't be reached or does not share it";
    throw new Error(`${address.href} could not be fetched: ${why}.`);
  }
  return { path: address.pathname.split("/").at(-1) ?? "file", bytes: new Uint8Array(await response.arrayBuffer()) };
}

customElements.define("fixpoint-app", FixpointApp);
