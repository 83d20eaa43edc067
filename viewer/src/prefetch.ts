// Images ahead of the reader: the rest of a stack from the shown image outwards, and the next case.

import * as core from "@cornerstonejs/core";
import type { DisplaySet } from "./displaysets.ts";
import { whenLeft } from "./life.ts";
import { isPreview, loadAhead, stepsOf, wholeImage } from "./progressive.ts";

const CACHE_SHARE = 0.8; // of the cache that prefetching may fill
const AT_ONCE = 500; // images whose beginnings wait for their rest: the cache does not count these
const TOLD_EVERY_MS = 100;
const LATER = 100_000; // in the queue: after everything of the shown case
const { RequestType } = core.Enums;

type Told = (done: number, all: number) => void;

/** Load what is not loaded yet, nearest to `from` first, and tell how many are there. */
export function prefetch(set: DisplaySet, from: number, told: Told): void {
  void load(set, from, told, { most: set.pictures.length, after: 0 });
}

/** Load some images of a case that is not shown yet, when nothing of the shown one waits; until they are there. */
export async function prefetchLater(set: DisplaySet, from: number, most: number): Promise<void> {
  ahead.add(set.id);
  await load(set, from, () => undefined, { most, after: LATER });
}

const ahead = new Set<string>(); // display sets of the next case
whenLeft(() => ahead.clear());

function load(
  set: DisplaySet,
  from: number,
  told: Told,
  { most, after }: { most: number; after: number },
): Promise<unknown> {
  const order = set.pictures
    .map((each, index) => ({ each, away: Math.abs(index - from) }))
    .sort((a, b) => a.away - b.away)
    .slice(0, most);
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
  const imageIds = missing.map(({ each }) => each.imageId);
  const failed = () => undefined; // it is asked for again when it is shown
  let loads: Promise<unknown>[];
  if (stepsOf(set) && after) {
    // Nobody scrolls here yet: the image that is shown first is whole before another begins.
    loads = imageIds.map((each, at) => inSteps(set, [each], done, after + 2 * at));
  } else if (stepsOf(set)) loads = [inSteps(set, imageIds, done, 0)];
  else loads = missing.map(({ each, away }) => atOnce(each.imageId, after + away).finally(done));
  count();
  return Promise.all(loads.map((each) => each.catch(failed)));
}

function atOnce(imageId: string, priority: number): Promise<unknown> {
  const { Prefetch } = RequestType;
  return new Promise((resolve) => {
    const load = async () => {
      if (!isFull())
        await core.imageLoader
          .loadAndCacheImage(imageId, { priority, requestType: Prefetch })
          .catch(() => undefined);
      resolve(null);
    };
    core.imageLoadPoolManager.addRequest(load, Prefetch, { imageId }, priority);
  });
}

const waiting = new Map<string, string>(); // display sets of images that prefetching asked for
whenLeft(() => waiting.clear());

const isFull = () => core.cache.getCacheSize() > core.cache.getMaxCacheSize() * CACHE_SHARE;
const isLoaded = (imageId: string) => core.cache.isLoaded(imageId) && !isPreview(imageId);

async function inSteps(
  set: DisplaySet,
  missing: readonly string[],
  done: () => void,
  after: number,
): Promise<void> {
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
    await loadAhead(configuration, missing.slice(at, at + AT_ONCE), listener, after);
}

/** Forget what is queued for other display sets than these. */
export function keepOnly(sets: ReadonlySet<string>): void {
  core.imageLoadPoolManager.filterRequests(({ type, additionalDetails }) => {
    const imageId = (additionalDetails as { imageId?: string } | undefined)?.imageId ?? "";
    const set = type === RequestType.Prefetch ? waiting.get(imageId) : undefined;
    return set === undefined || sets.has(set) || ahead.has(set);
  });
}
