// Smaller images on the lattice of the one that they are previews of. It imports nothing.

interface Size {
  columns: number;
  rows: number;
}
type Values = Float32Array | Int16Array | Uint16Array | Uint8Array | Int8Array | Int32Array | Uint32Array;

/**
 * Values of a preview in the size of the whole image, between its own linearly: a value of an image that was halved n
 * times stands where every 2^n-th value of the whole one stands. PS3.5 A.4.11, ISO/IEC 15444-1 Annex F
 */
export function enlarged<T extends Values>(values: T, small: Size, whole: Size): T {
  if (small.columns === whole.columns && small.rows === whole.rows) return values;
  const made = new (values.constructor as new (length: number) => T)(whole.columns * whole.rows);
  const across = besides(small.columns, whole.columns);
  const down = besides(small.rows, whole.rows);
  const line = new Float64Array(small.columns);
  let to = 0;
  for (let row = 0; row < whole.rows; row++) {
    const upper = (down.first[row] as number) * small.columns;
    const lower = (down.second[row] as number) * small.columns;
    const below = down.share[row] as number;
    for (let at = 0; at < small.columns; at++) {
      const value = values[upper + at] as number;
      line[at] = value + ((values[lower + at] as number) - value) * below;
    }
    for (let column = 0; column < whole.columns; column++) {
      const left = line[across.first[column] as number] as number;
      const right = line[across.second[column] as number] as number;
      made[to++] = left + (right - left) * (across.share[column] as number);
    }
  }
  return made;
}

/** The two of `small` values beside each of `whole`, and how much the second weighs. */
function besides(small: number, whole: number) {
  const step = 2 ** Math.round(Math.log2(whole / small));
  const first = new Int32Array(whole);
  const second = new Int32Array(whole);
  const share = new Float64Array(whole);
  for (let at = 0; at < whole; at++) {
    const place = Math.min(at / step, small - 1);
    first[at] = Math.floor(place);
    second[at] = Math.min(Math.floor(place) + 1, small - 1);
    share[at] = place - Math.floor(place);
  }
  return { first, second, share };
}
