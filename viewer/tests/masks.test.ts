// Expected pixels are counted apart from this code (numpy), over pixel centres.
import { describe, expect, it } from "vitest";
import { count, cutOfBall, keptMask, maskOf, paintDisc, paintPolygon } from "../src/masks.ts";

const SIZE = { columns: 40, rows: 30 };
const empty = (): Uint8Array => new Uint8Array(SIZE.columns * SIZE.rows);
const always = (): boolean => true;

describe("a mask", () => {
  it("is kept as the bits of its rectangle", () => {
    const mask = empty();
    for (const index of [5 * 40 + 7, 5 * 40 + 9, 6 * 40 + 8]) mask[index] = 1;
    // rows 101, 010 of three columns: bits 0, 2 and 4
    expect(keptMask(mask, SIZE)).toEqual({ left: 7, top: 5, columns: 3, rows: 2, bits: btoa("\u0015") });
  });
  it("comes back as it was", () => {
    const mask = empty().map((_, index) => ((index * 7919) % 5 ? 0 : 1));
    const kept = keptMask(mask, SIZE);
    expect(kept && maskOf(kept, SIZE)).toEqual(mask);
    expect(keptMask(empty(), SIZE)).toBeNull();
  });
  it("stays inside of the image, whatever was kept", () => {
    expect(count(maskOf({ left: 38, top: -1, columns: 4, rows: 2, bits: btoa("\u00ff") }, SIZE))).toBe(2);
  });
});

describe("painting", () => {
  it("sets the pixels whose centres lie in the disc", () => {
    const mask = empty();
    paintDisc(mask, SIZE, { centre: [20, 15], radii: [6.3, 6.3] }, 1, always);
    expect(count(mask)).toBe(120); // numpy: ((x + .5 - 20) ** 2 + (y + .5 - 15) ** 2 <= 6.3 ** 2).sum()
    paintDisc(mask, SIZE, { centre: [20, 15], radii: [3, 6] }, 0, always);
    expect(count(mask)).toBe(64);
  });
  it("sets only what its threshold allows", () => {
    const mask = empty();
    paintDisc(mask, SIZE, { centre: [0, 0], radii: [10, 10] }, 1, (index) => index % 2 === 0);
    expect(count(mask)).toBe(42);
  });
  it("fills an outline by pixel centres", () => {
    const mask = empty();
    paintPolygon(
      mask,
      SIZE,
      [
        [10, 10],
        [20, 10],
        [20, 25],
        [10, 25],
      ],
      1,
      always,
    );
    expect(count(mask)).toBe(150);
    paintPolygon(
      mask,
      SIZE,
      [
        [10.6, 10.6],
        [19.4, 10.6],
        [19.4, 12.4],
      ],
      0,
      always,
    );
    expect(mask[11 * 40 + 12]).toBe(1);
    expect(mask[11 * 40 + 17]).toBe(0);
  });
  it("cuts a ball smaller away from its middle", () => {
    expect(cutOfBall(5, 3)).toBe(4);
    expect(cutOfBall(5, 5)).toBe(0);
  });
});
