/** `<fx-downloads>`: what came out of quantizing, as files. */
import { html, nothing, type TemplateResult } from "lit";
import type { Options } from "fixpoint";

import { remarks, trouble } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { firmware } from "../firmware.ts";
import { save } from "../save.ts";
import { type Outcome, type Trouble, Watch, explain, session } from "../session.ts";

type Chip = Options["chip"];
const chips: readonly (readonly [Chip, string])[] = [
  ["esp32s3", "ESP32-S3"],
  ["esp32", "ESP32"],
  ["esp32s2", "ESP32-S2"],
  ["esp32c3", "ESP32-C3"],
];

/** Which files a problem is about. */
type Kind = "flash" | "espdl";

export class Downloads extends PlainElement {
  static override properties = { problem: { state: true }, notes: { state: true } };
  declare problem: Partial<Record<Kind, Trouble>>;
  declare notes: string[];
  #chip: Chip = "esp32s3";
  #name: string | undefined;
  #installName = "Fixpoint";

  constructor() {
    super();
    this.problem = {};
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
      ${outcome.report.options.arithmetic === "fixpoint" ? this.#flashing(outcome, busy !== undefined) : nothing}
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
          ${trouble(this.problem.espdl)}
          ${remarks(this.notes)}
          <pre class="log" tabindex="0" aria-label="Log in the style of ESP-DL's toolkit">${outcome.log}</pre>
        </div>
      </details>
    `;
  }

  #flashing(outcome: Outcome, busy: boolean): TemplateResult {
    return html`
      <details>
        <summary>For other flashing tools</summary>
        <div class="stack">
          <p class="small quiet">
            Bootloader, partition table, runtime and this model, for a board that holds nothing yet. Put the zip's files
            on a web space and name its manifest.json in the install button of ESP Web Tools; or write flash.bin from a
            command line: <code>esptool write-flash 0 flash.bin</code>
          </p>
          <div class="form">
            <div class="field">
              <label for="install-name">Name on the install button's page</label>
              <input
                id="install-name"
                type="text"
                autocomplete="off"
                required
                maxlength="80"
                .value=${this.#installName}
                @change=${(event: Event) => {
                  const input = event.target as HTMLInputElement;
                  if (input.reportValidity()) this.#installName = input.value;
                }}
              />
            </div>
          </div>
          <div class="row">
            <button type="button" ?disabled=${busy} @click=${() => this.#flashFiles(outcome, "zip")}>
              Download ESP Web Tools zip
            </button>
            <button type="button" ?disabled=${busy} @click=${() => this.#flashFiles(outcome, "merged")}>
              Download flash.bin
            </button>
          </div>
          ${trouble(this.problem.flash)}
        </div>
      </details>
    `;
  }

  /** What the user wrote, or else close to the model's own name. */
  #named({ report }: Outcome): string {
    return this.#name ?? identifier(report.model);
  }

  async #flashFiles({ image }: Outcome, which: "zip" | "merged"): Promise<void> {
    await this.#making("flash", "The files were not made", async () => {
      const files = await session.engine.flashFiles(await firmware(), image, this.#installName);
      if (which === "zip") save("fixpoint-flash.zip", files.zip, "application/zip");
      else save("flash.bin", files.merged);
    });
  }

  async #project(outcome: Outcome): Promise<void> {
    const { report } = outcome;
    const name = this.#named(outcome);
    await this.#making("espdl", "No project was made", async () => {
      const { zip, warnings } = await session.engine.exportEspdl(report, this.#chip, name);
      this.notes = warnings;
      save(`${name}-${this.#chip}.zip`, zip, "application/zip");
    });
  }

  async #pickle({ report }: Outcome): Promise<void> {
    await this.#making("espdl", "No table was made", async () => {
      save("table.pickle", await session.engine.tablePickle(report));
    });
  }

  async #making(kind: Kind, title: string, work: () => Promise<void>): Promise<void> {
    this.problem = {};
    this.notes = [];
    try {
      await work();
    } catch (error) {
      this.problem = { [kind]: explain(title, error) };
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
