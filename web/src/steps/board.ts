/** Step 4: the board. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import type { FlashPhase, LayerComparison } from "fixpoint";

import "../elements/thumbnail.ts";
import type { Answer } from "../answers.ts";
import { board } from "../board.ts";
import { type Press, pressDrawing } from "../elements/buttons.ts";
import { KeepsFocus } from "../elements/focus.ts";
import { trouble } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { bytes, count, duration, milliseconds, percent, plural } from "../format.ts";
import { numberOf, stepAs } from "../framed.ts";
import type { SegmentState } from "../segments.ts";
import { Watch, session } from "../session.ts";
import { byLayer, comparedByLayer, layersOf } from "../strips.ts";
import { name } from "./data.ts";
import "./project.ts";

const phases: Record<FlashPhase, string> = {
  connecting: "Reaching the board's loader",
  identifying: "Reading which chip it is",
  "starting-stub": "Starting the fast loader",
  comparing: "Comparing with what is on the board",
  writing: "Writing",
  verifying: "Verifying what was written",
  restarting: "Restarting the board",
  done: "Flashed",
};

/** The failures whose advice is to press buttons. */
const presses: Record<string, Press> = {
  "no-answer": "loader",
  "not-in-loader": "loader",
  "link-silent": "restart",
  "link-download-mode": "restart",
  "link-lost": "restart",
  "port-away": "restart",
};

/** Written bytes are only right once all of them have been read back. */
const segmentState = (state: SegmentState["state"]): string =>
  state === "kept" ? "✓ already there" : state === "written" ? (board.flashed ? "✓ verified" : "written") : state;

export class BoardStep extends PlainElement {
  static override properties = { pictures: { state: true } };
  declare pictures: Map<number, Float32Array>;
  #follow = true;

  constructor() {
    super();
    this.pictures = new Map();
    new Watch(this);
    new KeepsFocus(this, ".actions");
    new KeepsFocus(this, ".compare");
    board.addEventListener("change", () => {
      this.requestUpdate();
      void this.#draw();
    });
  }

  override updated(_: PropertyValues): void {
    const view = this.querySelector<HTMLElement>("pre.console");
    if (view && this.#follow) view.scrollTop = view.scrollHeight;
  }

  override render(): TemplateResult {
    const { phase, busy, connected, supported } = board;
    const { outcome, stale } = session;
    const espdl = outcome?.report.options.arithmetic === "espdl";
    const ready = outcome !== undefined && !espdl && session.busy === undefined;
    const virtual = board.virtual && (busy || connected);
    const press = board.failure === undefined ? undefined : presses[board.failure];
    return html`
      <section class="step" id="step-board" aria-labelledby="board-title" data-state=${board.done ? "done" : "open"}>
        <div class="numeral" aria-hidden="true">${numberOf("board")}</div>
        <div class="body">
          <div>
            <h2 id="board-title">
              Flash &amp; Run ${virtual ? html`<span class="badge virtual">virtual board</span>` : nothing}
            </h2>
            <p class="lead">
              Writes bootloader, runtime and model to an ESP32-S3 over USB, checks them, restarts the board and sends it
              test images over the same cable.
            </p>
          </div>
          ${supported ? nothing : unsupported}
          ${outcome && stale
            ? html`<div class="notice warn">
                <strong>The quantized model is out of date</strong>What is flashed is the result shown in ${stepAs("quantize")}.
              </div>`
            : nothing}
          <div class="row actions">
            ${busy
              ? html`<button type="button" @click=${() => board.cancel()}>Cancel</button>`
              : html`
                  ${board.left
                    ? html`<button type="button" class="primary" @click=${() => board.goOn()}>Choose the board's port</button>`
                    : nothing}
                  <button
                    type="button"
                    class=${board.left ? "" : "primary"}
                    ?disabled=${!ready || !supported}
                    @click=${() => board.connectAndFlash("real")}
                  >
                    Connect &amp; Flash
                  </button>
                  <button type="button" ?disabled=${!ready} @click=${() => board.connectAndFlash("virtual")}>
                    Try it on a virtual board
                  </button>
                  ${connected
                    ? html`
                        <button type="button" ?disabled=${!ready} @click=${() => board.flashAgain()}>Flash again</button>
                        ${board.info
                          ? html`<button type="button" ?disabled=${!session.testSet} @click=${() => board.runAgain()}>
                              ${board.answers.length > 0 ? "Run the images again" : "Run the images"}
                            </button>`
                          : nothing}
                        <button type="button" @click=${() => board.disconnect()}>Disconnect</button>
                      `
                    : nothing}
                `}
          </div>
          ${this.#need(espdl)}
          <details>
            <summary>Settings</summary>
            <div class="form">
              <div class="field">
                <label for="test-count">Test images</label>
                <input
                  id="test-count"
                  type="number"
                  min="1"
                  max="1000"
                  .value=${String(board.testCount)}
                  ?disabled=${busy}
                  @change=${(event: Event) => {
                    const input = event.target as HTMLInputElement;
                    const n = Math.round(input.valueAsNumber);
                    if (n >= 1 && n <= 1000) board.testCount = n;
                    input.value = String(board.testCount);
                  }}
                />
                <span class="hint">Sent to the board one after another.</span>
              </div>
              <div class="field">
                <label for="baud">Speed of flashing (baud)</label>
                <select
                  id="baud"
                  ?disabled=${busy}
                  @change=${(event: Event) => {
                    board.baud = Number((event.target as HTMLSelectElement).value);
                  }}
                >
                  ${[115_200, 230_400, 460_800, 921_600].map(
                    (rate) => html`<option value=${rate} ?selected=${rate === board.baud}>${count(rate)}</option>`,
                  )}
                </select>
                <span class="hint">Lower it when flashing fails. Boards with built-in USB ignore it.</span>
              </div>
            </div>
          </details>
          ${trouble(board.trouble)} ${press ? pressDrawing(press) : nothing}
          ${virtual
            ? html`<div class="notice warn small">
                <strong>This is a virtual board</strong>
                An ESP32-S3 in software, in this page. It takes the flashed bytes through its loader, then boots that very
                image and runs it, instruction by instruction. The answers are the chip's; times are the emulator's
                estimates, not measurements.
              </div>`
            : nothing}
          ${phase.name === "connecting" ? bar("Opening the port") : nothing}
          ${phase.name === "flashing" || board.segments.list.length > 0 ? this.#flashing() : nothing}
          ${phase.name === "starting" ? bar("Waiting for the restarted board") : nothing}
          ${phase.name === "returning" ? bar("The board restarts: waiting for its port to come back") : nothing}
          ${phase.name === "running" ? bar(`Test image ${phase.done + 1} of ${phase.total}`, phase.done, phase.total) : nothing}
          ${phase.name === "comparing" ? bar(`Layer ${phase.done} of ${phase.total}`, phase.done, phase.total) : nothing}
          ${this.#chip()} ${board.answers.length > 0 ? this.#answers() : nothing}
          ${phase.name === "ready" && board.flashed && !session.testSet
            ? html`<p class="quiet" id="untested">
                The model is on the board. No images were sent to it, as there are none: add some in ${stepAs("data")} to
                compare its answers with the simulator's.
              </p>`
            : nothing}
          ${board.console === "" ? nothing : this.#console()}
          <fx-project></fx-project>
        </div>
      </section>
    `;
  }

  #need(espdl: boolean): TemplateResult | typeof nothing {
    if (!session.outcome) return html`<p class="quiet small">Needs a quantized model from ${stepAs("quantize")}.</p>`;
    if (espdl) {
      return html`<p class="quiet small">
        This model was made for ESP-DL's arithmetic, which the board does not run. Choose the Fixpoint arithmetic in
        ${stepAs("quantize")}, under Advanced.
      </p>`;
    }
    return nothing;
  }

  #flashing(): TemplateResult {
    const progress = board.phase.name === "flashing" ? board.phase.progress : board.summary?.progress;
    const label = progress ? phases[progress.phase] : "Starting";
    const running = board.phase.name === "flashing";
    const pace = board.phase.name === "flashing" ? board.phase.pace : undefined;
    return html`
      <div class="stack panel">
        ${running
          ? bar(
              label,
              progress && progress.totalBytes > 0 ? progress.doneBytes : undefined,
              progress?.totalBytes,
              pace ? `${bytes(pace.bytesPerSecond)}/s, ${duration(pace.secondsLeft)} left` : "",
            )
          : board.flashed
            ? html`<p class="verdict good">✓ Flashed and verified${onlyModel() ? ", the model alone: everything else was there" : ""}</p>`
            : html`<p class="verdict bad">✗ Not finished: flash again, what is right already is skipped</p>`}
        <ul class="segments">
          ${board.segments.list.map(
            ({ name, bytes: size, done, state }) => html`<li>
              <span>${name}</span>
              <progress aria-label=${name} max=${size} .value=${done}></progress>
              <span class="amount">${state === "writing" ? `${bytes(done)} of ${bytes(size)}` : segmentState(state)}</span>
            </li>`,
          )}
        </ul>
        ${progress && progress.totalBytes > 0
          ? html`<p class="small quiet">
              ${bytes(progress.doneBytes)} of ${bytes(progress.totalBytes)}${progress.skippedBytes > 0
                ? `, ${bytes(progress.skippedBytes)} of it already on the board`
                : ""}${progress.roundTrips > 0
                ? `; ${bytes(progress.wireOut)} sent in ${plural(progress.roundTrips, "message")}`
                : ""}${!board.virtual ? `, ${(progress.elapsedMs / 1000).toFixed(1)} s` : ""}.
            </p>`
          : nothing}
        ${board.notes.map((note) => html`<p class="small quiet">${note}</p>`)}
      </div>
    `;
  }

  #chip(): TemplateResult | typeof nothing {
    const { chip, info, virtual } = board;
    if (!chip && !info) return nothing;
    const model = info?.model;
    return html`
      <dl class="facts">
        ${chip
          ? html`<div>
              <dt>Chip</dt>
              <dd>${virtual ? "virtual " : ""}${chip.chip}</dd>
              <dd>
                revision ${chip.revision}, ${bytes(chip.flashBytes)} flash,
                ${chip.psramBytes > 0 ? bytes(chip.psramBytes) : "no"} PSRAM
              </dd>
            </div>`
          : nothing}
        ${info
          ? html`<div>
              <dt>Runtime</dt>
              <dd>${info.firmware}</dd>
              <dd>
                ${bytes(info.arenaAvailable)} for
                tensors${info.psramAvailable > 0
                  ? `, ${bytes(info.psramAvailable)} in PSRAM`
                  : info.psramBytes > 0
                    ? "; the PSRAM does not answer"
                    : nothing}
              </dd>
            </div>`
          : nothing}
        ${model
          ? html`<div>
              <dt>Model on the board</dt>
              <dd>${model.name || "unnamed"}</dd>
              <dd>id ${model.id.toString(16).padStart(8, "0")}, ${plural(model.layers, "layer")}</dd>
            </div>`
          : nothing}
      </dl>
    `;
  }

  #answers(): TemplateResult {
    const { answers, virtual } = board;
    const equal = answers.filter((answer) => answer.equal).length;
    const all = equal === answers.length;
    const judged = answers.filter(({ label }) => label !== null);
    const right = judged.filter(({ board: got, label }) => got === label).length;
    const times = answers.map((answer) => answer.milliseconds).filter((ms) => ms !== undefined);
    const mean = times.length > 0 ? times.reduce((a, b) => a + b, 0) / times.length : undefined;
    return html`
      <div class="notice ${all ? "good" : "bad"}" id="verdict">
        <strong>
          ${all ? "✓" : "✗"} Equal bit for bit with the simulator: ${equal} of ${answers.length}
        </strong>
        ${judged.length > 0 ? `${right} of ${judged.length} answers are right. ` : ""}
        ${mean === undefined
          ? ""
          : virtual
            ? `About ${milliseconds(mean)} for one image on a chip: the emulator's estimate, not a measurement.`
            : `${milliseconds(mean)} for one image on the chip, on average.`}
      </div>
      <div class="scroll" tabindex="0" role="group" aria-label="Answers of the board">
        <table id="answers">
          <thead>
            <tr>
              <th scope="col">Image</th>
              <th scope="col">Label</th>
              <th scope="col">${virtual ? "Virtual board" : "Board"}</th>
              <th scope="col">Simulator</th>
              <th scope="col">Bits</th>
              <th scope="col" class="n">${virtual ? "Estimated latency" : "Latency"}</th>
            </tr>
          </thead>
          <tbody>
            ${answers.map((answer) => this.#row(answer))}
          </tbody>
        </table>
      </div>
      ${this.#profile(answers.at(-1))}
    `;
  }

  #row(answer: Answer): TemplateResult {
    const which = session.testSet;
    const summary = which && session.samples[which]?.summary;
    const word = (label: number): string => summary?.class_names[label] ?? String(label);
    return html`
      <tr class="thumb-row">
        <th scope="row">
          ${this.pictures.has(answer.index)
            ? html`<fx-thumb
                .values=${this.pictures.get(answer.index)}
                .dims=${summary?.dims ?? []}
                ?channelsLast=${session.preprocess?.layout === "nhwc"}
                label=${`Image ${answer.index}`}
              ></fx-thumb>`
            : answer.index}
        </th>
        <td>${answer.label === null ? "" : summary ? name(summary, answer.index) : answer.label}</td>
        <td>
          ${word(answer.board)}
          ${answer.label === null ? nothing : answer.board === answer.label ? html`<span class="verdict good">✓</span><span class="visually-hidden"> right</span>` : html`<span class="verdict bad">✗</span><span class="visually-hidden"> wrong</span>`}
        </td>
        <td>${word(answer.simulator)}</td>
        <td>
          ${answer.equal
            ? html`<span class="verdict good">✓ equal</span>`
            : html`<span class="verdict bad">✗ different</span>`}
        </td>
        <td class="n">${answer.milliseconds === undefined ? "" : milliseconds(answer.milliseconds)}</td>
      </tr>
    `;
  }

  #profile(answer: Answer | undefined): TemplateResult | typeof nothing {
    if (!answer || answer.layerCycles.length === 0 || answer.milliseconds === undefined) return nothing;
    const report = session.outcome?.report;
    const of = layersOf(report, answer.layerCycles.length);
    const layerCycles = byLayer(of, answer.layerCycles);
    const sum = layerCycles.reduce((a, b) => a + b, 0);
    const macs = report?.layers.map((layer) => layer.macs) ?? [];
    const forecast = session.outcome?.forecast;
    const predicted = byLayer(of, forecast && "layerCycles" in forecast ? forecast.layerCycles : []);
    const comparison = board.comparison && comparedByLayer(report, of, board.comparison);
    return html`
      <details>
        <summary>${board.virtual ? "Estimated cycles" : "Cycles"} and bits of each layer</summary>
        <div class="row compare">
          <button type="button" id="compare-layers" ?disabled=${board.busy} @click=${() => board.compareLayers()}>
            Compare every layer with the simulator
          </button>
          ${comparison ? verdict(comparison) : html`<span class="quiet small">Stops the board behind each layer and reads what it has.</span>`}
        </div>
        <div class="scroll" tabindex="0" role="group" aria-label="Cycles of each layer">
          <table>
            <caption>
              The last test image, ${board.virtual ? "estimated by the emulator from the instructions it ran" : "counted by the chip"}.
            </caption>
            <thead>
              <tr>
                <th scope="col">Layer</th>
                <th scope="col">Type</th>
                <th scope="col" class="n">Cycles</th>
                <th scope="col" class="n">Predicted</th>
                <th scope="col" class="n">Share</th>
                <th scope="col" class="n">Multiply-adds per cycle</th>
                <th scope="col">Bits</th>
              </tr>
            </thead>
            <tbody>
              ${layerCycles.map((cycles, i) => {
                const op = of.indexOf(i);
                const strips = op === of.lastIndexOf(i) ? undefined : report?.layers[i];
                const layer = board.layers[op];
                const work = macs[i] ?? 0;
                return html`<tr>
                  <th scope="row">${strips?.name ?? layer?.name ?? i}</th>
                  <td>${strips ? `${strips.op} in strips` : (layer?.operator ?? "")}</td>
                  <td class="n">${count(cycles)}</td>
                  <td class="n">${predicted[i] === undefined ? "" : count(predicted[i])}</td>
                  <td class="n">${percent(cycles / Math.max(1, sum), 1)}</td>
                  <td class="n">${work > 0 && cycles > 0 ? (work / cycles).toFixed(2) : ""}</td>
                  <td>${bits(comparison?.[i])}</td>
                </tr>`;
              })}
            </tbody>
          </table>
        </div>
      </details>
    `;
  }

  #console(): TemplateResult {
    return html`
      <details ?open=${board.trouble !== undefined && board.failure !== "cancelled"}>
        <summary>Console</summary>
        <pre
          class="console"
          tabindex="0"
          aria-label="What the board printed"
          @scroll=${(event: Event) => {
            const view = event.target as HTMLElement;
            this.#follow = view.scrollHeight - view.scrollTop - view.clientHeight < 24;
          }}
        >
${board.console}</pre
        >
      </details>
    `;
  }

  async #draw(): Promise<void> {
    const which = session.testSet;
    if (!which || board.answers.length === 0) {
      if (this.pictures.size > 0) this.pictures = new Map();
      return;
    }
    const missing = board.answers.map(({ index }) => index).filter((index) => !this.pictures.has(index));
    if (missing.length === 0) return;
    const values = await session.engine.values(which, missing).catch(() => []);
    const next = new Map(this.pictures);
    missing.forEach((index, i) => {
      const picture = values[i];
      if (picture) next.set(index, picture);
    });
    this.pictures = next;
  }
}

/** All equal, or the first layer that is not: those behind it have its mistake. */
function verdict(comparison: readonly LayerComparison[]): TemplateResult {
  const at = comparison.findIndex(({ differing }) => differing > 0);
  const first = comparison[at];
  return first
    ? html`<span class="verdict bad" id="layers-verdict">
        ✗ Layer ${at + 1}, ${first.name}, is the first that differs: ${count(first.differing)} of
        ${count(first.elements)} elements, by up to ${first.largest}
      </span>`
    : html`<span class="verdict good" id="layers-verdict">✓ All ${plural(comparison.length, "layer")} equal</span>`;
}

function bits(layer: LayerComparison | undefined): TemplateResult | typeof nothing {
  if (!layer) return nothing;
  return layer.differing === 0
    ? html`<span class="verdict good">✓ equal</span>`
    : html`<span class="verdict bad">✗ ${count(layer.differing)} differ</span>`;
}

const unsupported = html`
  <div class="notice warn">
    <strong>This browser can't reach serial ports</strong>
    Chrome, Edge or Opera on a computer can (version 89 or later), and Firefox from version 151 on. Until then, try the
    virtual board here.
  </div>
`;

/** The runtime was current: nothing but the model went over the wire. */
function onlyModel(): boolean {
  const written = board.segments.list.filter(({ state }) => state === "written");
  return written.length > 0 && written.length < board.segments.list.length && written.every(({ name }) => name === "model");
}

const bar = (label: string, done?: number, total?: number, note = ""): TemplateResult => html`
  <div class="work">
    <div class="line"><span>${label}</span><span class="number">${note}</span></div>
    ${done === undefined || !total
      ? html`<progress aria-label=${label}></progress>`
      : html`<progress aria-label=${label} max=${total} .value=${done}></progress>`}
  </div>
`;

customElements.define("fx-board-step", BoardStep);
