// Volumes on their way: of each slice first a preview, then all of it. What is known of the slices is taken over in
// steps, and in each everything that was counted or drawn from what they were before is given up at once: numbers from
// previews and numbers from stored voxels are never mixed.

import * as core from "@cornerstonejs/core";
import type { DisplaySet } from "./displaysets.ts";
import { caseLife, whenLeft } from "./life.ts";
import { previews, volumeIdOf } from "./progressive.ts";
import { SliceTable } from "./slicetable.ts";

const { Events } = core.Enums;
const STEP_MS = 400; // between two pictures of what comes in

const known = new Map<string, Loading>();
whenLeft(() => known.clear());

/** The volume of a display set: asked for once, and again after it could not be loaded. */
export async function loadVolume(set: DisplaySet): Promise<Loading> {
  const id = volumeIdOf(set);
  let found = known.get(id);
  if (!found?.isAlive) {
    if (core.cache.getVolume(id)) core.cache.removeVolumeLoadObject(id);
    found = new Loading(set);
    known.set(id, found);
  }
  await found.opened;
  return found;
}

type Streaming = core.Types.IStreamingImageVolume & {
  autoRenderOnLoad: boolean;
  cachedFrames: number[]; // how good each slice is
};

export class Loading {
  readonly id: string;
  readonly table: SliceTable;
  readonly opened: Promise<void>;
  private failed = false;
  private volume: Streaming | null = null;
  private later = 0;

  constructor(private readonly set: DisplaySet) {
    this.id = volumeIdOf(set);
    this.table = new SliceTable(set.pictures.length);
    this.opened = this.open();
  }

  /** Whether it is there or will be. */
  get isAlive(): boolean {
    return !this.failed && (this.volume === null || this.isCached);
  }

  private get isCached(): boolean {
    return core.cache.getVolume(this.id) === (this.volume as unknown);
  }

  private async open(): Promise<void> {
    const imageIds = this.set.pictures.map((each) => each.imageId);
    this.volume = (await core.volumeLoader.createAndCacheVolume(this.id, {
      imageIds,
    })) as unknown as Streaming;
    this.volume.autoRenderOnLoad = false; // every picture of a volume is dear
    const modified = this.listen(Events.IMAGE_VOLUME_MODIFIED, () => this.came());
    const completed = this.listen(Events.IMAGE_VOLUME_LOADING_COMPLETED, () => this.end());
    const failed = this.listen(Events.IMAGE_LOAD_ERROR, () => this.end(), imageIds);
    const stop = () => {
      clearTimeout(this.later);
      for (const each of [modified, completed, failed]) each();
    };
    this.table.complete.then(stop, stop);
    caseLife().addEventListener("abort", stop, { once: true });
    (this.volume as unknown as { load(): void }).load();
  }

  /** Listen to what happens to this volume, or to its images. */
  private listen(name: string, heard: () => void, imageIds?: readonly string[]): () => void {
    const listener = (event: Event) => {
      const { volumeId, imageId } = (event as CustomEvent<{ volumeId?: string; imageId?: string }>).detail;
      if (imageIds ? imageIds.includes(imageId ?? "") : volumeId === this.id) heard();
    };
    core.eventTarget.addEventListener(name, listener);
    return () => core.eventTarget.removeEventListener(name, listener);
  }

  private came(): void {
    const { cachedFrames = [] } = this.volume ?? {};
    const drawn = this.table.there === this.table.count;
    const done = cachedFrames.filter((each) => each >= core.Enums.ImageQualityStatus.FULL_RESOLUTION).length;
    if (!drawn || done === this.table.count) this.step();
    else this.later ||= window.setTimeout(() => this.step(), STEP_MS);
  }

  private step(): void {
    clearTimeout(this.later);
    this.later = 0;
    if (!this.volume || !this.isCached) return; // its case was left
    this.table.take(this.volume.cachedFrames);
    // The engine remembers the voxels that a slice had when somebody asked first.
    (this.volume.voxelManager as unknown as { invalidateCache(): void }).invalidateCache();
    previews.dispatchEvent(new CustomEvent("refined", { detail: this.id }));
  }

  /** No more slices come. */
  private end(): void {
    this.step();
    this.failed = !this.table.isComplete;
    this.table.end("A slice could not be loaded, so there is no volume.");
  }

  /** How far along the volume a place in the patient is, in slices. */
  depthOf(place: core.Types.Point3): number {
    return this.volume?.imageData?.worldToIndex(place)[2] ?? Number.NaN;
  }
}

/** Volumes that a viewport draws of which not every voxel is the stored one. */
export const unfinishedIn = (viewport: object | null): Loading[] =>
  viewport instanceof core.BaseVolumeViewport
    ? viewport.getAllVolumeIds().flatMap((id) => {
        const found = known.get(id);
        return found && !found.table.isComplete ? [found] : [];
      })
    : [];

/** The volume that the engine's tools count on, by their name for it and the plane; empty where it is none. */
export const volumeIn = (target: string): string => /^volumeId:([^?]*)/.exec(target)?.[1] ?? "";

/** Whether numbers that the engine's tools find at these places of a volume come from less than the stored voxels. */
export function countsPreview(target: string, places: readonly core.Types.Point3[]): boolean {
  const found = known.get(volumeIn(target));
  return found?.table.isUnfinished(places.map((each) => found.depthOf(each))) ?? false;
}
