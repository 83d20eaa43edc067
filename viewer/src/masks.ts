// Which pixels of an image belong to a segment: one byte for each pixel, row by row. Pure.
// Kept as the bits of the smallest rectangle around them: small for a nodule, bounded for noise.

export interface KeptMask {
  left: number; // of the rectangle, in pixels from 0
  top: number;
  columns: number;
  rows: number;
  bits: string; // base64: row by row without gaps, the first pixel in the lowest bit
}
export interface Size {
  columns: number;
  rows: number;
}

export type Allowed = (index: number) => boolean;

/** What is set, to be kept; null when nothing is. */
export function keptMask(mask: Uint8Array, { columns, rows }: Size): KeptMask | null {
  let [left, top, right, bottom] = [columns, rows, -1, -1];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      if (!mask[row * columns + column]) continue;
      [left, right] = [Math.min(left, column), Math.max(right, column)];
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
    }
  if (right < 0) return null;
  const [width, height] = [right - left + 1, bottom - top + 1];
  const bytes = new Uint8Array(Math.ceil((width * height) / 8));
  for (let at = 0; at < width * height; at++) {
    const index = (top + Math.floor(at / width)) * columns + left + (at % width);
    if (mask[index]) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  }
  let text = "";
  for (const each of bytes) text += String.fromCharCode(each);
  return { left, top, columns: width, rows: height, bits: btoa(text) };
}

/** The mask of a whole image from what was kept; what would lie outside of the image is left out. */
export function maskOf(kept: KeptMask, { columns, rows }: Size): Uint8Array {
  const mask = new Uint8Array(columns * rows);
  const text = atob(kept.bits);
  for (let at = 0; at < kept.columns * kept.rows; at++) {
    if (!((text.charCodeAt(at >> 3) >> (at & 7)) & 1)) continue;
    const row = kept.top + Math.floor(at / kept.columns);
    const column = kept.left + (at % kept.columns);
    if (row >= 0 && row < rows && column >= 0 && column < columns) mask[row * columns + column] = 1;
  }
  return mask;
}

export const count = (mask: Uint8Array): number => {
  let sum = 0;
  for (const each of mask) sum += each;
  return sum;
};

/** Set pixels whose centres lie in an ellipse. Places are columns and rows from 0 at the outer corner. */
export function paintDisc(
  mask: Uint8Array,
  { columns, rows }: Size,
  disc: { centre: readonly [number, number]; radii: readonly [number, number] },
  value: 0 | 1,
  allowed: Allowed,
): void {
  const [x, y] = disc.centre;
  const [across, down] = disc.radii;
  for (let row = Math.max(0, Math.floor(y - down)); row < Math.min(rows, Math.ceil(y + down)); row++)
    for (
      let column = Math.max(0, Math.floor(x - across));
      column < Math.min(columns, Math.ceil(x + across));
      column++
    ) {
      const away = ((column + 0.5 - x) / across) ** 2 + ((row + 0.5 - y) / down) ** 2;
      const index = row * columns + column;
      if (away <= 1 && allowed(index)) mask[index] = value;
    }
}

/** Set pixels whose centres lie in a polygon; even-odd at crossings. */
export function paintPolygon(
  mask: Uint8Array,
  { columns, rows }: Size,
  outline: readonly (readonly [number, number])[],
  value: 0 | 1,
  allowed: Allowed,
): void {
  if (outline.length < 3) return;
  for (let row = 0; row < rows; row++) {
    const level = row + 0.5;
    const crossings: number[] = [];
    outline.forEach(([x, y], index) => {
      const [u = 0, v = 0] = outline[(index + 1) % outline.length] ?? [];
      if (y <= level !== v <= level) crossings.push(x + ((level - y) / (v - y)) * (u - x));
    });
    crossings.sort((a, b) => a - b);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const from = Math.max(0, Math.ceil((crossings[pair] ?? 0) - 0.5));
      const to = Math.min(columns - 1, Math.ceil((crossings[pair + 1] ?? 0) - 0.5) - 1);
      for (let column = from; column <= to; column++) {
        const index = row * columns + column;
        if (allowed(index)) mask[index] = value;
      }
    }
  }
}

/** Radius of a ball where a plane cuts it, `away` from its centre; 0 where it does not. */
export const cutOfBall = (radius: number, away: number): number =>
  Math.abs(away) >= radius ? 0 : Math.sqrt(radius * radius - away * away);
