/** Which layers lose most accuracy, and what may help: plain rules over the report's figures. */
import type { LayerReport, Report } from "fixpoint";

import { percent } from "./format.ts";

/** A layer worth a look: its place in the report, what is the matter, what to do. */
export interface Advice {
  index: number;
  layer: LayerReport;
  /** Decibels lost in this layer itself: the layer's SQNR against the worst of its inputs. */
  lost: number;
  text: string;
}

/** Half of the power of the signal's precision; smaller losses are ordinary. */
const LOSS_DB = 3;
/** A layer that is this clean needs no advice, whatever it lost; the model's input counts as such. */
const CLEAN_DB = 30;
/** Clipping a few extremes is what the best range does; it matters where the signal gets worse by it. */
const SATURATED = 0.001;
const CLIP_LOSS_DB = 1;
const SHOWN = 3;

/** The worst first, at most three. */
export function advise(report: Report): Advice[] {
  const sqnr = new Map(report.layers.map((layer) => [layer.output, layer.sqnr_db] as const));
  return report.layers
    .map((layer, index) => ({ index, layer, lost: loss(layer, sqnr) }))
    .filter(({ layer, lost }) => (layer.sqnr_db ?? Infinity) < CLEAN_DB && lost >= (saturates(layer) ? CLIP_LOSS_DB : LOSS_DB))
    .sort((a, b) => weight(b) - weight(a))
    .slice(0, SHOWN)
    .map((found) => ({ ...found, text: sentence(found.layer, found.lost, report) }));
}

function loss({ inputs, sqnr_db }: LayerReport, sqnr: ReadonlyMap<string, number | null>): number {
  if (sqnr_db === null) return 0;
  const before = inputs.map((name) => sqnr.get(name)).filter((db) => typeof db === "number");
  return Math.max(0, Math.min(...before, before.length > 0 ? Infinity : CLEAN_DB) - sqnr_db);
}

const saturates = ({ saturation }: LayerReport): boolean => saturation >= SATURATED;

/** One percent saturated weighs as much as 10 dB lost. */
const weight = ({ layer, lost }: { layer: LayerReport; lost: number }): number => lost + layer.saturation * 1000;

function sentence(layer: LayerReport, lost: number, { options }: Report): string {
  const wider = options.bits === "int8" ? " or use 16 bits" : "";
  if (saturates(layer)) {
    const clips = options.method !== "minmax";
    return `saturates ${percent(layer.saturation, 1)}: ${
      clips ? "calibrate over the whole range (min-max)" : "add calibration images that reach its extremes"
    }${wider}.`;
  }
  const what = `loses ${lost.toFixed(1)} dB`;
  const coarse = options.granularity === "per-tensor" && layer.weight_exponents.length === 1 && layer.op !== "Gemm";
  if (coarse) return `${what}: give each channel its own weight exponent${wider}.`;
  if (options.bits === "int8") return `${what}: use 16 bits if accuracy falls short.`;
  return `${what}: its values differ much in size; more calibration images may narrow its range.`;
}
