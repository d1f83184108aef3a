/** Numbers as the page writes them: one way each. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n: number): string => grouped.format(n);

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(n < 10 * 1024 ? 1 : 0)} KiB`;
  return `${(n / 1024 / 1024).toFixed(2)} MiB`;
}

export const percent = (fraction: number, digits = 2): string => `${(fraction * 100).toFixed(digits)} %`;

/** A real number in few digits, without the noise of an exponent where none is needed. */
export function real(x: number): string {
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (!Number.isFinite(x)) return "not finite";
  if (size >= 1e5 || size < 1e-3) return x.toExponential(2);
  return x.toPrecision(4).replace(/\.?0+$/, "");
}

export const decibel = (x: number | null): string => (x === null || !Number.isFinite(x) ? "exact" : x.toFixed(1));

export const shape = (dims: readonly number[]): string => dims.join("×");

export function milliseconds(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 100) return `${ms.toFixed(2)} ms`;
  return `${Math.round(ms)} ms`;
}

/** A time to wait, no finer than one can count along. */
export function duration(seconds: number): string {
  if (seconds < 1.5) return "about 1 s";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  return `about ${Math.round(seconds / 60)} min`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** One exponent, or the span of them when channels have their own. */
export function exponents(values: readonly number[]): string {
  if (values.length === 0) return "";
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low === high ? `${low}` : `${low} to ${high}`;
}
