/** `<fx-app>`: masthead, rail, the four steps. */
import { html, nothing, type TemplateResult } from "lit";

import "./elements/dropzone.ts";
import "./elements/status.ts";
import "./steps/board.ts";
import "./steps/data.ts";
import "./steps/model.ts";
import "./steps/quantize.ts";
import { board } from "./board.ts";
import { trouble } from "./elements/notice.ts";
import { PlainElement } from "./elements/plain.ts";
import { embedded, joinFrame, shows, stepAs } from "./framed.ts";
import { Watch, session, stations } from "./session.ts";

export class App extends PlainElement {
  constructor() {
    super();
    new Watch(this);
    board.addEventListener("change", () => this.requestUpdate());
  }

  override connectedCallback(): void {
    super.connectedCallback();
    // A file dropped beside a zone would replace the page, and with it everything in it.
    for (const type of ["dragover", "drop"] as const) {
      window.addEventListener(type, (event) => event.preventDefault());
    }
    window.addEventListener("beforeunload", (event) => {
      if (board.flashing) event.preventDefault();
    });
  }

  override firstUpdated(): void {
    joinFrame();
  }

  override render(): TemplateResult {
    const rail = [...stations(), { step: "board", name: "Board", state: board.station, done: board.done } as const];
    return html`
      ${embedded
        ? nothing
        : html`<header class="page masthead">
            <h1>${mark} Fixpoint</h1>
            <p>
              From an ONNX file to an ESP32-S3 that runs it. Quantize with exponents you can see, flash over USB, and
              compare the board's answers with the simulator, bit for bit. Nothing leaves this computer.
            </p>
          </header>`}
      <nav class="rail" aria-label="Steps">
        <ol class="page">
          ${rail
            .filter(({ step }) => shows(step))
            .map(
              ({ step, name, state, done }) => html`<li>
                <a href=${`#step-${step}`} data-state=${done ? "done" : "open"}>
                  <span class="name">${name}</span>
                  <span class="state">${done ? html`<span aria-hidden="true">✓ </span>` : ""}${state}</span>
                </a>
              </li>`,
            )}
        </ol>
      </nav>
      <main class="page">
        ${embedded ? html`<h1 class="visually-hidden">Fixpoint</h1>` : nothing}
        ${shows("model") ? html`<fx-model-step></fx-model-step>` : trouble(session.trouble.model)}
        ${shows("data") ? html`<fx-data-step></fx-data-step>` : trouble(session.trouble.calibration)}
        ${shows("quantize") ? html`<fx-quantize-step></fx-quantize-step>` : nothing}
        ${shows("board") ? html`<fx-board-step></fx-board-step>` : nothing}
      </main>
      ${embedded
        ? nothing
        : html`<footer class="page colophon">
            <p>Fixpoint is open source, MIT or Apache-2.0. Models and images are processed on this computer only.</p>
          </footer>`}
      <fx-status text=${this.#spoken()}></fx-status>
    `;
  }

  #spoken(): string {
    const { busy, progress, outcome, stale } = session;
    if (board.spoken) return board.spoken;
    if (busy === "quantize" && progress) {
      return `Quantizing, ${progress.stage}, ${Math.round((100 * progress.done) / Math.max(1, progress.total))} percent`;
    }
    if (busy) return "Working";
    return outcome && !stale ? `Quantized. The results are in ${stepAs("quantize")}.` : "";
  }
}

const mark = html`<svg viewBox="0 0 32 32" aria-hidden="true">
  <rect width="32" height="32" rx="7" fill="#0b5f63"></rect>
  <path d="M8 8h12v4h-8v4h6v4h-6v6H8z" fill="#fff"></path>
  <circle cx="23" cy="24" r="3" fill="#8fe3d9"></circle>
</svg>`;

customElements.define("fx-app", App);
