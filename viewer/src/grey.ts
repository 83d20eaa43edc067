// Grey images as points of a screen: values between the stored ones are interpolated, then the window is applied,
// as graphics cards are told to do it. Pure.

export interface Raster {
  columns: number;
  rows: number;
  values: ArrayLike<number>;
}

type Place = readonly [column: number, row: number];

/** Where points of the screen are in the image; the centres of its pixels have whole numbers. */
export interface Placing {
  first: Place; // the centre of the point in the left upper corner
  right: Place; // what one point to the right adds
  down: Place;
}

/** The values that are shown as black and as white; black above white: inverted. */
export interface Ramp {
  black: number;
  white: number;
}

/** Points of a screen, row by row: red, green, blue and opacity in the order of the bytes. */
export interface Screen {
  width: number;
  height: number;
  points: Uint32Array;
}

const BLACK = 0xff000000; // opaque; the processors that browsers run on put the lowest byte first
const STRAIGHT_MAX = 1e-3; // of a pixel, over the whole screen

/** Draw the image on the whole screen: black where it is not. */
export function drawGrey(
  screen: Screen,
  image: Raster,
  placing: Placing,
  ramp: Ramp,
  interpolated = true,
): void {
  const straight =
    Math.abs(placing.right[1]) * screen.width < STRAIGHT_MAX &&
    Math.abs(placing.down[0]) * screen.height < STRAIGHT_MAX;
  if (straight && interpolated) drawStraight(screen, image, placing, ramp);
  else drawAnyhow(screen, image, placing, ramp, interpolated);
}

/** The two pixels beside a place along one axis of `count` pixels, and how much the second weighs. */
interface Beside {
  first: Int32Array;
  second: Int32Array;
  share: Float32Array;
  from: number; // the points that lie in the image
  to: number;
}

function besides(points: number, count: number, first: number, step: number): Beside {
  const found: Beside = {
    first: new Int32Array(points),
    second: new Int32Array(points),
    share: new Float32Array(points),
    from: points,
    to: 0,
  };
  for (let point = 0; point < points; point++) {
    const at = first + point * step;
    if (!(at >= -0.5 && at < count - 0.5)) continue;
    const clamped = Math.min(Math.max(at, 0), count - 1);
    const before = Math.floor(clamped);
    found.first[point] = before;
    found.second[point] = Math.min(before + 1, count - 1);
    found.share[point] = clamped - before;
    found.from = Math.min(found.from, point);
    found.to = point + 1;
  }
  return found;
}

/** Rows of the screen along rows of the image: each is interpolated downwards once, then along. */
function drawStraight({ width, height, points }: Screen, image: Raster, placing: Placing, ramp: Ramp): void {
  const { columns, rows, values } = image;
  const along = besides(width, columns, placing.first[0], placing.right[0]);
  const down = besides(height, rows, placing.first[1], placing.down[1]);
  const { first, second, share, from, to } = along;
  const scale = 255 / (ramp.white - ramp.black);
  const shift = 0.5 - ramp.black * scale;
  const line = new Float32Array(columns);
  points.fill(BLACK);
  if (from >= to) return;
  const lowest = Math.min(first[from] ?? 0, first[to - 1] ?? 0);
  const highest = Math.max(second[from] ?? 0, second[to - 1] ?? 0);
  for (let y = down.from; y < down.to; y++) {
    const upper = (down.first[y] as number) * columns;
    const lower = (down.second[y] as number) * columns;
    const below = down.share[y] as number;
    for (let at = lowest; at <= highest; at++) {
      const value = values[upper + at] as number;
      line[at] = (value + ((values[lower + at] as number) - value) * below) * scale + shift;
    }
    const row = y * width;
    for (let x = from; x < to; x++) {
      const left = line[first[x] as number] as number;
      const grey = left + ((line[second[x] as number] as number) - left) * (share[x] as number);
      points[row + x] = BLACK | (0x010101 * (grey < 0 ? 0 : grey > 255 ? 255 : grey | 0));
    }
  }
}

/** Turned images, and those whose pixels are to be seen. */
function drawAnyhow(
  { width, height, points }: Screen,
  { columns, rows, values }: Raster,
  { first, right, down }: Placing,
  ramp: Ramp,
  interpolated: boolean,
): void {
  const scale = 255 / (ramp.white - ramp.black);
  const shift = 0.5 - ramp.black * scale;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const column = first[0] + x * right[0] + y * down[0];
      const row = first[1] + x * right[1] + y * down[1];
      let point = BLACK;
      if (column >= -0.5 && column < columns - 0.5 && row >= -0.5 && row < rows - 0.5) {
        let i = Math.min(Math.max(column, 0), columns - 1);
        let j = Math.min(Math.max(row, 0), rows - 1);
        if (!interpolated) [i, j] = [Math.floor(column + 0.5), Math.floor(row + 0.5)];
        const [left, top] = [Math.floor(i), Math.floor(j)];
        const at = top * columns + left;
        const beside = left + 1 < columns ? 1 : 0;
        const below = top + 1 < rows ? columns : 0;
        const [across, downwards] = [i - left, j - top];
        const a = values[at] as number;
        const c = values[at + below] as number;
        const upper = a + ((values[at + beside] as number) - a) * across;
        const lower = c + ((values[at + below + beside] as number) - c) * across;
        const grey = (upper + (lower - upper) * downwards) * scale + shift;
        point = BLACK | (0x010101 * (grey < 0 ? 0 : grey > 255 ? 255 : grey | 0));
      }
      points[y * width + x] = point;
    }
}
