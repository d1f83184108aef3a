/** `<fx-downloads>`: what came out of quantizing, as files. */
import { html, nothing, type TemplateResult } from "lit";
import type { Options } from "fixpoint";

import { trouble } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { save } from "../save.ts";
import { type Outcome, type Trouble, Watch, explain, session } from "../session.ts";

type Chip = Options["chip"];
const chips: readonly (readonly [Chip, string])[] = [
  ["esp32s3", "ESP32-S3"],
  ["esp32", "ESP32"],
  ["esp32s2", "ESP32-S2"],
  ["esp32c3", "ESP32-C3"],
];

export class Downloads extends PlainElement {
  static override properties = { problem: { state: true }, notes: { state: true } };
  declare problem: Trouble | undefined;
  declare notes: string[];
  #chip: Chip = "esp32s3";
  #name: string | undefined;

  constructor() {
    super();
    this.problem = undefined;
    this.notes = [];
    new Watch(this);
  }

  override render(): TemplateResult | typeof nothing {
    const { outcome, stale, busy } = session;
    if (!outcome) return nothing;
    // These are made of the model that is open now, which may not be the one of the results.
    const closed = stale || busy !== undefined;
    return html`
      <h3 id="downloads-title">Files</h3>
      <div class="row" role="group" aria-labelledby="downloads-title">
        <button type="button" @click=${() => save("model.fxp", outcome.image)}>Download model.fxp</button>
        <button type="button" @click=${() => save("report.json", outcome.reportJson, "application/json")}>
          Download report.json
        </button>
      </div>
      <details>
        <summary>For ESP-DL projects</summary>
        <div class="stack">
          <p class="small quiet">
            C++ for ESP-DL v1: the coefficients as its own toolkit writes them, a class with the layers, and a program
            around it. The table holds the exponents of every tensor, for ESP-DL's toolkit and for this one.
          </p>
          <div class="form">
            <div class="field">
              <label for="espdl-chip">Chip</label>
              <select
                id="espdl-chip"
                @change=${(event: Event) => {
                  this.#chip = chips[(event.target as HTMLSelectElement).selectedIndex]?.[0] ?? "esp32s3";
                }}
              >
                ${chips.map(([value, label]) => html`<option ?selected=${value === this.#chip}>${label}</option>`)}
              </select>
            </div>
            <div class="field">
              <label for="espdl-name">Name of the files and the class</label>
              <input
                id="espdl-name"
                type="text"
                autocomplete="off"
                spellcheck="false"
                pattern="[A-Za-z_][A-Za-z0-9_]*"
                .value=${this.#named(outcome)}
                @change=${(event: Event) => {
                  const input = event.target as HTMLInputElement;
                  input.setCustomValidity("");
                  if (!input.checkValidity()) input.setCustomValidity("Letters, digits and _ only, and no digit first");
                  if (input.reportValidity()) this.#name = input.value;
                }}
              />
            </div>
          </div>
          <div class="row">
            <button type="button" ?disabled=${closed} @click=${() => this.#project(outcome)}>
              Download ESP-DL project
            </button>
            <button type="button" @click=${() => save("table.json", table(outcome), "application/json")}>
              Download table.json
            </button>
            <button type="button" ?disabled=${closed} @click=${() => this.#pickle(outcome)}>Download table.pickle</button>
            <button type="button" @click=${() => save("espdl-log.txt", outcome.log, "text/plain")}>Download the log</button>
          </div>
          ${stale ? html`<p class="small quiet">Quantize again for the project and the pickle.</p>` : nothing}
          ${trouble(this.problem)}
          ${this.notes.length > 0
            ? html`<div class="notice warn small">
                <strong>Please note</strong>
                <ul>
                  ${this.notes.map((note) => html`<li>${note}</li>`)}
                </ul>
              </div>`
            : nothing}
          <pre class="log" tabindex="0" aria-label="Log in the style of ESP-DL's toolkit">${outcome.log}</pre>
        </div>
      </details>
    `;
  }

  /** What the user wrote, or else close to the model's own name. */
  #named({ report }: Outcome): string {
    return this.#name ?? identifier(report.model);
  }

  async #project(outcome: Outcome): Promise<void> {
    const { report } = outcome;
    const name = this.#named(outcome);
    await this.#making("No project was made", async () => {
      const { zip, warnings } = await session.engine.exportEspdl(report, this.#chip, name);
      this.notes = warnings;
      save(`${name}-${this.#chip}.zip`, zip, "application/zip");
    });
  }

  async #pickle({ report }: Outcome): Promise<void> {
    await this.#making("No table was made", async () => {
      save("table.pickle", await session.engine.tablePickle(report));
    });
  }

  async #making(title: string, work: () => Promise<void>): Promise<void> {
    this.problem = undefined;
    this.notes = [];
    try {
      await work();
    } catch (error) {
      this.problem = explain(title, error);
    }
  }
}

/** The table alone, with the keys of ESP-DL's toolkit. */
const table = ({ report }: Outcome): string => `${JSON.stringify(report.tensors, null, 2)}\n`;

/** A C++ identifier close to the model's name. */
function identifier(name: string): string {
  const plain = name.replace(/\W+/g, "_").replace(/^_+|_+$/g, "");
  return plain === "" ? "model" : /^\d/.test(plain) ? `model_${plain}` : plain;
}

customElements.define("fx-downloads", Downloads);
