// Values of a map as colours and as words. Pure arithmetic.

/** Digits that tell neighbouring values of a range apart. */
export function told(value: number, range: number): string {
  if (!Number.isFinite(value)) return "no value";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(4);
  const digits = Math.max(0, Math.min(8, 4 - Math.floor(Math.log10(range || 1))));
  return value.toFixed(digits);
}

/** Red, green and blue (0 to 255) at a share of a colour map's own range: straight lines between its points. */
export function colourAt(points: readonly number[], share: number): [number, number, number] {
  const count = Math.floor(points.length / 4);
  const at = (index: number) => points.slice(index * 4, index * 4 + 4) as [number, number, number, number];
  const [first, last] = [at(0)[0] ?? 0, at(count - 1)[0] ?? 1];
  const wanted = first + share * (last - first);
  let upper = 1;
  while (upper < count - 1 && at(upper)[0] < wanted) upper++;
  const [low, high] = [at(upper - 1), at(upper)];
  const part = high[0] === low[0] ? 0 : (wanted - low[0]) / (high[0] - low[0]);
  const mix = (index: 1 | 2 | 3) => Math.round(255 * (low[index] + part * (high[index] - low[index])));
  return [mix(1), mix(2), mix(3)];
}
