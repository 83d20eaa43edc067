// A whole slide on a canvas: tiles are asked for when they come into view, coarser levels stand in for what has
// not arrived. Loaded only when a slide is opened. What is shown is as stored: no colour profile is applied.

import "./slide.css";
import { type DicomJson, TAG, text } from "./dicom.ts";
import { h } from "./dom.ts";
import { plural } from "./format.ts";
import {
  fitted,
  glassOf,
  type Level,
  levelFor,
  scaleBar,
  type Slide,
  slideOf,
  type Tile,
  type View,
  windowOf,
  zoomed,
} from "./slide.ts";
import { Rulers } from "./sliderulers.ts";

const REQUESTS_MAX = 6;
const KEPT_PIXELS_MAX = 64 << 20; // four bytes each
const TRIES_MAX = 2;
const SCALE_MOST = 16; // points per pixel of the finest level
const BAR_POINTS_MAX = 160;
const STEP = 1.5; // of a zoom by key or button
const JPEG_BASELINE = "1.2.840.10008.1.2.4.50";

export interface SlideFacts {
  root: string; // of DICOMweb
  patient: string[];
  title: string;
  host: HTMLElement; // whose keys are the slide's
  tell(what: unknown): void;
}

/** The slide that the instances are, ready to be put into a viewport; null where they are none. */
export function slideElement(facts: SlideFacts, instances: readonly DicomJson[]): HTMLElement | null {
  const slide = slideOf(instances);
  return slide ? new SlidePane(facts, slide, glassOf(instances)).element : null;
}

class SlidePane {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", {});
  private readonly bar = h("span", { class: "scale", hidden: true }, h("i"), h("span"));
  private readonly state = h("span", { class: "corner bottom-right" });
  private readonly glass: HTMLElement;
  private readonly tiles: Tiles;
  private readonly rulers: Rulers;
  private readonly measuring: HTMLElement;
  private view: View | null = null;
  private layer = 0;
  private waiting = false;
  private readonly pointers = new Map<number, [number, number]>();

  constructor(
    private readonly facts: SlideFacts,
    private readonly slide: Slide,
    glass: readonly DicomJson[],
  ) {
    this.tiles = new Tiles(facts.root, () => this.redraw(), facts.tell);
    this.glass = this.glassImages(glass);
    this.rulers = new Rulers(this.base);
    this.measuring = button("Length", "Measure a length (l); Delete takes the latest away", () =>
      this.measure(),
    );
    this.measuring.setAttribute("aria-pressed", "false");
    this.element = h(
      "div",
      { class: "document slide", tabindex: 0, role: "group", "aria-label": `Slide, ${facts.title}` },
      this.canvas,
      this.rulers.element,
      h("span", { class: "corner top-left" }, facts.patient.join("\n")),
      h("span", { class: "corner top-right" }, this.title()),
      this.state,
      this.bar,
      this.glass,
      this.controls(glass.length > 0),
    );
    this.listen();
  }

  private get base(): Level {
    return this.slide.levels[0] as Level;
  }

  private get size(): [number, number] {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  private get limits(): [number, number] {
    return [Math.min(1, fitted(this.base, ...this.size).scale) / 2, SCALE_MOST];
  }

  private title(): string {
    const { slide, facts } = this;
    const scanned = slide.lens ? `Scanned at ${slide.lens}×` : "";
    return [facts.title, slide.container && `Slide ${slide.container}`, scanned].filter(Boolean).join("\n");
  }

  private glassImages(given: readonly DicomJson[]): HTMLElement {
    const images = given.map((each) =>
      h("img", {
        src: `${addressOf(this.facts.root, each)}/rendered?viewport=220,220`,
        alt: String(each[TAG.imageType]?.Value?.[2] ?? "Glass").toLowerCase(),
      }),
    );
    return h("div", { class: "glass", hidden: true }, ...images);
  }

  private controls(hasGlass: boolean): HTMLElement {
    const made = h(
      "div",
      { class: "controls" },
      button("+", "Nearer (+)", () => this.zoom(STEP)),
      button("−", "Farther (-)", () => this.zoom(1 / STEP)),
      button("Fit", "All of the slide (f)", () => this.fit()),
      button("1:1", "A pixel of the scan for each of the screen", () => this.scaleTo(1 / ratio())),
      this.measuring,
    );
    if (hasGlass)
      made.append(button("Glass", "Label and overview", () => (this.glass.hidden = !this.glass.hidden)));
    if (this.slide.layers.length > 1) made.append(this.choice());
    return made;
  }

  private choice(): HTMLElement {
    const options = this.slide.layers.map((each, index) => h("option", { value: index }, each));
    const select = h("select", { "aria-label": "Focal plane and optical path" }, ...options);
    select.addEventListener("change", () => {
      this.layer = Number(select.value);
      this.redraw();
    });
    return select;
  }

  // --- What people do ----------------------------------------------------------------------------

  private listen(): void {
    const { element, canvas } = this;
    const seen = new ResizeObserver(() => {
      if (element.isConnected) return this.redraw();
      seen.disconnect();
      removeEventListener("keydown", keys, true);
      this.tiles.end();
    });
    seen.observe(element);
    const keys = (event: KeyboardEvent) => this.key(event);
    // Before the workspace, whose keys move the images of a stack.
    addEventListener("keydown", keys, true);
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) * 0.004), [
          event.offsetX,
          event.offsetY,
        ]);
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", (event) => this.zoom(2, [event.offsetX, event.offsetY]));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      if (this.rulers.active && event.isPrimary && event.button === 0) {
        this.rulers.begin(this.place(event));
        return;
      }
      this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    });
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(name, (event) => {
        this.pointers.delete(event.pointerId);
        if (event.isPrimary) this.rulers.end();
      });
  }

  /** Where a pointer is, in columns and rows of the finest level. */
  private place(event: PointerEvent): [number, number] {
    const { x, y, scale } = this.view ?? fitted(this.base, ...this.size);
    const [width, height] = this.size;
    return [x + (event.offsetX - width / 2) / scale, y + (event.offsetY - height / 2) / scale];
  }

  /** Draw lengths instead of moving the slide, or the other way round. */
  private measure(): void {
    this.rulers.active = !this.rulers.active;
    this.measuring.setAttribute("aria-pressed", String(this.rulers.active));
    this.element.classList.toggle("measuring", this.rulers.active);
  }

  private key(event: KeyboardEvent): void {
    const { target, key } = event;
    if (!(target instanceof Element) || !this.element.isConnected || !this.isMeant(target)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select")) return;
    const [width, height] = this.size;
    const commands: Record<string, () => void> = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      f: () => this.fit(),
      l: () => this.measure(),
      Delete: () => this.rulers.removeLatest(),
      ArrowLeft: () => this.move(-width / 4, 0),
      ArrowRight: () => this.move(width / 4, 0),
      ArrowUp: () => this.move(0, -height / 4),
      ArrowDown: () => this.move(0, height / 4),
    };
    const command = commands[key];
    if (!command) return;
    command();
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  /** Whether a key is for this slide: pressed in its viewport, or anywhere while that is the chosen one. */
  private isMeant(target: Element): boolean {
    const { host } = this.facts;
    const chosen = host.matches(".active, :only-child");
    return host.contains(target) || (chosen && target === document.body);
  }

  /** One pointer moves the slide; two zoom it as well. */
  private drag(event: PointerEvent): void {
    if (this.rulers.drawing && event.isPrimary) {
      this.rulers.extend(this.place(event));
      return this.redraw();
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const now: [number, number] = [event.offsetX, event.offsetY];
    this.pointers.set(event.pointerId, now);
    const other = others[0];
    if (!other) return this.move(before[0] - now[0], before[1] - now[1]);
    const reach = (at: [number, number]) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
    this.zoom(reach(now) / reach(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    this.move((before[0] - now[0]) / 2, (before[1] - now[1]) / 2);
  }

  private move(byX: number, byY: number): void {
    if (!this.view) return;
    const { x, y, scale } = this.view;
    const within = (value: number, most: number) => Math.min(most, Math.max(0, value));
    this.look({
      x: within(x + byX / scale, this.base.columns),
      y: within(y + byY / scale, this.base.rows),
      scale,
    });
  }

  private zoom(factor: number, at?: [number, number]): void {
    const { view, size } = this;
    if (view) this.look(zoomed(view, factor, at ?? [size[0] / 2, size[1] / 2], size, this.limits));
  }

  private scaleTo(scale: number): void {
    if (this.view) this.look({ ...this.view, scale });
  }

  private fit(): void {
    this.look(fitted(this.base, ...this.size));
  }

  private look(view: View): void {
    this.view = view;
    this.redraw();
  }

  // --- Drawing -----------------------------------------------------------------------------------

  private redraw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.element.isConnected) this.draw();
    });
  }

  private draw(): void {
    const [width, height] = this.size;
    const context = this.canvas.getContext("2d");
    if (!context || !width || !height) return;
    const [across, down] = [Math.round(width * ratio()), Math.round(height * ratio())];
    if (this.canvas.width !== across || this.canvas.height !== down)
      [this.canvas.width, this.canvas.height] = [across, down];
    this.view ??= fitted(this.base, width, height);
    const { view, slide } = this;
    context.clearRect(0, 0, across, down);
    const chosen = levelFor(slide.levels, view, ratio());
    const coarsest = slide.levels.length - 1;
    const wanted: Tile[] = [];
    // The coarsest level is always asked for: it stands in for all others. Between them only what is here.
    for (let at = coarsest; at >= chosen; at--) {
      const level = slide.levels[at] as Level;
      const tiles = this.visible(level, view);
      if (at === chosen || at === coarsest) wanted.unshift(...tiles);
      this.paint(context, level, view, tiles);
    }
    this.rulers.place(([column, row]) => [
      width / 2 + (column - view.x) * view.scale,
      height / 2 + (row - view.y) * view.scale,
    ]);
    this.tiles.want(wanted);
    this.tellState(chosen, view);
  }

  private visible(level: Level, view: View): Tile[] {
    const [width, height] = this.size;
    const factor = level.columns / this.base.columns;
    const [reachX, reachY] = [width / 2 / view.scale, height / 2 / view.scale];
    const found = level.tiles(
      (view.x - reachX) * factor,
      (view.y - reachY) * (level.rows / this.base.rows),
      (view.x + reachX) * factor,
      (view.y + reachY) * (level.rows / this.base.rows),
      this.layer,
    );
    const away = (tile: Tile) =>
      Math.hypot(
        tile.column + level.tileColumns / 2 - view.x * factor,
        tile.row + level.tileRows / 2 - view.y * factor,
      );
    return found.sort((a, b) => away(a) - away(b)); // what is looked at first
  }

  private paint(context: CanvasRenderingContext2D, level: Level, view: View, tiles: readonly Tile[]): void {
    const [width, height] = this.size;
    const perColumn = (view.scale * this.base.columns) / level.columns;
    const perRow = (view.scale * this.base.rows) / level.rows;
    const x = (column: number) =>
      Math.round((width / 2 - view.x * view.scale + column * perColumn) * ratio());
    const y = (row: number) => Math.round((height / 2 - view.y * view.scale + row * perRow) * ratio());
    context.save();
    context.beginPath(); // tiles hang over the edges of the matrix
    context.rect(x(0), y(0), x(level.columns) - x(0), y(level.rows) - y(0));
    context.clip();
    context.imageSmoothingEnabled = perColumn * ratio() < 2;
    context.imageSmoothingQuality = "high";
    for (const tile of tiles) {
      const bitmap = this.tiles.get(tile);
      if (!bitmap) continue;
      const [left, top] = [x(tile.column), y(tile.row)];
      const [right, bottom] = [x(tile.column + level.tileColumns), y(tile.row + level.tileRows)];
      context.drawImage(bitmap, left, top, right - left, bottom - top);
    }
    context.restore();
  }

  private tellState(chosen: number, view: View): void {
    const { base, slide } = this;
    const waiting = this.tiles.waiting;
    this.element.dataset.waiting = String(waiting);
    this.element.dataset.level = String(chosen);
    const per = base.mm ? base.mm[0] / view.scale : 0;
    const lens = slide.lens && `${Number((slide.lens * view.scale).toPrecision(2))}×`;
    this.state.textContent = [
      waiting ? `Loading ${plural(waiting, "tile")}` : "",
      `Level ${slide.levels.length - chosen} of ${slide.levels.length}`,
      lens || `Zoom ${view.scale.toPrecision(2)}`,
      base.mm ? "" : "Uncalibrated",
    ]
      .filter(Boolean)
      .join("\n");
    this.bar.hidden = !per;
    if (!per) return;
    const { points, label } = scaleBar(per, BAR_POINTS_MAX);
    (this.bar.firstChild as HTMLElement).style.width = `${points}px`;
    (this.bar.lastChild as HTMLElement).textContent = label;
  }
}

const button = (label: string, title: string, onclick: () => void): HTMLElement =>
  h("button", { type: "button", class: "small", title, "aria-label": title, onclick }, label);

const ratio = (): number => devicePixelRatio || 1;
const addressOf = (root: string, data: DicomJson): string =>
  `${root}/studies/${text(data, TAG.studyInstanceUid)}/series/${text(data, TAG.seriesInstanceUid)}/instances/${text(data, TAG.sopInstanceUid)}`;

/** Tiles as bitmaps: few requests at a time, none for what is out of view, the oldest forgotten. */
class Tiles {
  private readonly kept = new Map<string, ImageBitmap>(); // the least recently drawn first
  private readonly asked = new Map<string, AbortController>();
  private readonly failed = new Map<string, number>();
  private wanted: { key: string; tile: Tile }[] = [];
  private pixels = 0;

  constructor(
    private readonly root: string,
    private readonly arrived: () => void,
    private readonly tell: (what: unknown) => void,
  ) {}

  /** How many are to come. */
  get waiting(): number {
    return this.wanted.filter(({ key }) => !this.kept.has(key) && (this.failed.get(key) ?? 0) < TRIES_MAX)
      .length;
  }

  get(tile: Tile): ImageBitmap | undefined {
    const key = keyOf(tile);
    const found = this.kept.get(key);
    if (found) {
      this.kept.delete(key);
      this.kept.set(key, found);
    }
    return found;
  }

  want(tiles: readonly Tile[]): void {
    this.wanted = tiles.map((tile) => ({ key: keyOf(tile), tile }));
    const keys = new Set(this.wanted.map(({ key }) => key));
    for (const [key, request] of this.asked) if (!keys.has(key)) request.abort();
    this.askMore();
  }

  end(): void {
    this.wanted = [];
    for (const request of this.asked.values()) request.abort();
    for (const bitmap of this.kept.values()) bitmap.close();
    this.kept.clear();
  }

  private askMore(): void {
    for (const { key, tile } of this.wanted) {
      if (this.asked.size >= REQUESTS_MAX) return;
      const tried = this.failed.get(key) ?? 0;
      if (!this.kept.has(key) && !this.asked.has(key) && tried < TRIES_MAX) void this.load(key, tile);
    }
  }

  private async load(key: string, tile: Tile): Promise<void> {
    const request = new AbortController();
    this.asked.set(key, request);
    try {
      const bitmap = await fetched(this.root, tile, request.signal);
      if (this.wanted.some((each) => each.key === key)) this.keep(key, bitmap);
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
    this.kept.set(key, bitmap);
    this.pixels += bitmap.width * bitmap.height;
    for (const [oldest, old] of this.kept) {
      if (this.pixels <= KEPT_PIXELS_MAX || this.wanted.some((each) => each.key === oldest)) break;
      this.pixels -= old.width * old.height;
      this.kept.delete(oldest);
      old.close();
    }
  }
}

const keyOf = (tile: Tile): string => `${text(tile.instance, TAG.sopInstanceUid)}/${tile.frame}`;

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
