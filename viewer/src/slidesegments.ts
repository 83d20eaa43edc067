// Segmentations of whole slides: tiles of a matrix of their own, laid over the slide. Nothing is loaded here but what
// a slide in view asks for. PS3.3 A.51, C.8.12.2, C.7.6.17.3

import { frameBytes } from "./bulk.ts";
import { type DicomJson, items, number, TAG, text } from "./dicom.ts";
import { bitmapOf, type Layer } from "./layers.ts";
import { type SegmentFacts, segmentKinds, sharesOf } from "./segments.ts";
import { type Level, levelOfInstance, matrixOfTiles, type Part, scaleOf, type Slide } from "./slide.ts";
import type { PlacedTile, WantedTile } from "./slidetiles.ts";

const TILES_MAX = 1500; // of one segment in view
const FRAMES_KEPT_MAX = 64; // as bytes: a label map's frame is asked for once for each of its segments

const T = {
  referencedSeries: "00081115",
  referencedInstances: "0008114A",
  sources: "00082112",
  referencedUid: "00081155",
  pyramid: "00080019",
} as const;

/** Whether the frames of an object are tiles of a matrix. */
export const isTiled = (data: DicomJson): boolean => Boolean(number(data, "00480006"));

/** Instances that are one pyramid of segments, the finest first; each other instance on its own. */
export function pyramids(given: readonly DicomJson[]): DicomJson[][] {
  const found = new Map<string, DicomJson[]>();
  for (const each of given) {
    const key = (isTiled(each) && text(each, T.pyramid)) || text(each, TAG.sopInstanceUid);
    found.set(key, [...(found.get(key) ?? []), each]);
  }
  const columns = (data: DicomJson) => number(data, "00480006") ?? 0;
  return [...found.values()].map((each) => [...each].sort((a, b) => columns(b) - columns(a)));
}

/** The instances that a segmentation says it was made from. */
export const namedSources = (data: DicomJson): string[] => {
  const named = [
    ...items(data, T.referencedSeries).flatMap((each) => items(each, T.referencedInstances)),
    ...items(data, T.sources),
  ].map((each) => text(each, T.referencedUid));
  return [...new Set(named)].filter(Boolean);
};

/** Leads from columns and rows of a matrix to those of the slide's finest level. */
export interface Placing {
  at: readonly [number, number]; // of the outer corner of the matrix' first pixel
  scale: readonly [number, number];
}

/** Where a segmentation's matrix lies on the slide: on the level of which it has the size and that it was made from,
 * else where both say that they lie on the glass. Null where it lies on none of it, or turned. */
export function placeOnSlide(data: DicomJson, level: Level, slide: Slide): Placing | null {
  for (const uid of namedSources(data)) {
    const source = levelOfInstance(slide, uid);
    if (source && source.columns === level.columns && source.rows === level.rows)
      return { at: [0, 0], scale: scaleOf(slide, source) };
  }
  const base = slide.levels[0];
  const [own, glass] = [level.plane, base?.plane];
  if (!own || !glass || !level.mm || !base?.mm) return null;
  if (!own.frameOfReferenceUid || own.frameOfReferenceUid !== glass.frameOfReferenceUid) return null;
  if (own.turn.some((each, index) => Math.abs(each - (glass.turn[index] ?? 0)) > 1e-3)) return null;
  const way = [own.origin[0] - glass.origin[0], own.origin[1] - glass.origin[1]] as const;
  const along = (from: number) => way[0] * (glass.turn[from] ?? 0) + way[1] * (glass.turn[from + 1] ?? 0);
  const scale = [level.mm[0] / base.mm[0], level.mm[1] / base.mm[1]] as const;
  // The origins are those of the centres of the first pixels.
  return {
    at: [along(0) / base.mm[0] + 0.5 - scale[0] / 2, along(3) / base.mm[1] + 0.5 - scale[1] / 2],
    scale,
  };
}

interface Source {
  data: DicomJson;
  uid: string;
  facts: ReturnType<typeof segmentKinds>;
  places: WeakMap<Slide, { place: Placing | null }>;
  level: Level;
  layers: string[]; // the segment of each
  isFull: boolean;
  bytes(frame: number, signal: AbortSignal): Promise<Uint8Array>;
}

/** A layer for each segment of a segmentation, given as the levels of its pyramid, the finest first. */
export function slideLayers(
  group: string,
  given: readonly DicomJson[],
  addressOf: (data: DicomJson) => string,
): Layer[] {
  const sources = given.flatMap((data): Source[] => {
    const matrix = matrixOfTiles(data);
    if (!matrix) return [];
    const uid = text(data, TAG.sopInstanceUid);
    const bytes = remembered(addressOf(data));
    return [{ data, uid, facts: segmentKinds(data), places: new WeakMap(), ...matrix, bytes }];
  });
  const segments = sources[0]?.facts.segments ?? [];
  return segments.map((segment) => ({
    id: `${group}/${segment.number}`,
    group,
    label: segment.label,
    colour: `rgb(${segment.colour.join(" ")})`,
    visible: true,
    opacity: 0.5,
    on: () => false,
    draw: () => undefined,
    slide: (slide, part, scale) => placedTiles(sources, segment, slide, part, scale),
  }));
}

function placedTiles(
  sources: readonly Source[],
  segment: SegmentFacts,
  slide: Slide,
  part: Part,
  scale: number,
): PlacedTile[] | null {
  const placed = sources.flatMap((source) => {
    const known = source.places.get(slide) ?? { place: placeOnSlide(source.data, source.level, slide) };
    source.places.set(slide, known);
    return known.place ? [{ source, place: known.place }] : [];
  });
  // The coarsest that has a pixel for every point, else the finest.
  const chosen = [...placed].reverse().find(({ place }) => place.scale[0] * scale <= 1.001) ?? placed[0];
  if (!chosen) return [];
  const { source, place } = chosen;
  const { at, scale: by } = place;
  const { level } = source;
  const left = Math.max(0, (part.left - at[0]) / by[0]);
  const top = Math.max(0, (part.top - at[1]) / by[1]);
  const right = Math.min(level.columns, (part.right - at[0]) / by[0]);
  const bottom = Math.min(level.rows, (part.bottom - at[1]) / by[1]);
  if (right <= left || bottom <= top) return [];
  const cells = ((right - left) / level.tileColumns) * ((bottom - top) / level.tileRows);
  if (source.isFull && cells > TILES_MAX) return null; // without counting them one by one
  const all = source.facts.kind === "LABELMAP"; // every frame may hold it
  const found = source.layers.flatMap((name, layer) =>
    all || name === String(segment.number) ? level.tiles(left, top, right, bottom, layer) : [],
  );
  if (found.length > TILES_MAX) return null;
  return found.map(({ column, row, frame }) => ({
    left: at[0] + column * by[0],
    top: at[1] + row * by[1],
    right: at[0] + (column + level.tileColumns) * by[0],
    bottom: at[1] + (row + level.tileRows) * by[1],
    tile: segmentTile(source, segment, frame),
  }));
}

const segmentTile = (source: Source, segment: SegmentFacts, frame: number): WantedTile => ({
  key: `${source.uid}/${frame}/${segment.number}`,
  load: async (signal) => {
    const { facts } = source;
    const shares = sharesOf(facts, segment, await source.bytes(frame, signal));
    const drawn = bitmapOf((index) => (shares[index] ?? 0) / 255, facts.columns, facts.rows, segment.colour);
    return createImageBitmap(drawn);
  },
});

/** The frames of an instance, the latest of which are not asked for again. */
function remembered(address: string): Source["bytes"] {
  const kept = new Map<number, Uint8Array>();
  return async (frame, signal) => {
    const known = kept.get(frame);
    if (known) return known;
    const bytes = await frameBytes(address, frame, signal);
    kept.set(frame, bytes);
    for (const oldest of kept.keys()) {
      if (kept.size <= FRAMES_KEPT_MAX) break;
      kept.delete(oldest);
    }
    return bytes;
  };
}
