/** The form that says how pixels become input values. */
import { html, nothing, type TemplateResult } from "lit";
import type { Preprocess, WantedInput } from "fixpoint";

import { shape } from "../format.ts";
import { session } from "../session.ts";

type Choice<K extends keyof Preprocess> = readonly (readonly [Preprocess[K], string])[];

const channels: Choice<"channels"> = [
  ["grey", "Grey, 1 channel"],
  ["rgb", "Red, green, blue"],
  ["bgr", "Blue, green, red"],
];
const layouts: Choice<"layout"> = [
  ["nchw", "Channels first (NCHW)"],
  ["nhwc", "Channels last (NHWC)"],
];
const resizes: Choice<"resize"> = [
  ["stretch", "Stretch to the input"],
  ["crop-center", "Crop the centre"],
  ["pad", "Fit and pad with black"],
];
const arrays: Choice<"arrays"> = [
  ["bytes-are-pixels", "uint8 arrays only"],
  ["pixels", "All arrays"],
  ["values", "No array"],
];

/** One form for each input. */
export function preprocessForms(): TemplateResult {
  return html`${session.inputs.map((input, i) => form(input, i, session.inputs.length > 1))}`;
}

/** Of several inputs each has its arrays, and no images. */
function form({ name, dims, preprocess }: WantedInput, index: number, several: boolean): TemplateResult {
  const id = several ? `pre-${index}` : "pre";
  const rule = session.rules[index];
  return html`
    <details>
      <summary>
        ${several ? html`Values of input <strong>${name}</strong>` : "How pixels become input values"}${several &&
        preprocess.arrays === "values"
          ? html`: <span class="rule">as they are</span>`
          : rule
            ? html`: <span class="rule">${rule}</span>`
            : nothing}
      </summary>
      <fieldset class="stack" ?disabled=${session.busy !== undefined}>
        <legend class="visually-hidden">Preprocessing${several ? ` of ${name}` : ""}</legend>
        <p class="small quiet">
          value = (pixel × scale − mean) ÷ std, with pixels from 0 to 255. These are the defaults for an input of
          ${shape(dims)}; set them to what the model was trained with.
        </p>
        <div class="form">
          ${choice("arrays", "Arrays that hold pixels", arrays)}
          ${numbers("scale", "Scale", "Factor on the pixel. 1/255 gives 0 to 1.")}
          ${numbers("mean", "Mean", "One number, or one per channel.")}
          ${numbers("std", "Std", "One number, or one per channel.")}
          ${choice("channels", "Colours", channels)} ${choice("layout", "Layout", layouts)}
          ${several ? nothing : choice("resize", "Other sizes", resizes)}
        </div>
      </fieldset>
    </details>
  `;

  function numbers(key: "scale" | "mean" | "std", label: string, hint: string): TemplateResult {
    const settings = preprocess;
    return html`
      <div class="field">
        <label for=${`${id}-${key}`}>${label}</label>
        <input
          id=${`${id}-${key}`}
          class="numbers"
          type="text"
          inputmode="decimal"
          autocomplete="off"
          spellcheck="false"
          aria-describedby=${`${id}-${key}-hint`}
          .value=${written(settings[key])}
          @change=${(event: Event) => {
            const input = event.target as HTMLInputElement;
            const values = readNumbers(input.value);
            const usable = values !== undefined && (key !== "scale" || values.length === 1);
            input.setCustomValidity(usable ? "" : `${label} takes ${key === "scale" ? "a number" : "numbers"}, like 0.5 or 1/255`);
            if (!usable) {
              input.reportValidity();
              return;
            }
            void session.setPreprocess({ ...settings, [key]: key === "scale" ? values[0] : values }, index);
          }}
        />
        <span class="hint" id=${`${id}-${key}-hint`}>${hint}</span>
      </div>
    `;
  }

  function choice<K extends "channels" | "layout" | "resize" | "arrays">(
    key: K,
    label: string,
    choices: Choice<K>,
  ): TemplateResult {
    const settings = preprocess;
    return html`
      <div class="field">
        <label for=${`${id}-${key}`}>${label}</label>
        <select
          id=${`${id}-${key}`}
          @change=${(event: Event) => {
            const chosen = choices[(event.target as HTMLSelectElement).selectedIndex];
            if (chosen) void session.setPreprocess(withKey(settings, key, chosen[0]), index);
          }}
        >
          ${choices.map(([value, text]) => html`<option ?selected=${settings[key] === value}>${text}</option>`)}
        </select>
      </div>
    `;
  }
}

/** Changing the number of channels brings mean and std to a fitting length. */
function withKey<K extends keyof Preprocess>(settings: Preprocess, key: K, value: Preprocess[K]): Preprocess {
  const next = { ...settings, [key]: value };
  const channelCount = next.channels === "grey" ? 1 : 3;
  const fit = (list: number[]): number[] =>
    list.length === 1 || list.length === channelCount ? list : [list[0] ?? 0];
  return { ...next, mean: fit(next.mean), std: fit(next.std) };
}

/** `1/255` reads better than its decimals, and is what people write. */
function written(value: number | readonly number[]): string {
  const one = (x: number): string => {
    const inverse = Math.round(1 / x);
    if (Math.abs(x) < 1 && inverse !== 0 && Math.fround(1 / inverse) === Math.fround(x) && inverse > 10) return `1/${inverse}`;
    // The value went through 32-bit floats; its shortest decimals are what was meant.
    return String(Number(x.toPrecision(7)));
  };
  return typeof value === "number" ? one(value) : value.map(one).join(", ");
}

function readNumbers(text: string): number[] | undefined {
  const parts = text
    .split(/[\s,;]+/)
    .filter((part) => part !== "")
    .map((part) => {
      const [above = "", below = "1", ...more] = part.split("/");
      return more.length > 0 ? NaN : Number(above) / Number(below);
    });
  return parts.length > 0 && parts.every(Number.isFinite) ? parts : undefined;
}
