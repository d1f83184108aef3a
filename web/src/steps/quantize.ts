/** Step 3: options, progress, and what came out. */
import { html, nothing, type TemplateResult } from "lit";
import type { Options } from "fixpoint";

import { board } from "../board.ts";
import { KeepsFocus } from "../elements/focus.ts";
import { trouble, working } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { bytes, count, milliseconds, percent, plural } from "../format.ts";
import { numberOf, stepAs } from "../framed.ts";
import type { Forecast } from "../predict.ts";
import { type Accuracy, type Outcome, Watch, session } from "../session.ts";
import "./downloads.ts";
import { layerView } from "./layers.ts";

/**
 * What the firmware leaves for activations at least (a test asks a board), what it can use of PSRAM, and the size of
 * a model slot.
 */
const chip = { arena: 366 * 1024, psram: (15 << 20) - 128, modelPartition: 0x180000 } as const;

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

export class QuantizeStep extends PlainElement {
  constructor() {
    super();
    new Watch(this);
    new KeepsFocus(this, ".actions");
    board.addEventListener("change", () => this.requestUpdate());
  }

  override render(): TemplateResult {
    const { model, samples, busy, outcome, stale } = session;
    const ready = model && model.inspection.problems.length === 0 && (samples.calibration || session.taken);
    const running = busy === "quantize";
    return html`
      <section
        class="step"
        id="step-quantize"
        aria-labelledby="quantize-title"
        data-state=${outcome && !stale ? "done" : "open"}
      >
        <div class="numeral" aria-hidden="true">${numberOf("quantize")}</div>
        <div class="body">
          <div>
            <h2 id="quantize-title">Quantize</h2>
            <p class="lead">
              Every tensor becomes integers times a power of two. The result is run here by the same code that runs on
              the chip, so these figures are the board's.
            </p>
          </div>
          ${session.taken
            ? html`<p id="taken">
                This model is quantized already. Its exponents and integers are used as they are, so there is nothing to
                choose, and images are needed only to measure and to test.
              </p>`
            : this.#form(running)}
          <div class="row actions">
            <button
              type="button"
              class="primary"
              ?disabled=${!ready || busy !== undefined}
              aria-describedby="quantize-need"
              @click=${() => session.quantize()}
            >
              Quantize
            </button>
            ${running
              ? html`<button type="button" @click=${() => session.cancel()}>Cancel</button>`
              : html`<span class="quiet small" id="quantize-need">${this.#need()}</span>`}
          </div>
          ${running ? working(session.progress, "Starting") : nothing} ${trouble(session.trouble.quantize)}
          ${outcome ? results(outcome, stale) : nothing}
        </div>
      </section>
    `;
  }

  #need(): string {
    const { model, samples, outcome, stale } = session;
    if (!model) return "Needs a model and images.";
    if (model.inspection.problems.length > 0) return `This model has operations that can't be quantized, see ${stepAs("model")}.`;
    if (!samples.calibration && !session.taken) return "Needs calibration images.";
    return outcome && stale ? "Something has changed since the results below." : "";
  }

  #form(running: boolean): TemplateResult {
    const { options } = session;
    return html`
      <fieldset class="stack" ?disabled=${running || !options}>
        <legend class="visually-hidden">Options</legend>
        <div class="form">
          ${radios("bits", "Width", widths, options?.bits)}
          ${radios("granularity", "Weights", granularities, options?.granularity)}
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
        <details>
          <summary>Advanced</summary>
          <div class="form">
            ${radios("arithmetic", "Arithmetic", arithmetics, options?.arithmetic)}
            <div class="field">
              <label for="input-exponent">Input exponent</label>
              <input
                id="input-exponent"
                type="number"
                min="-24"
                max="8"
                placeholder="from calibration"
                .value=${String(options?.input_exponent ?? "")}
                @change=${(event: Event) => {
                  const { value, valueAsNumber } = event.target as HTMLInputElement;
                  void session.setOptions({ input_exponent: value === "" ? null : Math.round(valueAsNumber) });
                }}
              />
              <span class="hint">Empty: chosen from the images.</span>
            </div>
          </div>
        </details>
      </fieldset>
    `;
  }
}

function radios(key: "bits" | "granularity" | "arithmetic", legend: string, choices: readonly Choice[], now: string | undefined): TemplateResult {
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

function results(outcome: Outcome, stale: boolean): TemplateResult {
  const { report, accuracy, calibrated, image } = outcome;
  const fits = image.length <= chip.modelPartition && report.arena_bytes <= chip.psram;
  const { bits, granularity, arithmetic } = report.options;
  return html`
    <div class="stack" id="results" data-run=${outcome.run}>
      ${stale
        ? html`<div class="notice warn">
            <strong>Out of date</strong>The model, the images or the options have changed since. Quantize again.
          </div>`
        : nothing}
      <h3>
        ${report.model || "Model"}: ${bits}, ${granularity}, ${arithmetic} arithmetic,
        ${report.given ? "as the file has it" : html`${count(calibrated.count)} of ${plural(calibrated.of, "image")}`},
        ${outcome.seconds.toFixed(1)} s
      </h3>
      ${accuracyFacts(accuracy)}
      <dl class="facts">
        <div>
          <dt>Model image</dt>
          <dd id="image-bytes">${bytes(image.length)}</dd>
          <dd>${fit(image.length, chip.modelPartition, "model partition")}</dd>
        </div>
        <div>
          <dt>Working memory</dt>
          <dd id="arena-bytes">${bytes(report.arena_bytes)}</dd>
          <dd id="arena-place">${memory(report.arena_bytes)}</dd>
        </div>
        <div><dt>Multiply-adds</dt><dd>${count(report.macs)}</dd><dd>for one image</dd></div>
        ${arithmetic === "fixpoint" ? latency(outcome.forecast) : nothing}
      </dl>
      ${fits
        ? nothing
        : html`<div class="notice warn">
            <strong>This does not fit the board</strong>
            ${bits === "int16"
              ? "Use 8 bits, which halves both, or a smaller model."
              : "Use a smaller model or a smaller input."}
          </div>`}
      ${report.warnings.length > 0
        ? html`<div class="notice warn small">
            <strong>Please note</strong>
            <ul>
              ${report.warnings.map((warning) => html`<li>${warning}</li>`)}
            </ul>
          </div>`
        : nothing}
      ${outcome.forecast && "problem" in outcome.forecast && fits
        ? html`<div class="notice warn small" id="forecast-problem">
            <strong>No latency can be told before flashing</strong>${outcome.forecast.problem}
          </div>`
        : nothing}
      ${layerView(report, outcome.forecast)}
      <fx-downloads></fx-downloads>
    </div>
  `;
}

const weights = {
  flash: "read from flash in every run, but for those that fit internal memory",
  internal: "copied to internal memory",
  psram: "copied to internal memory as far as they fit, the rest to PSRAM",
} as const;

/** Before anything is flashed. */
const latency = (forecast: Forecast | undefined): TemplateResult => html`
  <div>
    <dt>Latency on a chip</dt>
    <dd id="forecast">
      ${forecast === undefined
        ? "being estimated"
        : "problem" in forecast
          ? "unknown"
          : `about ${milliseconds((1000 * forecast.cycles) / forecast.cpuHz)}`}
    </dd>
    <dd>
      the emulator's estimate, ESP32-S3 at
      240 MHz${forecast && "constants" in forecast ? `, weights ${weights[forecast.constants]}` : nothing}
    </dd>
  </div>
`;

/** Where the tensors go, and whether the board that was looked at last has that. */
function memory(need: number): string {
  if (need <= chip.arena || need > chip.psram) return fit(need, chip.arena, "arena in internal memory");
  const { chip: seen, info } = board;
  const there = info?.psramBytes || seen?.psramBytes;
  const yours = there ? `; yours has ${bytes(there)}` : seen ? "; yours has none" : "";
  return `runs partly from PSRAM, slower: needs a board with PSRAM${yours}`;
}

const fit = (need: number, room: number, what: string): string =>
  need <= room ? `fits the ${what}, ${bytes(room)}` : `✗ too big for the ${what}, ${bytes(room)}`;

function accuracyFacts(accuracy: Accuracy | undefined): TemplateResult | typeof nothing {
  if (!accuracy) return nothing;
  const { float, quantized, which } = accuracy;
  const shown = (value: number | null): string => (value === null ? "no labels" : percent(value));
  const lost = float.accuracy !== null && quantized.accuracy !== null ? quantized.accuracy - float.accuracy : undefined;
  const points = lost === undefined ? "" : `${lost < 0 ? "−" : "+"}${Math.abs(lost * 100).toFixed(2)} points`;
  return html`
    <dl class="facts">
      <div>
        <dt>Float model</dt>
        <dd class="big" id="accuracy-float">${shown(float.accuracy)}</dd>
        <dd>${float.accuracy === null ? "" : "right answers"}</dd>
      </div>
      <div>
        <dt>Quantized</dt>
        <dd class="big" id="accuracy-quantized">${shown(quantized.accuracy)}</dd>
        <dd>${lost === 0 ? "the same" : points}</dd>
      </div>
      <div>
        <dt>Agreement</dt>
        <dd class="big" id="agreement">${quantized.agreement === null ? "" : percent(quantized.agreement)}</dd>
        <dd>same answer as float</dd>
      </div>
      <div>
        <dt>Measured on</dt>
        <dd class="big">${count(quantized.n)}</dd>
        <dd>${which === "evaluation" ? "images of their own" : "images, those of the calibration among them"}</dd>
      </div>
    </dl>
  `;
}

customElements.define("fx-quantize-step", QuantizeStep);
