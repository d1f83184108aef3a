/** The choices of step 3, and a table to use instead of most of them. */
import { html, nothing, type TemplateResult } from "lit";
import type { Options } from "fixpoint";

import type { Chosen } from "../elements/dropzone.ts";
import { remarks, trouble, working } from "../elements/notice.ts";
import { plural } from "../format.ts";
import { type TableState, session } from "../session.ts";

type Choice = readonly [string, string, string];
const widths: readonly Choice[] = [
  ["int8", "8 bits", "smallest and fastest"],
  ["int16", "16 bits", "closest to the float model"],
];
const granularities: readonly Choice[] = [
  ["per-tensor", "One exponent per layer", "as ESP-DL's tools do"],
  ["per-channel", "One exponent per channel", "more accurate for convolutions"],
];
const methods: readonly Choice[] = [
  ["minmax", "Min-max", "the whole range; nothing seen in calibration is clipped"],
  ["entropy", "Entropy", "clips rare extremes, least information lost"],
  ["percentile", "Percentile", "clips the most extreme values"],
  ["mse", "Least squares (MSE)", "smallest mean squared error"],
];
const arithmetics: readonly Choice[] = [
  ["fixpoint", "Fixpoint", "exact sums, one rounding; what the board runs"],
  ["espdl", "ESP-DL", "predicts what ESP-DL computes; can't be flashed"],
];

export function optionsForm(running: boolean): TemplateResult {
  const { table } = session;
  return html`
    <fieldset class="stack" ?disabled=${running || !session.options}>
      <legend class="visually-hidden">Options</legend>
      ${table ? nothing : calibrated()}
      <div class="table">${table ? tabled(table) : session.model ? tableZone() : nothing}</div>
      <details>
        <summary>Advanced</summary>
        <div class="form">
          ${radios("arithmetic", "Arithmetic", arithmetics)} ${table ? nothing : inputExponent()}
        </div>
      </details>
    </fieldset>
  `;
}

function calibrated(): TemplateResult {
  const { options } = session;
  return html`
    <div class="form">
      ${radios("bits", "Width", widths)} ${radios("granularity", "Weights", granularities)}
      <div class="field">
        <label for="method">Calibration method</label>
        <select
          id="method"
          @change=${(event: Event) => {
            const chosen = methods[(event.target as HTMLSelectElement).selectedIndex];
            if (chosen) void session.setOptions({ method: chosen[0] as Options["method"] });
          }}
        >
          ${methods.map(([value, label]) => html`<option ?selected=${options?.method === value}>${label}</option>`)}
          ${options ? nothing : html`<option hidden selected></option>`}
        </select>
        <span class="hint">${methods.find(([value]) => value === options?.method)?.[2]}</span>
      </div>
    </div>
  `;
}

const inputExponent = (): TemplateResult => html`
  <div class="field">
    <label for="input-exponent">Input exponent</label>
    <input
      id="input-exponent"
      type="number"
      min="-24"
      max="8"
      placeholder="from calibration"
      .value=${String(session.options?.input_exponent ?? "")}
      @change=${(event: Event) => {
        const { value, valueAsNumber } = event.target as HTMLInputElement;
        void session.setOptions({ input_exponent: value === "" ? null : Math.round(valueAsNumber) });
      }}
    />
    <span class="hint">Empty: chosen from the images.</span>
  </div>
`;

function radios(key: "bits" | "granularity" | "arithmetic", legend: string, choices: readonly Choice[]): TemplateResult {
  const now = session.options?.[key];
  return html`
    <fieldset class="choice">
      <legend>${legend}</legend>
      ${choices.map(
        ([value, label, hint]) => html`
          <label>
            <input
              type="radio"
              name=${key}
              value=${value}
              .checked=${now === value}
              @change=${() => session.setOptions({ [key]: value } as Partial<Options>)}
            />
            <span>${label}<small>${hint}</small></span>
          </label>
        `,
      )}
    </fieldset>
  `;
}

/** Where an existing table is given. */
const tableZone = (): TemplateResult => html`
  <details ?open=${session.busy === "table" || session.trouble.table !== undefined}>
    <summary>Use an existing quantization table</summary>
    <div class="stack">
      <p class="small quiet">
        Instead of calibrating: the pickle of ESP-DL's toolkit (it is read as data, nothing in it is executed), or
        report.json or table.json of this page, which hold the exponents of ESP-DL's rules whatever the arithmetic.
      </p>
      <fx-drop
        label="Drop a table here"
        button="Choose a table"
        accept=".json,.pickle,.pkl"
        compact
        ?disabled=${session.busy !== undefined}
        @fx-files=${(event: CustomEvent<Chosen>) => {
          const [file] = event.detail.files;
          if (file) void session.openTable(file);
        }}
      ></fx-drop>
      ${session.busy === "table" ? working(undefined, "Reading the table") : nothing} ${trouble(session.trouble.table)}
    </div>
  </details>
`;

/** What is used, and how to be rid of it. */
const tabled = ({ file, info }: TableState): TemplateResult => html`
  <div class="stack" id="table">
    <p>
      The exponents are those of <strong>${file.path}</strong>: ${info.bits}, ${info.granularity},
      ${plural(info.tensors, "tensor")}. Nothing is calibrated; images are needed only to measure and to test.
      <button type="button" class="plain" ?disabled=${session.busy !== undefined} @click=${() => session.dropTable()}>
        Calibrate instead
      </button>
    </p>
    ${remarks(info.warnings)}
  </div>
`;
