/** Step 2: images for calibration, and labelled ones to measure accuracy. */
import { html, nothing, type TemplateResult } from "lit";
import type { SamplesSummary } from "fixpoint";

import "../elements/thumbnail.ts";
import type { Chosen } from "../elements/dropzone.ts";
import { trouble, working } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { plane } from "../elements/thumbnail.ts";
import { count, plural, shape } from "../format.ts";
import { numberOf } from "../framed.ts";
import { type SampleState, Watch, session } from "../session.ts";
import type { Which } from "../workers/engine.worker.ts";
import { preprocessForms } from "./preprocess.ts";

const SHOWN = 12;
const kinds = ".png,.jpg,.jpeg,.bmp,.zip,.npy,.npz,.gz,.csv,image/png,image/jpeg";

export class DataStep extends PlainElement {
  static override properties = { pictures: { state: true } };
  declare pictures: Float32Array[];
  #drawn: SamplesSummary | undefined;

  constructor() {
    super();
    this.pictures = [];
    new Watch(this);
  }

  override willUpdate(): void {
    const summary = session.samples.calibration?.summary;
    if (summary === this.#drawn) return;
    this.#drawn = summary;
    this.pictures = [];
    if (summary) void this.#draw(summary);
  }

  async #draw(summary: SamplesSummary): Promise<void> {
    const { pictured } = this;
    if (pictured < 0) return;
    const step = Math.max(1, Math.floor(summary.count / SHOWN));
    const indexes = Array.from({ length: Math.min(SHOWN, summary.count) }, (_, i) => i * step);
    const pictures = await session.engine.values("calibration", indexes, pictured).catch(() => []);
    if (this.#drawn === summary) this.pictures = pictures;
  }

  /** The first input that can be drawn, or -1. */
  private get pictured(): number {
    return session.inputs.findIndex(({ dims, preprocess }) => plane(dims, preprocess.layout === "nhwc"));
  }

  override render(): TemplateResult {
    const { model, samples, busy } = session;
    const set = samples.calibration;
    const several = session.inputs.length > 1;
    return html`
      <section class="step" id="step-data" aria-labelledby="data-title" data-state=${set ? "done" : "open"}>
        <div class="numeral" aria-hidden="true">${numberOf("data")}</div>
        <div class="body">
          <div>
            <h2 id="data-title">Calibration images</h2>
            <p class="lead">
              About a hundred typical inputs: they show the range of values in every layer. With labels, accuracy is
              measured too.
            </p>
          </div>
          ${model
            ? html`
                <fx-drop
                  label=${set
                    ? "Drop other files to replace them"
                    : several
                      ? "Drop an array for each input here"
                      : "Drop images, a folder, a zip or arrays here"}
                  hint=${several
                    ? `An .npz with the arrays ${named(session.inputs.map((input) => input.name))} (or x_0, x_1, … in this order), and y for labels; or an .npy file for each, called like that.`
                    : "PNG, JPEG or BMP (a folder's name is its label), .npy, .npz with x and y, or MNIST idx files."}
                  button="Choose files"
                  accept=${kinds}
                  multiple
                  folders
                  ?compact=${set !== undefined}
                  ?disabled=${busy !== undefined}
                  @fx-files=${(event: CustomEvent<Chosen>) => this.#chosen("calibration", event)}
                ></fx-drop>
                ${busy === "calibration" ? working(session.progress, "Reading the files") : nothing}
                ${trouble(session.trouble.calibration)} ${set ? this.#found(set) : nothing}
                ${preprocessForms()} ${set ? this.#evaluation() : nothing}
              `
            : html`<p class="quiet">Choose a model first: its input says how images are read.</p>`}
        </div>
      </section>
    `;
  }

  #found({ source, summary }: SampleState): TemplateResult {
    const { calibrationCount, spread, busy } = session;
    const labels = summary.labels;
    const used = Math.min(calibrationCount, summary.count);
    const labelOf = (i: number): string => name(summary, i);
    const step = Math.max(1, Math.floor(summary.count / SHOWN));
    return html`
      <dl class="facts">
        <div><dt>Files</dt><dd>${source}</dd></div>
        <div>
          <dt>${session.inputs.length > 1 ? "Samples" : "Images"}</dt>
          <dd>${count(summary.count)}</dd>
          ${summary.inputs.map(
            ({ dims }, i) =>
              html`<dd>${session.inputs.length > 1 ? html`${session.inputs[i]?.name}: ` : "each "}${shape(dims)}</dd>`,
          )}
        </div>
        <div id="values">
          <dt>Values</dt>
          ${session.inputs.length > 1 ? html`<dd>${session.inputs.length} inputs</dd>` : nothing}
          ${summary.inputs.map(
            ({ pixels }, i) =>
              html`<dd>
                ${session.inputs.length > 1 ? html`${session.inputs[i]?.name}: ` : nothing}${pixels ?? "as in the arrays"}
              </dd>`,
          )}
        </div>
        <div>
          <dt>Labels</dt>
          <dd>${labels ? plural(new Set(labels).size, "class", "classes") : "none"}</dd>
          <dd>${labels ? classes(summary) : "accuracy needs labels"}</dd>
        </div>
        <div><dt>Used for calibration</dt><dd>${count(used)}</dd><dd>of ${count(summary.count)}</dd></div>
      </dl>
      ${notes(summary)}
      ${this.pictures.length > 0
        ? html`<ul class="thumbs" aria-label="Some of the images">
            ${this.pictures.map((values, i) => {
              const label = labelOf(i * step);
              return html`<li>
                <figure>
                  <fx-thumb
                    .values=${values}
                    .dims=${session.inputs[this.pictured]?.dims ?? []}
                    ?channelsLast=${session.inputs[this.pictured]?.preprocess.layout === "nhwc"}
                    label=${`Image ${i * step}${label ? `, labelled ${label}` : ""}`}
                  ></fx-thumb>
                  ${label ? html`<figcaption title=${label}>${label}</figcaption>` : nothing}
                </figure>
              </li>`;
            })}
          </ul>`
        : nothing}
      <fieldset class="form" ?disabled=${busy !== undefined}>
        <legend class="visually-hidden">Which images are used for calibration</legend>
        <div class="field">
          <label for="calibration-count">Images for calibration</label>
          <input
            id="calibration-count"
            type="number"
            min="1"
            max=${summary.count}
            .value=${String(used)}
            @change=${(event: Event) => {
              const input = event.target as HTMLInputElement;
              const n = Math.round(input.valueAsNumber);
              if (n >= 1) session.setCalibration(Math.min(n, summary.count), spread);
              input.value = String(Math.min(session.calibrationCount, summary.count));
            }}
          />
          <span class="hint">100 are plenty as a rule.</span>
        </div>
        <div class="field">
          <label for="calibration-spread">Taken from</label>
          <select
            id="calibration-spread"
            @change=${(event: Event) =>
              session.setCalibration(calibrationCount, (event.target as HTMLSelectElement).value === "spread")}
          >
            <option value="first" ?selected=${!spread}>the start</option>
            <option value="spread" ?selected=${spread}>evenly over all</option>
          </select>
          <span class="hint">Evenly, when the files are sorted by class.</span>
        </div>
      </fieldset>
    `;
  }

  #evaluation(): TemplateResult {
    const { samples, busy } = session;
    const set = samples.evaluation;
    return html`
      <details ?open=${set !== undefined}>
        <summary>Measure accuracy on other images</summary>
        <div class="stack">
          ${set
            ? html`
                <p>
                  Accuracy is measured on <strong>${plural(set.summary.count, "image")}</strong> from ${set.source}${set
                    .summary.labels
                    ? ""
                    : ", which have no labels: only the agreement with the float model is shown"}.
                  <button
                    type="button"
                    class="plain"
                    ?disabled=${busy !== undefined}
                    @click=${() => session.dropSamples("evaluation")}
                  >
                    Remove them
                  </button>
                </p>
                ${notes(set.summary)}
              `
            : html`<p class="quiet small">Without these, all images of this step are used.</p>`}
          <fx-drop
            label="Drop labelled images or arrays for the accuracy here"
            button="Choose files"
            accept=${kinds}
            multiple
            folders
            compact
            ?disabled=${busy !== undefined}
            @fx-files=${(event: CustomEvent<Chosen>) => this.#chosen("evaluation", event)}
          ></fx-drop>
          ${busy === "evaluation" ? working(session.progress, "Reading the files") : nothing}
          ${trouble(session.trouble.evaluation)}
        </div>
      </details>
    `;
  }

  #chosen(which: Which, event: CustomEvent<Chosen>): void {
    void session.openSamples(which, event.detail.source, event.detail.files);
  }
}

function notes({ skipped, notes }: SamplesSummary): TemplateResult | typeof nothing {
  if (skipped.length === 0 && notes.length === 0) return nothing;
  const most = 5;
  return html`
    <div class="notice warn small">
      <strong>${skipped.length > 0 ? `${plural(skipped.length, "file")} left out` : "Please note"}</strong>
      <ul>
        ${notes.map((note) => html`<li>${note}</li>`)}
        ${skipped.slice(0, most).map(({ path, reason }) => html`<li>${path} ${reason}</li>`)}
        ${skipped.length > most ? html`<li>and ${count(skipped.length - most)} more</li>` : nothing}
      </ul>
    </div>
  `;
}

function named(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** The label of a sample as a word: the class's name where there is one. */
export function name({ labels, class_names }: SamplesSummary, index: number): string {
  const label = labels?.[index];
  return label === undefined ? "" : (class_names[label] ?? String(label));
}

function classes({ labels, class_names }: SamplesSummary): string {
  const names = [...new Set(labels)].sort((a, b) => a - b).map((label) => class_names[label] ?? String(label));
  return names.length > 12 ? `${names.slice(0, 10).join(", ")}, …` : names.join(", ");
}

customElements.define("fx-data-step", DataStep);
