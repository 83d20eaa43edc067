import * as core from "@cornerstonejs/core";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { countPreviews } from "../src/cachesize.ts";
import { tileBytes, Tiles } from "../src/slidetiles.ts";

const { cache } = core;
const WHOLE = 1000;
const PREVIEW = 100;

const image = (imageId: string, sizeInBytes: number) => ({ imageId, sizeInBytes }) as core.Types.IImage;

/** Load an image in two steps, as the engine's progressive loader does; the second is left to the caller. */
async function preview(imageId: string): Promise<void> {
  await put(imageId, PREVIEW);
  cache.setPartialImage(imageId, undefined, true);
}
const put = (imageId: string, bytes: number) =>
  cache.putImageLoadObject(imageId, { promise: Promise.resolve(image(imageId, bytes)) });

beforeAll(() => countPreviews());
afterEach(() => cache.purgeCache());

describe("the engine's cache", () => {
  it("counts a preview, and the whole image in its place", async () => {
    await preview("a");
    await preview("b");
    expect(cache.getCacheSize()).toBe(2 * PREVIEW);
    await put("a", WHOLE);
    expect(cache.getCacheSize()).toBe(WHOLE + PREVIEW);
    cache.removeImageLoadObject("a");
    cache.removeImageLoadObject("b");
    expect(cache.getCacheSize()).toBe(0);
  });

  it("counts a preview while the rest is on its way, and no more when that fails", async () => {
    await preview("a");
    let fail: (error: Error) => void = () => undefined;
    const promise = new Promise<core.Types.IImage>((_, reject) => {
      fail = reject;
    });
    const loading = cache.putImageLoadObject("a", { promise });
    expect(cache.getCacheSize()).toBe(PREVIEW);
    fail(new Error("away"));
    await expect(loading).rejects.toThrow("away");
    expect(cache.getCacheSize()).toBe(0);
  });

  it("takes nothing off twice for what was let go of while it was loaded", async () => {
    await put("kept", WHOLE);
    await preview("a");
    let arrive: (given: core.Types.IImage) => void = () => undefined;
    const promise = new Promise<core.Types.IImage>((resolve) => {
      arrive = resolve;
    });
    const loading = cache.putImageLoadObject("a", { promise });
    cache.removeImageLoadObject("a");
    arrive(image("a", WHOLE));
    await loading;
    expect(cache.getCacheSize()).toBe(WHOLE);
  });

  it("lets the oldest preview go when there is no room", async () => {
    const before = cache.getMaxCacheSize();
    cache.setMaxCacheSize(10 * PREVIEW);
    for (let at = 0; at < 10; at++) {
      await preview(`p${at}`);
      const entry = cache.getImageLoadObject(`p${at}`);
      expect(entry).toBeNull(); // its image is shown, the rest of it can be asked for
    }
    await put("new", 3 * PREVIEW);
    expect(cache.getCacheSize()).toBe(10 * PREVIEW);
    const held = (at: number) => cache.getImageQuality(`p${at}`) !== undefined || isThere(`p${at}`);
    expect([0, 1, 2, 3].map(held)).toEqual([false, false, false, true]);
    cache.setMaxCacheSize(before);
  });
});

const isThere = (imageId: string): boolean =>
  (cache as unknown as { _imageCache: Map<string, unknown> })._imageCache.has(imageId);

describe("tiles of slides", () => {
  const bitmap = (side: number) =>
    ({ width: side, height: side, close: () => undefined }) as unknown as ImageBitmap;
  const tile = (key: string, side: number) => ({ key, load: () => Promise.resolve(bitmap(side)) });
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  const side = 4096; // 64 MiB: four of them are the limit

  it("share one limit, count in that of the cache, and go with their slide", async () => {
    const [first, second] = [0, 1].map(
      () =>
        new Tiles(
          () => undefined,
          () => undefined,
        ),
    ) as [Tiles, Tiles];
    first.want([tile("a", side), tile("b", side)]);
    await settled();
    first.want([tile("b", side)]);
    second.want([tile("a", side), tile("c", side)]);
    await settled();
    expect(tileBytes()).toBe(4 * 4 * side ** 2);
    expect(cache.getCacheSize()).toBe(tileBytes());
    second.want([tile("d", side), tile("e", side)]);
    await settled();
    // Gone are those that nobody looks at, the oldest first; what is in view stays.
    expect(["a", "b"].map((key) => first.get(key) !== undefined)).toEqual([false, true]);
    expect(["a", "c", "d", "e"].map((key) => second.get(key) !== undefined)).toEqual([
      false,
      true,
      true,
      true,
    ]);
    first.end();
    second.end();
    expect([tileBytes(), cache.getCacheSize()]).toEqual([0, 0]);
  });
});
