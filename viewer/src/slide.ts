// Whole slides: a pyramid of images, each cut into tiles that are frames. Where each tile lies, and which level
// serves a zoom. Pure arithmetic on metadata; what is drawn is the slide pane's. PS3.3 C.8.12.4, C.7.6.17.3

import { type DicomJson, functionalGroup, items, number, numbers, TAG, text } from "./dicom.ts";
import type { Statistic } from "./format.ts";

const WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6";

const T = {
  totalColumns: "00480006",
  totalRows: "00480007",
  width: "00480001", // Imaged Volume Width, mm
  height: "00480002",
  organization: "00209311",
  planes: "00480303", // Total Pixel Matrix Focal Planes
  paths: "00480302", // Number of Optical Paths
  opticalPaths: "00480105",
  opticalPathId: "00480106",
  opticalPathDescription: "00480107",
  lensPower: "00480112",
  pathOfFrame: "00480207",
  place: "0048021A", // Plane Position (Slide) Sequence
  column: "0048021E",
  row: "0048021F",
  depth: "0040074A", // Z Offset in Slide Coordinate System, µm
  concatenation: "00209161",
  frameOffset: "00209228",
  container: "00400512",
  bitsStored: "00280101",
  windowWidth: "00281051",
  origin: "00480008", // Total Pixel Matrix Origin Sequence
  originX: "0040072A",
  originY: "0040073A",
  turn: "00480102", // Image Orientation (Slide)
  segments: "00620002",
  segmentNumber: "00620004",
  segmentationType: "00620001",
  segmentOfFrame: "0062000A",
  referencedSegment: "0062000B",
} as const;

/** A frame at a place of the total pixel matrix of its level: columns and rows from 0. */
export interface Tile {
  column: number;
  row: number;
  instance: DicomJson;
  frame: number; // from 1
}

export interface Level {
  columns: number; // of the total pixel matrix
  rows: number;
  tileColumns: number;
  tileRows: number;
  mm: readonly [number, number] | null; // from one column to the next, from one row to the next
  coloured: boolean;
  parts: readonly DicomJson[]; // the instances that it is made of
  plane: SlidePlane | null;
  /** The tiles that touch a rectangle of the matrix, on one focal plane and optical path. */
  tiles(left: number, top: number, right: number, bottom: number, layer: number): Tile[];
}

/** Where a matrix lies on the glass, in millimetres. PS3.3 C.8.12.2.1 */
export interface SlidePlane {
  frameOfReferenceUid: string;
  origin: readonly [number, number]; // of the centre of its first pixel
  turn: readonly number[]; // directions of rows and columns, three cosines each
}

export interface Slide {
  levels: Level[]; // the finest first
  layers: string[]; // names of focal planes and optical paths; one where there is nothing to choose
  container: string;
  lens: number | null; // magnification of the objective
}

export const isWholeSlide = (data: DicomJson): boolean => text(data, TAG.sopClassUid) === WHOLE_SLIDE;

/** Whether it is a level of the pyramid: labels and overviews show the glass, not the specimen. */
const isLevel = (data: DicomJson): boolean => {
  const flavour = String(data[TAG.imageType]?.Value?.[2] ?? "VOLUME");
  return flavour === "VOLUME" || flavour === "THUMBNAIL";
};

/** Labels and overviews, which are pictures of one frame. */
export const glassOf = (given: readonly DicomJson[]): DicomJson[] =>
  given.filter((each) => isWholeSlide(each) && !isLevel(each));

/** The pyramid that the instances of a series are; null where there is none. */
export function slideOf(given: readonly DicomJson[]): Slide | null {
  const matrices = new Map<string, DicomJson[]>();
  for (const each of given.filter((one) => isWholeSlide(one) && isLevel(one))) {
    const key = text(each, T.concatenation) || matrixOf(each);
    matrices.set(key, [...(matrices.get(key) ?? []), each]);
  }
  const names = layerNames([...matrices.values()].flat());
  const levels = [...matrices.values()]
    .map((parts) => levelOf(parts, names))
    .filter((each): each is Level => each !== null)
    .sort((a, b) => b.columns - a.columns);
  const first = given.find((each) => isWholeSlide(each) && isLevel(each));
  if (!levels.length || !first) return null;
  const path = items(first, T.opticalPaths)[0];
  return {
    levels,
    layers: names.map((each) => each.label),
    container: text(first, T.container),
    lens: number(path, T.lensPower) ?? null,
  };
}

/** Instances of one size are one level: each may hold some of its planes, paths or tiles. */
const matrixOf = (data: DicomJson): string =>
  [T.totalColumns, T.totalRows, TAG.columns, TAG.rows].map((tag) => number(data, tag) ?? 0).join("x");

// --- Focal planes and optical paths ---------------------------------------------------------------

interface LayerName {
  key: string; // optical path and focal plane
  label: string;
}

const isFull = (data: DicomJson): boolean => text(data, T.organization) === "TILED_FULL";
/** What lies at the same place in several frames: optical paths of images, segments of segmentations. */
const pathNames = (data: DicomJson): string[] =>
  data[T.segments]
    ? segmentNames(data)
    : items(data, T.opticalPaths).map((each, index) => text(each, T.opticalPathId) || String(index + 1));

/** Label maps hold all segments in every frame. */
const segmentNames = (data: DicomJson): string[] =>
  text(data, T.segmentationType) === "LABELMAP"
    ? ["1"]
    : items(data, T.segments).map((each, index) => text(each, T.segmentNumber) || String(index + 1));

/** Every pair of optical path and focal plane, named for a choice. */
function layerNames(given: readonly DicomJson[]): LayerName[] {
  const found = new Map<string, string>(); // the depth in words, where it is stated
  const described = new Map<string, string>();
  for (const data of given) {
    items(data, T.opticalPaths).forEach((each, index) => {
      const id = text(each, T.opticalPathId) || String(index + 1);
      described.set(id, text(each, T.opticalPathDescription) || id);
    });
    const keys = isFull(data)
      ? fullKeys(data).map((key) => [key, ""] as const)
      : sparseKeys(data).map(({ key, depth }) => [key, `${depth} µm`] as const);
    for (const [key, depth] of keys) found.set(key, found.get(key) || depth);
  }
  const keys = [...found.keys()];
  const several = (part: 0 | 1) => new Set(keys.map((each) => each.split("\n")[part])).size > 1;
  const [paths, planes] = [several(0), several(1)];
  return keys.map((key) => {
    const [path = "", plane = ""] = key.split("\n");
    const words = [
      paths ? described.get(path) || path : "",
      planes ? `focus ${found.get(key) || plane}` : "",
    ];
    return { key, label: words.filter(Boolean).join(", ") || "Slide" };
  });
}

/** In the order of the frames: planes within paths. */
function fullKeys(data: DicomJson): string[] {
  const planes = number(data, T.planes) ?? 1;
  const names = pathNames(data);
  const paths = number(data, T.paths) ?? Math.max(1, names.length);
  return Array.from({ length: paths * planes }, (_, index) => {
    const path = names[Math.floor(index / planes)] ?? "1";
    return `${path}\n${(index % planes) + 1}`;
  });
}

/** Of each frame: focal planes of sparse tiles are told apart by their depth, and counted as those of full ones. */
function sparseKeys(data: DicomJson): { key: string; depth: number }[] {
  const frames = Array.from({ length: number(data, TAG.numberOfFrames) ?? 1 }, (_, frame) => {
    const place = functionalGroup(data, frame, T.place);
    const path = functionalGroup(data, frame, T.pathOfFrame);
    return {
      depth: number(place, T.depth) ?? 0,
      path:
        text(path, T.opticalPathId) ||
        text(functionalGroup(data, frame, T.segmentOfFrame), T.referencedSegment) ||
        (pathNames(data)[0] ?? "1"),
    };
  });
  const depths = [...new Set(frames.map((each) => each.depth))].sort((a, b) => a - b);
  return frames.map(({ depth, path }) => ({ key: `${path}\n${depths.indexOf(depth) + 1}`, depth }));
}

// --- Levels ---------------------------------------------------------------------------------------

function levelOf(parts: readonly DicomJson[], names: readonly LayerName[]): Level | null {
  const first = parts[0];
  if (!first) return null;
  const tileColumns = number(first, TAG.columns) ?? 0;
  const tileRows = number(first, TAG.rows) ?? 0;
  const columns = number(first, T.totalColumns) ?? tileColumns;
  const rows = number(first, T.totalRows) ?? tileRows;
  if (!tileColumns || !tileRows || !columns || !rows) return null;
  const size = { columns, rows, tileColumns, tileRows };
  const sources = parts.map((each) => (isFull(each) ? full(each, size, names) : sparse(each, size, names)));
  return {
    ...size,
    mm: spacingOf(first, columns, rows),
    coloured: (number(first, TAG.samplesPerPixel) ?? 1) > 1,
    parts,
    plane: planeOf(first),
    tiles: (left, top, right, bottom, layer) =>
      sources.flatMap((find) =>
        find(Math.max(0, left), Math.max(0, top), Math.min(columns, right), Math.min(rows, bottom), layer),
      ),
  };
}

function planeOf(data: DicomJson): SlidePlane | null {
  const origin = items(data, T.origin)[0];
  const [x, y] = [number(origin, T.originX), number(origin, T.originY)];
  const turn = numbers(data, T.turn);
  if (x === undefined || y === undefined || turn.length !== 6) return null;
  return { frameOfReferenceUid: text(data, TAG.frameOfReferenceUid), origin: [x, y], turn };
}

/** What an object is whose frames are tiles of a matrix, and its frames by what they are of: `tiles` counts layers
 * as they are listed. Null where it has no such matrix. */
export function matrixOfTiles(data: DicomJson): { level: Level; layers: string[]; isFull: boolean } | null {
  if (!number(data, T.totalColumns) || !number(data, T.totalRows)) return null;
  const names = layerNames([data]);
  const level = levelOf([data], names);
  const layers = names.map((each) => each.key.split("\n")[0] ?? "");
  return level && { level, layers, isFull: isFull(data) };
}

type Size = Pick<Level, "columns" | "rows" | "tileColumns" | "tileRows">;

/** Every tile is there, row by row, plane by plane, path by path. PS3.3 C.7.6.17.3 */
function full(data: DicomJson, size: Size, names: readonly LayerName[]): Level["tiles"] {
  const across = Math.ceil(size.columns / size.tileColumns);
  const down = Math.ceil(size.rows / size.tileRows);
  const keys = fullKeys(data);
  const offset = number(data, T.frameOffset) ?? 0; // of a part of a concatenation
  const last = number(data, TAG.numberOfFrames) ?? 1;
  return (left, top, right, bottom, layer) => {
    const section = keys.indexOf(names[layer]?.key ?? "");
    if (section < 0) return [];
    const found: Tile[] = [];
    for (let y = Math.floor(top / size.tileRows); y < Math.min(down, Math.ceil(bottom / size.tileRows)); y++)
      for (
        let x = Math.floor(left / size.tileColumns);
        x < Math.min(across, Math.ceil(right / size.tileColumns));
        x++
      ) {
        const frame = section * across * down + y * across + x + 1 - offset;
        if (frame < 1 || frame > last) continue;
        found.push({ column: x * size.tileColumns, row: y * size.tileRows, instance: data, frame });
      }
    return found;
  };
}

/** Each tile states its place, which need not be on a grid. PS3.3 C.8.12.6.1 */
function sparse(data: DicomJson, size: Size, names: readonly LayerName[]): Level["tiles"] {
  const places = new Map<string, Tile[]>();
  const all = new Map<number, Tile[]>(); // by layer
  const cell = (layer: number, x: number, y: number) => `${layer}/${x}/${y}`;
  const keys = sparseKeys(data);
  const layerOf = new Map(names.map((each, index) => [each.key, index]));
  for (let at = 0; at < keys.length; at++) {
    const place = functionalGroup(data, at, T.place);
    const column = (number(place, T.column) ?? 1) - 1;
    const row = (number(place, T.row) ?? 1) - 1;
    const layer = layerOf.get(keys[at]?.key ?? "") ?? 0;
    const key = cell(layer, Math.floor(column / size.tileColumns), Math.floor(row / size.tileRows));
    const tile = { column, row, instance: data, frame: at + 1 };
    places.set(key, [...(places.get(key) ?? []), tile]);
    const others = all.get(layer) ?? [];
    others.push(tile);
    all.set(layer, others);
  }
  // A tile that begins in the cell before may reach in.
  const around = (left: number, top: number, right: number, bottom: number, layer: number): Tile[] => {
    const found: Tile[] = [];
    for (let y = Math.floor(top / size.tileRows) - 1; y <= Math.floor(bottom / size.tileRows); y++)
      for (let x = Math.floor(left / size.tileColumns) - 1; x <= Math.floor(right / size.tileColumns); x++)
        found.push(...(places.get(cell(layer, x, y)) ?? []));
    return found;
  };
  return (left, top, right, bottom, layer) => {
    const own = all.get(layer) ?? [];
    const cells = ((right - left) / size.tileColumns + 2) * ((bottom - top) / size.tileRows + 2);
    const near = own.length <= cells ? own : around(left, top, right, bottom, layer);
    return near.filter(
      ({ column, row }) =>
        column < right && row < bottom && column + size.tileColumns > left && row + size.tileRows > top,
    );
  };
}

function spacingOf(data: DicomJson, columns: number, rows: number): readonly [number, number] | null {
  const [between, across] = numbers(functionalGroup(data, 0, TAG.pixelMeasures) ?? data, TAG.pixelSpacing);
  if (between && across) return [across, between];
  const [width, height] = [number(data, T.width), number(data, T.height)];
  return width && height ? [width / columns, height / rows] : null;
}

// --- The view --------------------------------------------------------------------------------------

/** The part of the slide in a viewport, in pixels of the finest level. */
export interface View {
  x: number; // in the middle of the viewport
  y: number;
  scale: number; // points of the viewport per pixel
}

/** The coarsest level that has a pixel for every point of the screen; the finest where none has. */
export function levelFor(levels: readonly Level[], view: View, pointsPerCssPixel = 1): number {
  const base = levels[0];
  if (!base) return 0;
  for (let at = levels.length - 1; at > 0; at--) {
    const level = levels[at] as Level;
    if ((view.scale * pointsPerCssPixel * base.columns) / level.columns <= 1.001) return at;
  }
  return 0;
}

/** A rectangle in pixels of the finest level. */
export interface Part {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** All of it in a viewport. */
export const fitted = (base: Level, width: number, height: number): View => ({
  x: base.columns / 2,
  y: base.rows / 2,
  scale: Math.min(width / base.columns, height / base.rows),
});

/** Nearer by a factor, with what is under a point of the viewport staying there. */
export function zoomed(
  view: View,
  factor: number,
  at: readonly [number, number],
  size: readonly [number, number],
  limits: readonly [number, number],
): View {
  const scale = Math.min(limits[1], Math.max(limits[0], view.scale * factor));
  const [dx, dy] = [at[0] - size[0] / 2, at[1] - size[1] / 2];
  return {
    x: view.x + dx / view.scale - dx / scale,
    y: view.y + dy / view.scale - dy / scale,
    scale,
  };
}

/** A length for a bar of at most `most` points: one, two or five of a decimal unit. */
export function scaleBar(mmPerPoint: number, most: number): { points: number; label: string } {
  const longest = mmPerPoint * most * 1000; // µm
  const decade = 10 ** Math.floor(Math.log10(longest));
  const um = ([5, 2, 1].find((each) => each * decade <= longest * 1.000001) ?? 1) * decade;
  const label = um >= 1000 ? `${um / 1000} mm` : um >= 1 ? `${um} µm` : `${Number(um.toPrecision(1))} µm`;
  return { points: um / 1000 / mmPerPoint, label };
}

/** How far apart two places of a level are; in pixels where their size is not stated. */
export function lengthOn(
  level: Pick<Level, "mm">,
  from: readonly [number, number],
  to: readonly [number, number],
): Statistic {
  const [across, down] = [to[0] - from[0], to[1] - from[1]];
  if (!level.mm) return { name: "", value: Math.hypot(across, down), unit: "px" };
  const mm = Math.hypot(across * level.mm[0], down * level.mm[1]);
  return { name: "", ...(mm >= 1 ? { value: mm, unit: "mm" } : { value: mm * 1000, unit: "µm" }) };
}

/** The level that an instance is of, or is a part of. */
export const levelOfInstance = (slide: Slide, sopInstanceUid: string): Level | undefined =>
  slide.levels.find(({ parts }) => parts.some((each) => text(each, TAG.sopInstanceUid) === sopInstanceUid));

/** How many columns and rows of the finest level those of another are. */
export function scaleOf(slide: Slide, level: Level): readonly [number, number] {
  const base = slide.levels[0] ?? level;
  return [base.columns / level.columns, base.rows / level.rows];
}

/** The window that all tiles of a grey slide share: their own extremes differ from tile to tile. */
export function windowOf(data: DicomJson): string {
  const group = functionalGroup(data, 0, TAG.frameVoiLut) ?? data;
  const centre = number(group, TAG.windowCentre);
  const width = number(group, T.windowWidth);
  if (centre !== undefined && width) return `${centre},${width},linear`;
  const most = 2 ** (number(data, T.bitsStored) ?? 8);
  return `${most / 2},${most},linear`;
}
