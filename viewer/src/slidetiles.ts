// Tiles of slides as bitmaps: few requests at a time, none for what is out of view. All slides share one limit: the
// tile goes that was not drawn for the longest time, and what is kept counts in the limit of the engine's cache.

import { countBeside } from "./cachesize.ts";
import { type DicomJson, TAG, text } from "./dicom.ts";
import { type Part, type Tile, windowOf } from "./slide.ts";

const REQUESTS_MAX = 6;
const KEPT_BYTES_MAX = 256 << 20;
const TRIES_MAX = 2;
const JPEG_BASELINE = "1.2.840.10008.1.2.4.50";

export interface WantedTile {
  key: string;
  load(signal: AbortSignal): Promise<ImageBitmap>;
}

/** A tile that lies over a part of the slide. */
export interface PlacedTile extends Part {
  tile: WantedTile;
}

interface Kept {
  bitmap: ImageBitmap;
  owner: Tiles;
}

const bytesOf = (bitmap: ImageBitmap): number => 4 * bitmap.width * bitmap.height;
const kept = new Map<string, Kept>(); // of all slides, the least recently drawn first
let bytes = 0;
let slides = 0;

/** How many bytes tiles take, for diagnosis. */
export const tileBytes = (): number => bytes;

function add(key: string, each: Kept): void {
  kept.set(key, each);
  bytes += bytesOf(each.bitmap);
  countBeside(bytesOf(each.bitmap));
}

function drop(key: string): void {
  const found = kept.get(key);
  if (!found) return;
  kept.delete(key);
  bytes -= bytesOf(found.bitmap);
  countBeside(-bytesOf(found.bitmap));
  found.bitmap.close();
}

export class Tiles {
  private readonly slide = ++slides;
  private readonly asked = new Map<string, AbortController>();
  private readonly failed = new Map<string, number>();
  private wanted: readonly WantedTile[] = [];
  private wantedKeys: ReadonlySet<string> = new Set(); // as they are kept

  constructor(
    private readonly arrived: () => void,
    private readonly tell: (what: unknown) => void,
  ) {}

  private own(key: string): string {
    return `${this.slide} ${key}`;
  }

  /** How many are to come. */
  get waiting(): number {
    return this.wanted.filter(
      ({ key }) => !kept.has(this.own(key)) && (this.failed.get(key) ?? 0) < TRIES_MAX,
    ).length;
  }

  get(key: string): ImageBitmap | undefined {
    const found = kept.get(this.own(key));
    if (!found) return undefined;
    kept.delete(this.own(key));
    kept.set(this.own(key), found);
    return found.bitmap;
  }

  /** What is in view, the most important first: it is loaded, and nothing else. */
  want(tiles: readonly WantedTile[]): void {
    this.wanted = tiles;
    this.wantedKeys = new Set(tiles.map(({ key }) => this.own(key)));
    for (const [key, request] of this.asked) if (!this.wantedKeys.has(this.own(key))) request.abort();
    this.askMore();
  }

  end(): void {
    this.want([]);
    for (const [key, { owner }] of [...kept]) if (owner === this) drop(key);
  }

  private askMore(): void {
    for (const tile of this.wanted) {
      if (this.asked.size >= REQUESTS_MAX) return;
      const { key } = tile;
      const tried = this.failed.get(key) ?? 0;
      if (!kept.has(this.own(key)) && !this.asked.has(key) && tried < TRIES_MAX) void this.load(tile);
    }
  }

  private async load({ key, load }: WantedTile): Promise<void> {
    const request = new AbortController();
    this.asked.set(key, request);
    try {
      const bitmap = await load(request.signal);
      if (this.wantedKeys.has(this.own(key))) this.keep(key, bitmap);
      else bitmap.close();
    } catch (error) {
      if (!request.signal.aborted) {
        this.failed.set(key, (this.failed.get(key) ?? 0) + 1);
        this.tell(error);
      }
    }
    this.asked.delete(key);
    this.arrived();
    this.askMore();
  }

  private keep(key: string, bitmap: ImageBitmap): void {
    add(this.own(key), { bitmap, owner: this });
    for (const [oldest, { owner }] of kept) {
      if (bytes <= KEPT_BYTES_MAX) break;
      if (!owner.wantedKeys.has(oldest)) drop(oldest);
    }
  }
}

export const addressOf = (root: string, data: DicomJson): string =>
  `${root}/studies/${text(data, TAG.studyInstanceUid)}/series/${text(data, TAG.seriesInstanceUid)}/instances/${text(data, TAG.sopInstanceUid)}`;

/** A tile of the slide itself. */
export const imageTile = (root: string, tile: Tile): WantedTile => ({
  key: `${text(tile.instance, TAG.sopInstanceUid)}/${tile.frame}`,
  load: (signal) => fetched(root, tile, signal),
});

/** A frame as the browser can draw it: the stored bytes where they are what it decodes, else made by the server. */
async function fetched(root: string, tile: Tile, signal: AbortSignal): Promise<ImageBitmap> {
  const { instance, frame } = tile;
  const address = `${addressOf(root, instance)}/frames/${frame}`;
  const kind = text(instance, TAG.photometricInterpretation);
  const asStored =
    text(instance, TAG.availableTransferSyntaxUid) === JPEG_BASELINE && kind.startsWith("YBR_FULL");
  const window = kind.startsWith("MONOCHROME") ? `?window=${windowOf(instance)}` : "";
  const answer = await fetch(asStored ? address : `${address}/rendered${window}`, {
    credentials: "same-origin",
    headers: { Accept: asStored ? "image/jpeg" : "image/png" },
    signal,
  });
  if (!answer.ok) throw new Error(`A tile could not be loaded (${answer.status}).`);
  return createImageBitmap(await answer.blob());
}
