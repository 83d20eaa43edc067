// Images ahead of the reader: the rest of a stack from the shown image outwards, and the next case.

import * as core from "@cornerstonejs/core";
import type { DisplaySet } from "./displaysets.ts";

const CACHE_SHARE = 0.8; // of the cache that prefetching may fill
const { RequestType } = core.Enums;

/** Load what is not loaded yet, nearest to `from` first, and tell how many are there. */
export function prefetch(set: DisplaySet, from: number, told: (done: number, all: number) => void): void {
  const order = set.pictures
    .map((each, index) => ({ each, away: Math.abs(index - from) }))
    .sort((a, b) => a.away - b.away);
  const done = () =>
    told(set.pictures.filter((each) => core.cache.isLoaded(each.imageId)).length, set.pictures.length);
  for (const { each, away } of order) {
    if (core.cache.getImageLoadObject(each.imageId)) continue;
    const load = async () => {
      if (core.cache.getCacheSize() > core.cache.getMaxCacheSize() * CACHE_SHARE) return;
      await core.imageLoader
        .loadAndCacheImage(each.imageId, { priority: away, requestType: RequestType.Prefetch })
        .catch(() => undefined);
      done();
    };
    core.imageLoadPoolManager.addRequest(load, RequestType.Prefetch, { set: set.id }, away);
  }
  done();
}

/** Forget what is queued for other display sets than these. */
export function keepOnly(sets: ReadonlySet<string>): void {
  core.imageLoadPoolManager.filterRequests((request) => {
    const wanted = (request.additionalDetails as { set?: string } | undefined)?.set;
    return wanted === undefined || sets.has(wanted);
  });
}
