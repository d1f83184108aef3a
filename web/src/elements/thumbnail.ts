/** `<fx-thumb>`: a sample drawn as a picture, when its shape is that of one. */
import { html, type PropertyValues, type TemplateResult } from "lit";

import { PlainElement } from "./plain.ts";

interface Plane {
  channels: number;
  height: number;
  width: number;
  /** Distance between neighbouring values of the three axes. */
  strides: { c: number; y: number; x: number };
}

/** How `dims` (ONNX order, batch 1) is looked at as a picture; undefined when it isn't one. */
export function plane(dims: readonly number[], channelsLast: boolean): Plane | undefined {
  const [first, ...rest] = dims;
  const sample = first === 1 && rest.length > 0 ? rest : [...dims];
  if (sample.length === 1) {
    const length = sample[0] ?? 0;
    for (const channels of [1, 3]) {
      const side = Math.sqrt(length / channels);
      if (Number.isInteger(side) && side > 3) return planar(channels, side, side);
    }
    return undefined;
  }
  if (sample.length === 2) return planar(1, sample[0] ?? 0, sample[1] ?? 0);
  if (sample.length !== 3) return undefined;
  const [a = 0, b = 0, c = 0] = sample;
  if (channelsLast) {
    if (c !== 1 && c !== 3) return undefined;
    return { channels: c, height: a, width: b, strides: { c: 1, y: b * c, x: c } };
  }
  return a === 1 || a === 3 ? planar(a, b, c) : undefined;
}

const planar = (channels: number, height: number, width: number): Plane => ({
  channels,
  height,
  width,
  strides: { c: height * width, y: width, x: 1 },
});

export class Thumbnail extends PlainElement {
  static override properties = {
    values: { attribute: false },
    dims: { attribute: false },
    channelsLast: { type: Boolean },
    label: {},
  };
  declare values: Float32Array | undefined;
  declare dims: readonly number[];
  declare channelsLast: boolean;
  declare label: string;

  constructor() {
    super();
    this.dims = [];
    this.channelsLast = false;
    this.label = "";
  }

  override render(): TemplateResult {
    return html`<canvas role="img" aria-label=${this.label}></canvas>`;
  }

  override updated(_: PropertyValues): void {
    const canvas = this.querySelector("canvas");
    const picture = plane(this.dims, this.channelsLast);
    if (!canvas || !picture || !this.values) return;
    const { channels, height, width, strides } = picture;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    if (!context) return;
    // The model's own scale is unknown here, so black and white are the sample's extremes.
    let low = Infinity;
    let high = -Infinity;
    for (const value of this.values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const factor = high > low ? 255 / (high - low) : 0;
    const pixels = context.createImageData(width, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (y * width + x) * 4;
        for (let c = 0; c < 3; c++) {
          const from = (channels === 3 ? c : 0) * strides.c + y * strides.y + x * strides.x;
          pixels.data[at + c] = ((this.values[from] ?? low) - low) * factor;
        }
        pixels.data[at + 3] = 255;
      }
    }
    context.putImageData(pixels, 0, 0);
  }
}

customElements.define("fx-thumb", Thumbnail);
