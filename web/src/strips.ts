/** Layers that an image does in strips, each an op of its own: what its ops took, as layers. */
import type { LayerComparison, Report } from "fixpoint";

/** For each of so many ops of an image the layer that it is part of, by its place in the report. */
export const layersOf = (report: Report | undefined, ops: number): readonly number[] =>
  report?.steps.length === ops ? report.steps : Array.from({ length: ops }, (_, op) => op);

/** Whether a layer is done in strips. */
export const inStrips = (report: Report, layer: number): boolean =>
  report.steps.indexOf(layer) !== report.steps.lastIndexOf(layer);

/** Counts of an image's ops added up to those of its layers. */
export function byLayer(of: readonly number[], counts: readonly number[]): number[] {
  const sums: number[] = [];
  counts.forEach((count, op) => {
    const layer = of[op] ?? op;
    sums[layer] = (sums[layer] ?? 0) + count;
  });
  return sums;
}

/** The same of comparisons. Rows that two strips have in common count twice. */
export function comparedByLayer(
  report: Report | undefined,
  of: readonly number[],
  found: readonly LayerComparison[],
): LayerComparison[] {
  const layers: LayerComparison[] = [];
  found.forEach((part, op) => {
    const layer = of[op] ?? op;
    const before = layers[layer];
    layers[layer] = before
      ? {
          // Strips have names of their own.
          name: report?.layers[layer]?.name ?? before.name,
          elements: before.elements + part.elements,
          differing: before.differing + part.differing,
          largest: Math.max(before.largest, part.largest),
        }
      : part;
  });
  return layers;
}
