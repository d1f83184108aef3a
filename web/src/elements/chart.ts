/** SQNR and saturation of every layer as one small drawing; the table beside it has the same numbers. */
import { html, svg, type TemplateResult } from "lit";
import type { LayerReport } from "fixpoint";

import { decibel, percent } from "../format.ts";

const STEP = 26;
const LEFT = 38;
const TOP = 12;
/** Height of the upper strip, of the lower one, and the gap between them. */
const UPPER = 96;
const LOWER = 34;
const GAP = 18;
const BOTTOM = 18;

/** Layers are numbered from 1; `marked` ones are drawn as squares. */
export function layerChart(layers: readonly LayerReport[], marked: ReadonlySet<number>): TemplateResult {
  const width = LEFT + Math.max(8, layers.length) * STEP;
  const height = TOP + UPPER + GAP + LOWER + BOTTOM;
  const known = layers.map(({ sqnr_db }) => sqnr_db).filter((db) => db !== null);
  const most = Math.max(20, Math.ceil(Math.max(0, ...known) / 10) * 10);
  const saturated = Math.max(...layers.map(({ saturation }) => saturation), 0);
  const scale = saturated > 0 ? saturated : 0.01;
  const x = (i: number): number => LEFT + (i + 0.5) * STEP;
  const y = (db: number): number => TOP + UPPER * (1 - Math.max(0, db) / most);
  const base = TOP + UPPER + GAP + LOWER;
  const points = layers.map(({ sqnr_db }, i) => ({ i, db: sqnr_db })).filter((p): p is { i: number; db: number } => p.db !== null);
  const ticks = [0, most / 2, most];
  return html`
    <div class="scroll chart" tabindex="0" role="group" aria-label="Chart of the layers">
      <svg
        viewBox="0 0 ${width} ${height}"
        width=${width}
        height=${height}
        role="img"
        aria-labelledby="layer-chart-title layer-chart-description"
      >
        <title id="layer-chart-title">SQNR and saturation, layer by layer</title>
        <desc id="layer-chart-description">${description(layers, saturated)}</desc>
        ${ticks.map(
          (db) => svg`<line class="grid" x1=${LEFT} x2=${width} y1=${y(db)} y2=${y(db)}></line>
            <text x=${LEFT - 6} y=${y(db) + 4} text-anchor="end">${db}</text>`,
        )}
        <polyline class="line" points=${points.map(({ i, db }) => `${x(i)},${y(db)}`).join(" ")}></polyline>
        ${points.map(({ i, db }) =>
          marked.has(i)
            ? svg`<rect class="poor" x=${x(i) - 5} y=${y(db) - 5} width="10" height="10"></rect>`
            : svg`<circle class="dot" cx=${x(i)} cy=${y(db)} r="3.5"></circle>`,
        )}
        <line class="grid" x1=${LEFT} x2=${width} y1=${base} y2=${base}></line>
        <text x=${LEFT - 6} y=${base - LOWER + 9} text-anchor="end">${percent(scale, scale < 0.01 ? 2 : 0).replace(" ", "")}</text>
        <text x=${LEFT - 6} y=${base + 1} text-anchor="end">0</text>
        ${layers.map(({ saturation }, i) => {
          const h = saturation > 0 ? Math.max(1.5, (LOWER * saturation) / scale) : 0;
          return svg`<rect class="bar" x=${x(i) - 7} y=${base - h} width="14" height=${h}></rect>`;
        })}
        ${layers.map((_, i) =>
          layers.length <= 20 || (i + 1) % 5 === 0
            ? svg`<text x=${x(i)} y=${base + 14} text-anchor="middle">${i + 1}</text>`
            : "",
        )}
      </svg>
    </div>
  `;
}

function description(layers: readonly LayerReport[], saturated: number): string {
  const known = layers.filter(({ sqnr_db }) => sqnr_db !== null);
  const worst = known.reduce<LayerReport | undefined>(
    (low, layer) => (low === undefined || (layer.sqnr_db ?? 0) < (low.sqnr_db ?? 0) ? layer : low),
    undefined,
  );
  const last = known.at(-1);
  const top = layers.find(({ saturation }) => saturation === saturated);
  return [
    worst ? `Lowest SQNR ${decibel(worst.sqnr_db)} dB, in ${worst.name}.` : "No layer has an error.",
    last ? `${decibel(last.sqnr_db)} dB at the end.` : "",
    saturated > 0 && top ? `Most saturation ${percent(saturated, 2)}, in ${top.name}.` : "Nothing saturates.",
    "The table has every number.",
  ].join(" ");
}
