/** Sizes of the input that the model's file leaves open. */
import { html, nothing, type TemplateResult } from "lit";
import type { Inspection } from "fixpoint";

import { plural } from "../format.ts";
import { session } from "../session.ts";

/** Whether nothing else is in the way. */
export const onlySizesMissing = ({ open, problems }: Inspection): boolean =>
  problems.length === 1 && open.some(({ size }) => size === null);

export function sizesForm(): TemplateResult | typeof nothing {
  const { model, busy } = session;
  const open = model?.inspection.open ?? [];
  if (!model || open.length === 0) return nothing;
  const use = (event: SubmitEvent): void => {
    event.preventDefault();
    const fields = (event.target as HTMLFormElement).querySelectorAll("input");
    const sizes = Object.fromEntries([...fields].map(({ name, valueAsNumber }) => [name, valueAsNumber]));
    void session.openModel(model.file, { ...model.reading, sizes });
  };
  return html`
    <form id="sizes" @submit=${use}>
      <fieldset class="stack" ?disabled=${busy !== undefined}>
        <legend>This file leaves ${plural(open.length, "size")} of its input open</legend>
        <p class="small quiet">A chip runs one size: which? Only the batch may stay open.</p>
        <div class="form">
          ${open.map(
            ({ name, place, size }, at) => html`<div class="field">
              <label for="size-${at}">${name}</label>
              <input
                id="size-${at}"
                name=${name}
                type="number"
                inputmode="numeric"
                min="1"
                max="1048576"
                required
                .value=${size === null ? "" : String(size)}
              />
              <span class="hint">${place}</span>
            </div>`,
          )}
        </div>
        <div class="row"><button>Use ${open.length === 1 ? "this size" : "these sizes"}</button></div>
      </fieldset>
    </form>
  `;
}
