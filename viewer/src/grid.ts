// The viewports of the workspace in rows and columns, and what they do together.

import * as core from "@cornerstonejs/core";
import type { DisplaySet } from "./displaysets.ts";
import { h } from "./dom.ts";
import { dot } from "./geometry.ts";
import { caseLife } from "./life.ts";
import { Pane } from "./pane.ts";
import { keepOnly, prefetch } from "./prefetch.ts";
import { placed, Registrations } from "./registration.ts";
import type { ToolGroups } from "./toolgroups.ts";

const PARALLEL_MIN = 0.9; // cosine between planes that scroll together

interface Offset {
  depth: number;
  index: number;
}

export class Grid extends EventTarget {
  panes: Pane[] = [];
  rows = 0;
  columns = 0;
  linked = false;
  lines = true;
  readonly registrations = new Registrations();
  private activeIndex = 0;
  private readonly offsets = new Map<string, Offset>();
  private following = false;
  private looking = 0;
  private readonly life = caseLife();

  constructor(
    private readonly host: HTMLElement,
    private readonly engine: core.RenderingEngine,
    private readonly groups: ToolGroups,
  ) {
    super();
    const seen = new ResizeObserver(() => this.resize());
    seen.observe(host);
    this.life.addEventListener("abort", () => seen.disconnect(), { once: true });
  }

  get active(): Pane {
    return this.panes[this.activeIndex] ?? (this.panes[0] as Pane);
  }

  /**
   * Draw in the size in which things are shown now. The engine leaves that out while another picture is under way:
   * what was drawn on the image would stand beside its place, so it is asked until the sizes agree.
   */
  private resize(): void {
    if (this.life.aborted || this.panes.every((each) => each.kind === "empty")) return;
    this.engine.resize(true, true);
    cancelAnimationFrame(this.looking);
    this.looking = requestAnimationFrame(() => {
      this.looking = requestAnimationFrame(() => {
        if (this.panes.some((each) => each.misfits)) this.resize();
      });
    });
  }

  /** Rows and columns of viewports; `count` fewer than that gives the first one a whole column. */
  layout(rows: number, columns: number, count = rows * columns): void {
    if (rows === this.rows && columns === this.columns && count === this.panes.length) return;
    [this.rows, this.columns] = [rows, columns];
    this.host.classList.toggle("first-large", count < rows * columns);
    while (this.panes.length > count) {
      const pane = this.panes.pop();
      pane?.clear();
      pane?.element.remove();
    }
    if (!this.panes.length) this.host.replaceChildren();
    while (this.panes.length < count) this.add();
    this.host.style.gridTemplate = `repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr))`;
    this.activate(Math.min(this.activeIndex, this.panes.length - 1));
    this.resize();
    this.dispatchEvent(new Event("layout"));
  }

  private add(): void {
    const pane = new Pane(this.engine, this.groups, this.panes.length);
    this.panes.push(pane);
    this.host.append(pane.element);
    pane.element.addEventListener("pointerdown", () => this.activate(pane.index), true);
    pane.element.addEventListener("focus", () => this.activate(pane.index));
    pane.canvas.addEventListener(core.Enums.Events.STACK_NEW_IMAGE, () => this.moved(pane));
    pane.element.addEventListener("dragover", (event) => event.preventDefault());
    pane.element.addEventListener("drop", (event) => {
      event.preventDefault();
      const series = event.dataTransfer?.getData("text/plain");
      if (series) this.dispatchEvent(new CustomEvent("drop", { detail: { pane, series } }));
    });
  }

  activate(index: number): void {
    this.activeIndex = index;
    this.panes.forEach((each, at) =>
      each.element.classList.toggle("active", at === index && this.panes.length > 1),
    );
    this.drawLines();
    this.dispatchEvent(new Event("active"));
  }

  drawLines(): void {
    const several = this.panes.filter((each) => each.kind === "stack").length > 1;
    this.groups.referenceLines(
      this.lines && several && this.active?.kind === "stack" ? this.active.id : null,
    );
  }

  async show(pane: Pane, set: DisplaySet, at?: number): Promise<void> {
    let asked = false;
    const askForOthers = () => {
      if (asked || pane.set !== set) return;
      asked = true;
      keepOnly(new Set(this.panes.map((each) => each.set?.id ?? "")));
      prefetch(set, pane.position, (done, all) =>
        this.dispatchEvent(new CustomEvent("progress", { detail: { set, done, all } })),
      );
    };
    // The others are asked for as soon as anything of the shown one is there: the line is not to wait for its decoding.
    pane.canvas.addEventListener(core.Enums.Events.STACK_NEW_IMAGE, askForOthers);
    const shown = await pane.showStack(set, at);
    pane.canvas.removeEventListener(core.Enums.Events.STACK_NEW_IMAGE, askForOthers);
    if (!shown) return;
    askForOthers();
    this.changed(pane);
  }

  changed(pane: Pane): void {
    this.rememberOffsets();
    this.drawLines();
    this.dispatchEvent(new CustomEvent("shown", { detail: { pane } }));
  }

  // --- Linked scrolling: by position in one frame of reference or registered ones, else by what stood side by side

  link(on: boolean): void {
    this.linked = on;
    this.rememberOffsets();
  }

  private rememberOffsets(): void {
    this.offsets.clear();
    const source = this.active;
    for (const each of this.panes) {
      const depth = each.depth()?.at ?? 0;
      this.offsets.set(each.id, {
        depth: depth - (source?.depth()?.at ?? 0),
        index: each.position - (source?.position ?? 0),
      });
    }
  }

  private moved(source: Pane): void {
    if (!this.linked || this.following || source !== this.active || source.kind !== "stack") return;
    this.following = true;
    try {
      for (const each of this.panes) if (each !== source && each.kind === "stack") this.follow(source, each);
    } finally {
      this.following = false;
    }
  }

  private follow(source: Pane, other: Pane): void {
    if (this.align(source, other)) return;
    const here = source.depth();
    const there = other.depth();
    if (!here || !there) {
      other.go(source.position + (this.offsets.get(other.id)?.index ?? 0));
      return;
    }
    const parallel = dot(here.normal, there.normal);
    if (Math.abs(parallel) < PARALLEL_MIN) return;
    const depth = here.at + (this.offsets.get(other.id)?.depth ?? 0);
    other.goToDepth(depth * Math.sign(parallel), there.normal);
  }

  /**
   * Show the place of one viewport in another, where both lie in one frame of reference or in registered ones.
   * Whether they do: planes that cross have no common place, reference lines show it.
   */
  align(source: Pane, other: Pane): boolean {
    const plane = source.kind === "stack" ? source.picture?.plane : null;
    const there = other.depth();
    const matrix = this.registrations.between(
      source.set?.frameOfReferenceUid ?? "",
      other.set?.frameOfReferenceUid ?? "",
    );
    if (!plane || !there || !matrix) return false;
    const { centre, normal } = placed(matrix, plane);
    if (Math.abs(dot(normal, there.normal)) >= PARALLEL_MIN)
      other.goToDepth(dot(centre, there.normal), there.normal);
    return true;
  }

  message(what: string): void {
    this.host.replaceChildren(h("p", { class: "message" }, what));
    this.panes = [];
    this.rows = this.columns = 0;
  }
}
