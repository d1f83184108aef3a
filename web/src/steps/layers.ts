/** The layers of a quantized model: chart, advice and table. */
import { html, nothing, type TemplateResult } from "lit";
import type { LayerReport, Report } from "fixpoint";

import { type Advice, advise } from "../advice.ts";
import { layerChart } from "../elements/chart.ts";
import { count, decibel, exponents, percent, plural, real, shape } from "../format.ts";
import { stepAs } from "../framed.ts";
import type { Forecast } from "../predict.ts";
import { byLayer, inStrips, layersOf } from "../strips.ts";

export function layerView(report: Report, forecast: Forecast | undefined): TemplateResult {
  const counts = forecast && "layerCycles" in forecast ? forecast.layerCycles : [];
  const cycles = byLayer(layersOf(report, counts.length), counts);
  const advice = advise(report);
  const measured = report.measured_samples > 0;
  const marked = new Map(advice.map((found) => [found.index, found] as const));
  return html`
    ${measured
      ? insight(report, advice)
      : html`<p id="unmeasured">
          Ranges, saturation and noise were not measured, as there are no images. Add some in ${stepAs("data")} to see them.
        </p>`}
    <p class="small quiet" id="layers-note">
      Layers in the order they run. An integer q stands for q × 2<sup>exponent</sup>.
      ${measured
        ? html`SQNR (signal to quantization noise, all layers before included) and saturation over
          ${plural(report.measured_samples, "image")}.`
        : nothing}
      ${measured && report.layers.some(raised)
        ? html`<span id="raised-note">* Quiet channels are raised by powers of two, 16 at most, so that they use more of the
            range; the weights behind make up for it exactly.</span>`
        : nothing}
      ${report.steps.length > 0
        ? html`<span id="strips-note">Layers in strips are done a few rows at a time, one after another, so that what is
            between them fits the chip's internal memory.</span>`
        : nothing}
    </p>
    <div class="scroll" tabindex="0" role="group" aria-label="Layers">
      <table id="layers" aria-describedby="layers-note">
        <thead>
          <tr>
            <th scope="col" class="n">No.</th>
            <th scope="col">Layer</th>
            <th scope="col">Type</th>
            <th scope="col">Output</th>
            <th scope="col" class="n">Output exponent</th>
            <th scope="col" class="n">Weight exponent</th>
            <th scope="col" class="n">Range seen</th>
            <th scope="col" class="n">Saturation</th>
            <th scope="col" class="n">SQNR (dB)</th>
            <th scope="col" class="n">Sum (bits)</th>
            <th scope="col" class="n">Cycles (est.)</th>
          </tr>
        </thead>
        <tbody>
          ${report.inputs.map(
            (input) => html`<tr data-layer=${input.name}>
              <td></td>
              <th scope="row">${input.name}</th>
              <td>input</td>
              <td>${shape(input.dims)}</td>
              <td class="n exponent">${input.exponent}</td>
              <td class="n"></td>
              <td class="n">${measured ? range(input.range) : ""}</td>
              <td class="n"></td>
              <td class="n"></td>
              <td class="n"></td>
              <td class="n"></td>
            </tr>`,
          )}
          ${report.layers.map((layer, i) =>
            layerRow({ layer, i, found: marked.get(i), cycles: cycles[i], measured, strips: inStrips(report, i) }),
          )}
        </tbody>
      </table>
    </div>
  `;
}

const range = ([low, high]: readonly [number, number]): string => `${real(low)} to ${real(high)}`;

const raised = (layer: LayerReport): boolean => layer.channel_powers.length > 0;

const powers = (layer: LayerReport): string => `channels times ${layer.channel_powers.map((k) => 2 ** k).join(", ")}`;

const insight = (report: Report, advice: readonly Advice[]): TemplateResult => html`
  <div class="insight">
    <figure>
      <figcaption class="small quiet">SQNR in dB (points) and saturation (bars) of layers 1 to ${report.layers.length}</figcaption>
      ${layerChart(report.layers, new Set(advice.map(({ index }) => index)))}
    </figure>
    <div class="stack">
      <h4>${advice.length > 0 ? "Where accuracy is lost" : "No layer stands out"}</h4>
      ${advice.length > 0
        ? html`<ol class="advice" id="advice">
            ${advice.map(
              ({ index, layer, text }) => html`<li>
                <span class="number">${index + 1}</span> <strong>${layer.name}</strong> ${text}
              </li>`,
            )}
          </ol>`
        : html`<p class="small quiet" id="advice">
            None saturates, and none loses 3 dB or more down to a level that matters.
          </p>`}
    </div>
  </div>
`;

type Row = { layer: LayerReport; i: number; found: Advice | undefined; cycles: number | undefined; measured: boolean; strips: boolean };

const layerRow = ({ layer, i, found, cycles, measured, strips }: Row): TemplateResult => html`
  <tr data-layer=${layer.name} class=${found ? "poor" : ""}>
    <td class="n">${i + 1}</td>
    <th scope="row">${layer.name}${found ? html` <span class="mark"><span aria-hidden="true">■</span><span class="visually-hidden">loses accuracy</span></span>` : nothing}</th>
    <td>${layer.op}${layer.activation ? ` + ${layer.activation}` : ""}${layer.inserted ? html` <span class="quiet">(reordering)</span>` : nothing}${strips ? html` <span class="quiet">(in strips)</span>` : nothing}</td>
    <td>${shape(layer.output_dims)}</td>
    <td class="n exponent">${layer.output_exponent}</td>
    <td class="n weights" title=${layer.weight_exponents.length > 1 ? layer.weight_exponents.join(", ") : ""}>
      ${exponents(layer.weight_exponents)}
    </td>
    <td class="n">${measured ? range(layer.range) : ""}${measured && raised(layer)
      ? html`<span title=${powers(layer)} aria-describedby="raised-note">*</span>`
      : nothing}</td>
    <td class="n">${measured ? (layer.saturation === 0 ? "0" : percent(layer.saturation, 3)) : ""}</td>
    <td class="n">${measured ? decibel(layer.sqnr_db) : ""}</td>
    <td class="n">${layer.accumulator_bits ?? ""}</td>
    <td class="n">${cycles === undefined ? "" : count(cycles)}</td>
  </tr>
`;
