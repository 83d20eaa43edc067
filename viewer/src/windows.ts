// Several windows on one desk: what a window opens follows the case of its main window, scrolls and brightens with
// it, and closes after it. The browser carries the messages, and only between windows of ours.

import * as core from "@cornerstonejs/core";
import { normalOf, dot } from "./geometry.ts";
import { screenOf } from "./links.ts";
import type { Pane } from "./pane.ts";
import type { Workspace } from "./workspace.ts";

const CHANNEL = "isocenter-workspace";
const SCREEN = "isocenter-screen-"; // names of windows: they stay when a window goes to another page
const GROUP_KEY = "isocenter.windows";
const ORPHAN_AFTER_MS = 20_000;
const { Events } = core.Enums;

type Said =
  | { kind: "case"; path: string }
  | { kind: "place"; series: string; frame: string; at: number | null; normal: number[]; index: number }
  | { kind: "window"; modality: string; lower: number; upper: number }
  | { kind: "next" }
  | { kind: "leaving" }
  | { kind: "close" }
  | { kind: "here" };

export class Windows {
  readonly screen = screenOf(window.name);
  private readonly channel = new BroadcastChannel(CHANNEL);
  private readonly group: string;
  private readonly listening = new WeakSet<Pane>();
  private readonly expected = new WeakMap<Pane, number>();
  private readonly opened: Window[] = [];
  private orphan = 0;
  private applying = false;

  constructor(
    private workspace: Workspace,
    private readonly next: () => void,
    private readonly go: (path: string) => void,
  ) {
    this.group = this.screen?.group ?? this.own();
    this.channel.onmessage = (event: MessageEvent<{ group: string; said: Said }>) => {
      if (event.data?.group === this.group) this.hear(event.data.said);
    };
    this.show(workspace);
    if (this.screen) {
      document.documentElement.classList.add("second-screen");
      this.say({ kind: "here" });
      this.mind();
    } else addEventListener("pagehide", () => this.say({ kind: "leaving" }));
  }

  /** This page shows another case now: the others follow. */
  show(workspace: Workspace): void {
    this.workspace = workspace;
    workspace.grid.addEventListener("layout", () => this.listen());
    this.listen();
    if (this.screen) document.getElementById("workspace")?.classList.add("alone");
    else this.say({ kind: "case", path: this.path() });
  }

  private own(): string {
    const made = Math.random().toString(36).slice(2, 10);
    try {
      const known = sessionStorage.getItem(GROUP_KEY) ?? made;
      sessionStorage.setItem(GROUP_KEY, known);
      return known;
    } catch {
      return made; // in a frame of another site there may be no storage, and there is no desk either
    }
  }

  private path(): string {
    return location.pathname + location.search;
  }

  private say(said: Said): void {
    this.channel.postMessage({ group: this.group, said });
  }

  /** Open one more window on the same case, on another screen where the browser knows one. */
  async open(): Promise<void> {
    const screen = this.opened.filter((each) => !each.closed).length + 2;
    const place = await elsewhere(screen - 2);
    const made = window.open(this.path(), `${SCREEN}${screen}-${this.group}`, `popup,${place}`);
    if (made) this.opened.push(made);
    else this.workspace.tell("The browser has blocked the window: allow windows of this page.");
  }

  closeOthers(): void {
    this.say({ kind: "close" });
  }

  /** In another than the main window: ask the main window for the next case. */
  goNext(): boolean {
    if (!this.screen) return false;
    this.say({ kind: "next" });
    return true;
  }

  private mind(): void {
    clearTimeout(this.orphan);
    this.orphan = 0;
  }

  private hear(said: Said): void {
    switch (said.kind) {
      case "here":
        if (!this.screen) this.say({ kind: "case", path: this.path() });
        break;
      case "case":
        if (!this.screen) return;
        this.mind();
        if (said.path !== this.path()) this.go(said.path);
        break;
      case "next":
        if (!this.screen) this.next();
        break;
      case "leaving": // it comes back at once with another case, or it was closed
        if (this.screen && !this.orphan)
          this.orphan = window.setTimeout(() => window.close(), ORPHAN_AFTER_MS);
        break;
      case "close":
        if (this.screen) window.close();
        break;
      case "place":
        this.goTo(said);
        break;
      case "window":
        this.brighten(said);
        break;
    }
  }

  // --- In step -----------------------------------------------------------------------------------

  private listen(): void {
    for (const pane of this.workspace.grid.panes) {
      if (this.listening.has(pane)) continue;
      this.listening.add(pane);
      pane.canvas.addEventListener(Events.STACK_NEW_IMAGE, () => this.moved(pane));
      pane.canvas.addEventListener(Events.VOI_MODIFIED, () => this.brightened(pane));
    }
  }

  private moved(pane: Pane): void {
    if (this.expected.get(pane) === pane.position) {
      this.expected.delete(pane);
      return;
    }
    if (pane !== this.workspace.grid.active || pane.kind !== "stack" || !pane.set) return;
    const depth = pane.depth();
    this.say({
      kind: "place",
      series: pane.set.series.seriesInstanceUid,
      frame: pane.set.frameOfReferenceUid,
      at: depth?.at ?? null,
      normal: depth ? [...depth.normal] : [],
      index: pane.position,
    });
  }

  private goTo(said: Extract<Said, { kind: "place" }>): void {
    for (const pane of this.workspace.grid.panes) {
      const { set } = pane;
      if (pane.kind !== "stack" || !set) continue;
      const before = pane.position;
      let to = -1;
      if (set.series.seriesInstanceUid === said.series) to = said.index;
      else if (said.at !== null && said.frame && set.frameOfReferenceUid === said.frame)
        to = nearestTo(pane, said);
      if (to < 0 || to === before || to >= pane.slices) continue;
      this.expected.set(pane, to);
      void pane.go(to);
    }
  }

  private brightened(pane: Pane): void {
    const range = pane.appearance.range();
    if (this.applying || !range || !pane.set || pane !== this.workspace.grid.active) return;
    const { lower, upper } = range;
    this.say({ kind: "window", modality: pane.set.series.modality, lower, upper });
  }

  private brighten(said: Extract<Said, { kind: "window" }>): void {
    this.applying = true;
    try {
      for (const pane of this.workspace.grid.panes)
        if (pane.set?.series.modality === said.modality && pane.kind !== "solid")
          pane.appearance.setRange(said);
    } finally {
      this.applying = false;
    }
  }
}

function nearestTo(pane: Pane, said: { at: number | null; normal: number[] }): number {
  const plane = pane.picture?.plane;
  if (!plane || said.at === null) return -1;
  const [x = 0, y = 0, z = 0] = said.normal;
  const parallel = dot(normalOf(plane), [x, y, z]);
  if (Math.abs(parallel) < 0.9) return -1; // planes that cross have no common place
  let best = -1;
  let away = Number.POSITIVE_INFINITY;
  pane.set?.pictures.forEach((each, index) => {
    if (!each.plane) return;
    const off = Math.abs(dot(each.plane.position, [x, y, z]) - (said.at ?? 0));
    if (off < away) [best, away] = [index, off];
  });
  return best;
}

interface Screens {
  screens: { availLeft: number; availTop: number; availWidth: number; availHeight: number }[];
  currentScreen: unknown;
}

/** Where a window goes: the screens that this one is not on, in turn. */
async function elsewhere(index: number): Promise<string> {
  const known = window as unknown as { getScreenDetails?: () => Promise<Screens> };
  const details = await known.getScreenDetails?.().catch(() => null);
  const others = details?.screens.filter((each) => each !== details.currentScreen) ?? [];
  const place = others[index % Math.max(1, others.length)];
  if (!place) return "width=1200,height=900";
  return `left=${place.availLeft},top=${place.availTop},width=${place.availWidth},height=${place.availHeight}`;
}
