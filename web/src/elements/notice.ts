/** Notices and progress, drawn the same everywhere. */
import { html, nothing, type TemplateResult } from "lit";

import { count } from "../format.ts";
import type { Trouble } from "../session.ts";
import type { Progress } from "../workers/engine.worker.ts";

export function trouble(what: Trouble | undefined): TemplateResult | typeof nothing {
  if (!what) return nothing;
  const { title, lines } = what;
  return html`
    <div class="notice ${title === "Cancelled" ? "" : "bad"}" role="alert">
      <strong>${title}</strong>
      ${lines.length > 2
        ? html`${lines[0]}
            <ul>
              ${lines.slice(1).map((line) => html`<li>${line}</li>`)}
            </ul>`
        : lines.map((line) => html`<p>${line}</p>`)}
    </div>
  `;
}

/** What the user should know about something that went well. */
export function remarks(lines: readonly string[]): TemplateResult | typeof nothing {
  if (lines.length === 0) return nothing;
  return html`
    <div class="notice warn small">
      <strong>Please note</strong>
      <ul>
        ${lines.map((line) => html`<li>${line}</li>`)}
      </ul>
    </div>
  `;
}

const stages: Record<Progress["stage"], string> = {
  read: "Reading images",
  calibrate: "Calibrating: the float model on the chosen images",
  convert: "Converting: exponents, weights, model image",
  measure: "Measuring: simulator against float, layer by layer",
  float: "Accuracy of the float model",
  quantized: "Accuracy of the quantized model",
};

/** A bar with its stage in words; indeterminate until the first report. */
export function working(progress: Progress | undefined, otherwise: string): TemplateResult {
  const label = progress ? stages[progress.stage] : otherwise;
  return html`
    <div class="work">
      <div class="line">
        <span>${label}</span>
        ${progress
          ? html`<span class="number">${count(progress.done)} of ${count(progress.total)}</span>`
          : nothing}
      </div>
      ${progress
        ? html`<progress aria-label=${label} max=${progress.total} .value=${progress.done}></progress>`
        : html`<progress aria-label=${label}></progress>`}
    </div>
  `;
}
