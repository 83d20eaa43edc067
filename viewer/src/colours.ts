// Values of a map as colours and as words. Pure arithmetic.

export interface ColourMap {
  name: string; // for the engine
  label: string;
  colours: string[]; // evenly from the least value to the most, straight lines between them
}

export const COLOUR_MAPS: ColourMap[] = [
  {
    name: "map-viridis",
    label: "Viridis",
    colours: "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 fde725".split(" "),
  },
  {
    name: "map-inferno",
    label: "Inferno",
    colours: "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4".split(" "),
  },
  { name: "map-hot", label: "Hot metal", colours: "000000 800000 ff4000 ffbf00 ffffff".split(" ") },
  {
    name: "map-rainbow",
    label: "Rainbow",
    colours: "0000b0 0080ff 00ffff 00c000 ffff00 ff8000 e00000".split(" "),
  },
  { name: "map-grey", label: "Grey", colours: ["000000", "ffffff"] },
];

/** The map as the engine wants it: place, red, green and blue, each from 0 to 1. */
export function pointsOf({ colours }: ColourMap): number[] {
  return colours.flatMap((each, index) => [
    index / (colours.length - 1),
    ...[0, 2, 4].map((at) => Number.parseInt(each.slice(at, at + 2), 16) / 255),
  ]);
}

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
