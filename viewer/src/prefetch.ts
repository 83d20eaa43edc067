// Images ahead of the reader: the rest of a stack from the shown image outwards, and the next case.

import * as core from "@cornerstonejs/core";
import type { DisplaySet } from "./displaysets.ts";
import { isPreview, loadAhead, stepsOf, wholeImage } from "./progressive.ts";

const CACHE_SHARE = 0.8; // of the cache that prefetching may fill
const AT_ONCE = 500; // images whose beginnings wait for their rest: the cache does not count these
const TOLD_EVERY_MS = 100;
const { RequestType } = core.Enums;

type Told = (done: number, all: number) => void;

/** Load what is not loaded yet, nearest to `from` first, and tell how many are there. */
export function prefetch(set: DisplaySet, from: number, told: Told): void {
  const order = set.pictures
    .map((each, index) => ({ each, away: Math.abs(index - from) }))
    .sort((a, b) => a.away - b.away);
  const count = () =>
    told(set.pictures.filter(({ imageId }) => isLoaded(imageId)).length, set.pictures.length);
  let soon = false;
  const done = () => {
    if (soon) return;
    soon = true;
    setTimeout(() => {
      soon = false;
      count();
    }, TOLD_EVERY_MS);
  };
  const missing = order.filter(({ each }) => !core.cache.getImageLoadObject(each.imageId));
  for (const { each } of missing) waiting.set(each.imageId, set.id);
  if (stepsOf(set)) {
    const imageIds = missing.map(({ each }) => each.imageId);
    inSteps(set, imageIds, done).catch(() => undefined); // what failed is asked for again when it is shown
  } else
    for (const { each, away } of missing) {
      const load = async () => {
        if (isFull()) return;
        await core.imageLoader
          .loadAndCacheImage(each.imageId, { priority: away, requestType: RequestType.Prefetch })
          .catch(() => undefined);
        done();
      };
      core.imageLoadPoolManager.addRequest(load, RequestType.Prefetch, { imageId: each.imageId }, away);
    }
  count();
}

const waiting = new Map<string, string>(); // display sets of images that prefetching asked for

const isFull = () => core.cache.getCacheSize() > core.cache.getMaxCacheSize() * CACHE_SHARE;
const isLoaded = (imageId: string) => core.cache.isLoaded(imageId) && !isPreview(imageId);

async function inSteps(set: DisplaySet, missing: readonly string[], done: () => void): Promise<void> {
  const configuration = stepsOf(set);
  if (!configuration) return;
  const load = (imageId: string, options: object): Promise<unknown> =>
    isFull() && !wholeImage(imageId)
      ? Promise.reject(new Error("The memory for images is full."))
      : core.imageLoader.loadAndCacheImage(imageId, options as never);
  const listener = {
    successCallback: done,
    errorCallback: () => undefined,
    getLoaderImageOptions: (imageId: string) => ({
      useRGBA: false,
      priority: 5,
      requestType: RequestType.Prefetch,
      additionalDetails: { imageId },
      loader: load,
    }),
  } as never;
  for (let at = 0; at < missing.length && !isFull(); at += AT_ONCE)
    await loadAhead(configuration, missing.slice(at, at + AT_ONCE), listener);
}

/** Forget what is queued for other display sets than these. */
export function keepOnly(sets: ReadonlySet<string>): void {
  core.imageLoadPoolManager.filterRequests(({ type, additionalDetails }) => {
    const imageId = (additionalDetails as { imageId?: string } | undefined)?.imageId ?? "";
    const set = type === RequestType.Prefetch ? waiting.get(imageId) : undefined;
    return set === undefined || sets.has(set);
  });
}
