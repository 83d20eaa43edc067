// A whole slide on a canvas: tiles are asked for when they come into view, coarser levels stand in for what has
// not arrived. Loaded only when a slide is opened. What is shown is as stored: no colour profile is applied.

import "./slide.css";
import { type DicomJson, TAG, text } from "./dicom.ts";
import { h } from "./dom.ts";
import { plural } from "./format.ts";
import { layers } from "./layers.ts";
import type { Measurements } from "./measurements.ts";
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
  zoomed,
} from "./slide.ts";
import { lengthsOn, type Point, recordOf, Rulers } from "./sliderulers.ts";
import { addressOf, imageTile, Tiles, type WantedTile } from "./slidetiles.ts";

const SCALE_MOST = 16; // points per pixel of the finest level
const BAR_POINTS_MAX = 160;
const STEP = 1.5; // of a zoom by key or button
const SHOWN_SHARE = 0.5; // of the viewport, that a length takes which is gone to

export interface SlideFacts {
  root: string; // of DICOMweb
  patient: string[];
  title: string;
  host: HTMLElement; // whose keys are the slide's
  measurements: Measurements;
  mayMeasure: boolean;
  tell(what: unknown): void;
}

const shown = new WeakMap<Element, SlidePane>();

/** The slide that the instances are, ready to be put into a viewport; null where they are none. */
export function slideElement(facts: SlideFacts, instances: readonly DicomJson[]): HTMLElement | null {
  const slide = slideOf(instances);
  return slide ? new SlidePane(facts, slide, glassOf(instances)).element : null;
}

/** Bring a length into the middle of the slide that it was measured on. */
export const lookAt = (element: Element, measurement: string): void =>
  shown.get(element)?.lookAt(measurement);

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
  private tooMany = false; // tiles of segments to be shown at this zoom
  private readonly pointers = new Map<number, [number, number]>();

  constructor(
    private readonly facts: SlideFacts,
    private readonly slide: Slide,
    glass: readonly DicomJson[],
  ) {
    this.tiles = new Tiles(() => this.redraw(), facts.tell);
    this.glass = this.glassImages(glass);
    this.rulers = new Rulers(this.base);
    this.measuring = button("Length", "Measure a length (l); Delete takes the chosen one away", () =>
      this.measure(),
    );
    this.measuring.setAttribute("aria-pressed", "false");
    this.element = h(
      "div",
      {
        class: "document slide",
        tabindex: 0,
        role: "group",
        "aria-label": `Slide, ${facts.title}`,
        "data-series": seriesOf(slide),
      },
      this.canvas,
      this.rulers.element,
      h("span", { class: "corner top-left" }, facts.patient.join("\n")),
      h("span", { class: "corner top-right" }, this.title()),
      this.state,
      this.bar,
      this.glass,
      this.controls(glass.length > 0),
    );
    shown.set(this.element, this);
    this.listen();
    this.measured();
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
    );
    if (this.facts.mayMeasure) made.append(this.measuring);
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
    const { measurements } = this.facts;
    const measured = () => this.measured();
    const redraw = () => this.redraw();
    const seen = new ResizeObserver(() => {
      if (element.isConnected) return this.redraw();
      seen.disconnect();
      removeEventListener("keydown", keys, true);
      measurements.removeEventListener("change", measured);
      for (const name of ["change", "repaint"]) layers.removeEventListener(name, redraw);
      this.tiles.end();
    });
    measurements.addEventListener("change", measured);
    for (const name of ["change", "repaint"]) layers.addEventListener(name, redraw);
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
      const at: Point = [event.offsetX, event.offsetY];
      if (event.isPrimary && event.button === 0 && this.take(at)) return this.redraw();
      this.pointers.set(event.pointerId, [...at]);
    });
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(name, (event) => {
        this.pointers.delete(event.pointerId);
        if (event.isPrimary) this.drawn();
      });
  }

  /** Where a point of the viewport is, in columns and rows of the finest level. */
  private place([left, top]: Point): Point {
    const { x, y, scale } = this.view ?? fitted(this.base, ...this.size);
    const [width, height] = this.size;
    return [x + (left - width / 2) / scale, y + (top - height / 2) / scale];
  }

  private readonly onScreen = ([column, row]: Point): Point => {
    const { x, y, scale } = this.view ?? fitted(this.base, ...this.size);
    const [width, height] = this.size;
    return [width / 2 + (column - x) * scale, height / 2 + (row - y) * scale];
  };

  // --- Lengths -----------------------------------------------------------------------------------

  /** Begin to draw, or to move the end of a line; whether the pointer does either. */
  private take(at: Point): boolean {
    const { rulers } = this;
    if (this.facts.mayMeasure && rulers.grab(at, this.onScreen)) return true;
    rulers.choose(at, this.onScreen);
    if (rulers.active) rulers.begin(this.place(at));
    return rulers.active;
  }

  /** Keep what was drawn. */
  private drawn(): void {
    const drag = this.rulers.end();
    this.redraw();
    if (!drag) return;
    const { measurements } = this.facts;
    const before = measurements.list.find((each) => each.measurement_id === drag.id);
    if (drag.id && !before) return; // removed meanwhile
    const made = recordOf(this.slide, this.layer, drag.from, drag.to, before);
    measurements.hold(made);
    this.rulers.chosen = made.measurement_id;
  }

  private measured(): void {
    this.rulers.show(lengthsOn(this.slide, this.facts.measurements.list));
    this.redraw();
  }

  lookAt(measurement: string): void {
    const found = this.rulers.find(measurement);
    if (!found) return;
    const { from, to } = found;
    const [width, height] = this.size;
    const [across, down] = [Math.abs(to[0] - from[0]) || 1, Math.abs(to[1] - from[1]) || 1];
    const [least, most] = this.limits;
    const scale = SHOWN_SHARE * Math.min(width / across, height / down);
    this.rulers.chosen = measurement;
    this.look({
      x: (from[0] + to[0]) / 2,
      y: (from[1] + to[1]) / 2,
      scale: Math.min(most, Math.max(least, scale)),
    });
  }

  private removeChosen(): void {
    if (this.facts.mayMeasure && this.rulers.chosen) this.facts.measurements.remove(this.rulers.chosen);
  }

  /** Draw lengths instead of moving the slide, or the other way round. */
  private measure(): void {
    if (!this.facts.mayMeasure) return;
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
      Delete: () => this.removeChosen(),
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
      this.rulers.extend(this.place([event.offsetX, event.offsetY]));
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
    const wanted: WantedTile[] = [];
    // The coarsest level is always asked for: it stands in for all others. Between them only what is here.
    for (let at = coarsest; at >= chosen; at--) {
      const level = slide.levels[at] as Level;
      const tiles = this.visible(level, view);
      if (at === chosen || at === coarsest)
        wanted.unshift(...tiles.map((each) => imageTile(this.facts.root, each)));
      this.paint(context, level, view, tiles);
    }
    wanted.push(...this.paintLayers(context, view));
    this.rulers.place(this.onScreen);
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
      const bitmap = this.tiles.get(imageTile(this.facts.root, tile).key);
      if (!bitmap) continue;
      const [left, top] = [x(tile.column), y(tile.row)];
      const [right, bottom] = [x(tile.column + level.tileColumns), y(tile.row + level.tileRows)];
      context.drawImage(bitmap, left, top, right - left, bottom - top);
    }
    context.restore();
  }

  /** Lay segments over the tiles; gives the tiles of them that are in view. */
  private paintLayers(context: CanvasRenderingContext2D, view: View): WantedTile[] {
    const [width, height] = this.size;
    const [reachX, reachY] = [width / 2 / view.scale, height / 2 / view.scale];
    const part = {
      left: view.x - reachX,
      top: view.y - reachY,
      right: view.x + reachX,
      bottom: view.y + reachY,
    };
    this.tooMany = false;
    const wanted: WantedTile[] = [];
    context.save();
    for (const layer of layers.list) {
      const found =
        layer.visible && layer.opacity ? layer.slide?.(this.slide, part, view.scale * ratio()) : [];
      if (found === null) this.tooMany = true;
      context.globalAlpha = layer.opacity;
      for (const { tile, left, top, right, bottom } of found ?? []) {
        wanted.push(tile);
        const bitmap = this.tiles.get(tile.key);
        if (!bitmap) continue;
        const [x0, y0] = this.onScreen([left, top]).map((each) => Math.round(each * ratio())) as [
          number,
          number,
        ];
        const [x1, y1] = this.onScreen([right, bottom]).map((each) => Math.round(each * ratio())) as [
          number,
          number,
        ];
        context.imageSmoothingEnabled = x1 - x0 < bitmap.width; // segments have no edges between pixels
        context.drawImage(bitmap, x0, y0, x1 - x0, y1 - y0);
      }
    }
    context.restore();
    return wanted;
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
      this.tooMany ? "Zoom in to see all segments" : "",
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
const seriesOf = ({ levels: [base] }: Slide): string => text(base?.parts[0], TAG.seriesInstanceUid);
