// What the engine's cache holds, counted as it is. The engine counts whole images and takes an image that is only
// partly there for nothing: two thousand previews would be outside of its limit. Here they count like any other,
// and the oldest go when there is no room.

import * as core from "@cornerstonejs/core";

interface Entry {
  image?: { imageId: string; sizeInBytes: number };
  loaded: boolean;
  sizeInBytes: number;
}

/** Of the engine's cache, what is relied on here: `_imageCache` and `_putImageCommon` are its own. */
interface Cache {
  _imageCache: Map<string, Entry>;
  _putImageCommon(imageId: string, image: unknown, entry: Entry): void;
  putImageLoadObject(imageId: string, loading: unknown): Promise<void>;
  setPartialImage(imageId: string, image?: unknown, forget?: boolean): void;
  removeImageLoadObject(imageId: string, options?: { force?: boolean }): void;
  incrementImageCacheSize(bytes: number): void;
}

/** Have the cache count what is partly there. */
export function countPreviews(of: unknown = core.cache): void {
  const cache = of as Cache;
  const setPartialImage = cache.setPartialImage.bind(cache);
  const putImageLoadObject = cache.putImageLoadObject.bind(cache);
  const putImage = cache._putImageCommon.bind(cache);
  const remove = cache.removeImageLoadObject.bind(cache);
  const count = (entry: Entry, bytes: number) => {
    cache.incrementImageCacheSize(bytes - entry.sizeInBytes);
    entry.sizeInBytes = bytes;
  };

  cache.setPartialImage = (imageId, image, forget) => {
    setPartialImage(imageId, image, forget);
    const entry = cache._imageCache.get(imageId);
    // Where a neighbour stands in for an image, it is counted under its own name.
    if (entry && !entry.loaded && entry.image?.imageId === imageId) count(entry, entry.image.sizeInBytes);
  };
  cache.putImageLoadObject = (imageId, loading) => {
    const counted = cache._imageCache.get(imageId)?.sizeInBytes ?? 0;
    const put = putImageLoadObject(imageId, loading); // makes an entry anew, with the preview in it
    const entry = cache._imageCache.get(imageId);
    if (entry) entry.sizeInBytes = counted;
    return put.catch((error: unknown) => {
      if (entry) count(entry, 0);
      throw error;
    });
  };
  cache._putImageCommon = (imageId, image, entry) => {
    if (cache._imageCache.get(imageId) === entry) count(entry, 0); // the preview goes
    putImage(imageId, image, entry);
  };
  cache.removeImageLoadObject = (imageId, options) => {
    const entry = cache._imageCache.get(imageId);
    remove(imageId, options);
    if (entry) entry.sizeInBytes = 0; // it was taken off just now
  };
}

/** Count what is kept beside the engine's images within the same limit; negative: it is gone. */
export const countBeside = (bytes: number): void => core.cache.incrementImageCacheSize(bytes);
