/** Step 3: options, progress, and what came out. */
import { html, nothing, type TemplateResult } from "lit";

import { board } from "../board.ts";
import { KeepsFocus } from "../elements/focus.ts";
import { remarks, trouble, working } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { bytes, count, milliseconds, percent, plural } from "../format.ts";
import { numberOf, stepAs } from "../framed.ts";
import type { Forecast } from "../predict.ts";
import { type Accuracy, type Outcome, Watch, session } from "../session.ts";
import "./downloads.ts";
import { layerView } from "./layers.ts";
import { optionsForm } from "./options.ts";
import { onlySizesMissing } from "./sizes.ts";

/**
 * What the firmware leaves for activations at least (a test asks a board), what it can use of PSRAM, and the size of
 * a model slot.
 */
const chip = { arena: 366 * 1024, psram: (15 << 20) - 128, modelPartition: 0x180000 } as const;

export class QuantizeStep extends PlainElement {
  constructor() {
    super();
    new Watch(this);
    new KeepsFocus(this, ".actions");
    new KeepsFocus(this, ".table");
    board.addEventListener("change", () => this.requestUpdate());
  }

  override render(): TemplateResult {
    const { model, samples, busy, outcome, stale } = session;
    const ready = model && model.inspection.problems.length === 0 && (samples.calibration || session.settled);
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
            : optionsForm(running)}
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
    if (!model) return "Needs a model, and images or a table.";
    if (onlySizesMissing(model.inspection)) return `The size of the input is open, see ${stepAs("model")}.`;
    if (model.inspection.problems.length > 0) return `This model has operations that can't be quantized, see ${stepAs("model")}.`;
    if (!samples.calibration && !session.settled) return "Needs calibration images, or a table.";
    return outcome && stale ? "Something has changed since the results below." : "";
  }
}

function results(outcome: Outcome, stale: boolean): TemplateResult {
  const { report, accuracy, image } = outcome;
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
        ${origin(outcome)},
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
      ${remarks(report.warnings)}
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

/** Where the exponents are from. */
function origin({ report, calibrated, table }: Outcome): string {
  if (report.given) return "as the file has it";
  return table ? `exponents of ${table}` : `${count(calibrated.count)} of ${plural(calibrated.of, "image")}`;
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
