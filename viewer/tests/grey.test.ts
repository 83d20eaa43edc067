import { describe, expect, it } from "vitest";
import { drawGrey, type Placing, type Ramp, type Raster } from "../src/grey.ts";

const BLACK = 0xff000000;

function drawn(
  image: Raster,
  placing: Placing,
  ramp: Ramp,
  { width = 40, height = 30, interpolated = true } = {},
): number[] {
  const points = new Uint32Array(width * height).fill(7);
  drawGrey({ width, height, points }, image, placing, ramp, interpolated);
  for (const each of points) {
    expect((each & BLACK) >>> 0).toBe(BLACK);
    expect(each & 255).toBe((each >> 8) & 255);
    expect(each & 255).toBe((each >> 16) & 255);
  }
  return [...points].map((each) => each & 255);
}

const placed = (right: [number, number], down: [number, number], first: [number, number] = [0, 0]) => ({
  first,
  right,
  down,
});
const noise: Raster = {
  columns: 13,
  rows: 9,
  values: Int16Array.from({ length: 117 }, (_, at) => ((at * 7919) % 400) - 100),
};
const window = { black: -100, white: 300 };

describe("a grey image on a screen", () => {
  it("is itself where points are pixels", () => {
    const image = { columns: 3, rows: 2, values: Uint16Array.from([0, 51, 102, 153, 204, 255]) };
    const one = drawn(image, placed([1, 0], [0, 1]), { black: 0, white: 255 }, { width: 3, height: 2 });
    expect(one).toEqual([0, 51, 102, 153, 204, 255]);
    const flipped = placed([-1, 0], [0, -1], [2, 1]);
    expect(drawn(image, flipped, { black: 0, white: 255 }, { width: 3, height: 2 })).toEqual([
      255, 204, 153, 102, 51, 0,
    ]);
    const inverted = { black: 255, white: 0 };
    expect(drawn(image, placed([1, 0], [0, 1]), inverted, { width: 3, height: 2 })).toEqual([
      255, 204, 153, 102, 51, 0,
    ]);
  });

  it("lies between its pixels where points do, and ends half a pixel beyond the last", () => {
    const image = { columns: 2, rows: 1, values: Float32Array.from([0, 200]) };
    const ramp = { black: 0, white: 255 };
    const size = { width: 7, height: 1 };
    expect(drawn(image, placed([0.5, 0], [0, 1], [-1, 0]), ramp, size)).toEqual([0, 0, 0, 100, 200, 0, 0]);
    const whole = { ...size, interpolated: false };
    expect(drawn(image, placed([0.5, 0], [0, 1], [-1, 0]), ramp, whole)).toEqual([0, 0, 0, 200, 200, 0, 0]);
  });

  it("is cut off above white and below black, after values were interpolated", () => {
    const image = { columns: 2, rows: 1, values: Int16Array.from([-1000, 3000]) };
    const quarter = placed([0.25, 0], [0, 1]);
    const size = { width: 5, height: 1 };
    expect(drawn(image, quarter, { black: 0, white: 2000 }, size)).toEqual([0, 0, 128, 255, 255]);
  });

  it("is the same by both ways of drawing", () => {
    const straight = placed([0.31, 0], [0, 0.29], [-0.7, -0.6]);
    const hardlyTurned = placed([0.31, 1e-4], [0, 0.29], [-0.7, -0.6]);
    const [one, other] = [drawn(noise, straight, window), drawn(noise, hardlyTurned, window)];
    expect(Math.max(...one.map((each, at) => Math.abs(each - (other[at] ?? 0))))).toBeLessThanOrEqual(1);
  });

  it("is turned as the places say", () => {
    const upright = drawn(noise, placed([1, 0], [0, 1]), window, { width: 13, height: 9 });
    const turned = drawn(noise, placed([0, 1], [1, 0]), window, { width: 9, height: 13 });
    for (let row = 0; row < 9; row++)
      for (let column = 0; column < 13; column++)
        expect(turned[column * 9 + row]).toBe(upright[row * 13 + column]);
  });
});
