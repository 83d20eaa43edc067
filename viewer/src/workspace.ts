// The workspace: what the page's buttons and keys do with viewports, series, measurements and the report.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import type { DisplaySet, SeriesFacts } from "./displaysets.ts";
import { the } from "./dom.ts";
import { ask, contentsOf, SignedOut } from "./engine.ts";
import { date } from "./format.ts";
import { Grid } from "./grid.ts";
import { fill, hang } from "./hanging.ts";
import { type Measurement, Measurements } from "./measurements.ts";
import { seriesOfStudy } from "./nextcase.ts";
import type { Pane } from "./pane.ts";
import { presetsFor } from "./presets.ts";
import { type Prior, showMeasurements, showPriors } from "./side.ts";
import { Strip, type StudyFacts } from "./strip.ts";
import { type Commands, Toolbar } from "./toolbar.ts";
import { ToolGroups } from "./toolgroups.ts";
import { type PlaneName, refusal, type SlabMode, SOLID_PRESETS } from "./volumes.ts";

export interface PageFacts {
  accession_number: string;
  patient_id: string;
  patient_name: string;
  dicomweb: string;
  may_measure: boolean;
  compare: string[];
  studies: StudyFacts[];
}

interface Layout {
  rows: number;
  columns: number;
}

const PLANES: PlaneName[] = ["Axial", "Sagittal", "Coronal"];

export class Workspace implements Commands {
  readonly grid: Grid;
  readonly strip: Strip;
  readonly measurements: Measurements;
  private readonly groups = new ToolGroups();
  private readonly toolbar: Toolbar;
  private readonly root: string;
  private before: { rows: number; columns: number; sets: (DisplaySet | null)[] } | null = null;
  private priors: Prior[] = [];
  private preferences: Record<string, unknown> = {};

  constructor(
    readonly facts: PageFacts,
    readonly engine: core.RenderingEngine,
  ) {
    this.root = location.origin + facts.dicomweb;
    this.grid = new Grid(the("panes"), engine, this.groups);
    this.strip = new Strip(the("series"), this.root, (series) => void this.open(series));
    this.measurements = new Measurements(facts.may_measure);
    this.toolbar = new Toolbar(the("tools"), this, facts.may_measure);
    this.toolbar.chosenTool(this.groups.active);
    for (const study of facts.studies)
      this.strip.addStudy(
        study,
        facts.studies.length > 1 ? `${date(study.study_date)} ${study.study_description}` : "",
      );
    this.listen();
  }

  private listen(): void {
    const { grid } = this;
    grid.addEventListener("active", () => this.refresh());
    grid.addEventListener("shown", () => this.refresh());
    grid.addEventListener("layout", () => this.refresh());
    grid.addEventListener("progress", (event) => {
      const { set, done, all } = (event as CustomEvent<{ set: DisplaySet; done: number; all: number }>)
        .detail;
      this.strip.progress(set.series.seriesInstanceUid, done, all);
    });
    grid.addEventListener("drop", (event) => {
      const { pane, series } = (event as CustomEvent<{ pane: Pane; series: string }>).detail;
      const found = this.strip.find(series);
      grid.activate(pane.index);
      if (found) this.open(found, pane);
    });
    showMeasurements(this.measurements, {
      jump: (id) => void this.jump(id),
      where: (each) => this.where(each),
      mayChange: this.facts.may_measure,
    });
  }

  private get series(): SeriesFacts[] {
    const own = new Set(this.facts.studies.map((each) => each.study_instance_uid));
    return this.strip.series.filter((each) => own.has(each.studyInstanceUid));
  }

  /** Hang the case: the user's own layout for its modality, else the first protocol that fits. */
  async begin(wanted: string): Promise<void> {
    const own = this.series;
    if (!own.length) {
      this.grid.message("No images have arrived for this exam.");
      return;
    }
    const asked = own.find((each) => each.seriesInstanceUid === wanted);
    const hanging = hang(own);
    this.preferences = await ask<Record<string, unknown>>("/api/preferences").catch(() => ({}));
    const chosen = this.preferences[this.layoutName(own)] as Layout | undefined;
    const { rows, columns } = chosen ?? hanging;
    const series =
      chosen && chosen.rows * chosen.columns !== hanging.series.length
        ? fill(own, rows * columns)
        : hanging.series;
    this.grid.layout(rows, columns);
    this.grid.link(hanging.link);
    if (asked && !series.includes(asked)) series[0] = asked;
    await Promise.all(
      series.map((each, index) =>
        each ? this.open(each, this.grid.panes[index]) : this.grid.panes[index]?.clear(),
      ),
    );
    if (asked) this.grid.activate(Math.max(0, series.indexOf(asked)));
    this.refresh();
    await this.recall();
  }

  private async recall(): Promise<void> {
    for (const study of this.facts.studies) {
      await this.measurements.load(study.study_instance_uid).catch((error) => this.tell(error));
    }
    this.render();
    const first = this.facts.studies[0];
    if (!first) return;
    this.priors = await ask<Prior[]>(`/api/studies/${first.study_instance_uid}/priors`).catch(() => []);
    const own = new Set(this.facts.studies.map((each) => each.study_instance_uid));
    this.priors = this.priors.filter((each) => !own.has(each.study_instance_uid));
    showPriors(this.priors, (prior) => void this.compare(prior));
    const asked = this.facts.compare[0];
    if (asked) await this.compareStudy(asked);
  }

  private layoutName(series: readonly SeriesFacts[]): string {
    return `layout.${series.find((each) => each.modality)?.modality || "other"}`;
  }

  /** Show a series in a viewport, its first display set unless another is named. */
  async open(series: SeriesFacts, pane: Pane = this.grid.active, setId?: string): Promise<void> {
    if (!pane) return;
    pane.say("Loading…");
    try {
      const { sets, others } = await contentsOf(this.root, series);
      for (const set of sets) this.measurements.know(set);
      const set = sets.find((each) => each.id === setId) ?? this.following(sets, pane);
      if (!set) {
        pane.clear(
          others.length
            ? "This series holds no images that can be shown (for example a report, a presentation state or a segmentation)."
            : "This series is empty.",
        );
        return this.refresh();
      }
      if (sets.length > 1)
        this.tell(`${sets.length} image sets in this series: choose it again for the next one.`);
      await this.grid.show(pane, set);
    } catch (error) {
      pane.say(error instanceof Error ? error.message : "The series could not be loaded.");
      this.tell(error);
    }
  }

  private following(sets: readonly DisplaySet[], pane: Pane): DisplaySet | undefined {
    const at = sets.findIndex((each) => each.id === pane.set?.id);
    return sets[(at + 1) % Math.max(1, sets.length)];
  }

  stepSeries(step: number): void {
    const { series } = this.strip;
    const at = series.findIndex(
      (each) => each.seriesInstanceUid === this.grid.active?.set?.series.seriesInstanceUid,
    );
    const next = series[at + step];
    if (!next) return;
    this.open(next);
    this.strip.reveal(next.seriesInstanceUid);
  }

  /** Say something that concerns the whole workspace. */
  tell(what: unknown): void {
    const words = what instanceof Error ? what.message : String(what);
    the("status").textContent = words;
    the("status").classList.toggle("problem", what instanceof Error);
    if (what instanceof SignedOut) return;
    setTimeout(() => {
      if (the("status").textContent === words) the("status").textContent = "";
    }, 6000);
  }

  refresh(): void {
    const pane = this.grid.active;
    if (!pane) return;
    const { set } = pane;
    const shown = new Set(this.grid.panes.map((each) => each.set?.series.seriesInstanceUid ?? ""));
    this.strip.mark(set?.series.seriesInstanceUid ?? "", shown);
    const volume = this.inVolume();
    this.toolbar.offer(pane.presets, volume);
    this.toolbar.layout(this.grid.rows, this.grid.columns);
    const why = set ? refusal(set) : "Nothing is shown.";
    this.toolbar.set("planes", volume === "planes", volume !== "" || !why, why);
    this.toolbar.set("solid", volume === "solid", volume !== "" || !why, why);
    this.toolbar.set("cine", pane.playing, pane.kind === "stack" && pane.slices > 1);
    this.toolbar.set("link", this.grid.linked, this.grid.panes.length > 1);
    this.toolbar.set("lines", this.grid.lines, this.grid.panes.length > 1);
  }

  private render(): void {
    for (const each of this.grid.panes) each.viewport?.render();
  }

  // --- Commands ------------------------------------------------------------------------------------

  tool(name: string): void {
    if (name === "Crosshairs" && this.inVolume() !== "planes") return;
    this.groups.choose(name);
    this.toolbar.chosenTool(name);
    this.render();
  }

  layout(rows: number, columns: number): void {
    this.leaveVolume();
    const had = new Set(this.grid.panes.map((each) => each.set?.series.seriesInstanceUid));
    this.grid.layout(rows, columns);
    const left = fill(this.series, this.series.length).filter(
      (each) => each && !had.has(each.seriesInstanceUid),
    );
    for (const pane of this.grid.panes) {
      if (pane.kind !== "empty") continue;
      const next = left.shift();
      if (next) this.open(next, pane);
    }
    this.prefer(this.layoutName(this.series), { rows, columns });
  }

  private prefer(name: string, value: unknown): void {
    this.preferences[name] = value;
    ask(`/api/preferences/${name}`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ value }),
    }).catch((error) => this.tell(error));
  }

  preset(index: number): void {
    const pane = this.grid.active;
    const preset = presetsFor(pane?.presets ?? "")[index];
    if (!pane || (index >= 0 && !preset)) return;
    for (const each of this.inVolume() ? this.grid.panes : [pane]) each.window(preset ?? null);
    this.toolbar.window_(String(preset ? index : -1));
  }

  auto(): void {
    this.grid.active?.autoWindow();
  }

  invert(): void {
    this.grid.active?.invert();
  }

  flip(direction: "flipHorizontal" | "flipVertical"): void {
    this.grid.active?.flip(direction);
  }

  rotate(): void {
    this.grid.active?.rotate(90);
  }

  fit(): void {
    this.grid.active?.fit();
  }

  reset(): void {
    this.grid.active?.reset();
    this.toolbar.window_("-1");
  }

  cine(): void {
    const pane = this.grid.active;
    if (!pane) return;
    if (pane.playing) pane.stop();
    else pane.play();
    this.refresh();
  }

  link(): void {
    this.grid.link(!this.grid.linked);
    this.refresh();
  }

  lines(): void {
    this.grid.lines = !this.grid.lines;
    this.grid.drawLines();
    this.render();
    this.refresh();
  }

  side(): void {
    the("workspace").classList.toggle("alone");
  }

  // --- Volumes -------------------------------------------------------------------------------------

  private inVolume(): "" | "planes" | "solid" {
    if (this.grid.panes.some((each) => each.kind === "plane")) return "planes";
    return this.grid.panes.some((each) => each.kind === "solid") ? "solid" : "";
  }

  private leaveVolume(): boolean {
    if (!this.inVolume()) return false;
    const { before } = this;
    for (const each of this.grid.panes) each.clear();
    if (before) this.grid.layout(before.rows, before.columns);
    this.before = null;
    if (this.groups.active === "Crosshairs") this.tool("WindowLevel");
    before?.sets.forEach((set, index) => {
      const pane = this.grid.panes[index];
      if (set && pane) this.grid.show(pane, set);
    });
    this.refresh();
    return true;
  }

  private enterVolume(): DisplaySet | null {
    const { set } = this.grid.active ?? {};
    const why = set ? refusal(set) : "Nothing is shown.";
    if (!set || why) {
      this.tell(why);
      return null;
    }
    if (!this.inVolume())
      this.before = {
        rows: this.grid.rows,
        columns: this.grid.columns,
        sets: this.grid.panes.map((each) => each.set),
      };
    for (const each of this.grid.panes) each.clear();
    return set;
  }

  async planes(): Promise<void> {
    if (this.inVolume() === "planes") {
      this.leaveVolume();
      return;
    }
    const set = this.enterVolume();
    if (!set) return;
    this.grid.layout(2, 2, PLANES.length);
    await Promise.all(PLANES.map((plane, index) => this.grid.panes[index]?.showPlane(set, plane)));
    this.tool("Crosshairs");
    this.grid.activate(0);
    this.refresh();
  }

  async solid(preset?: string): Promise<void> {
    if (this.inVolume() === "solid" && preset === undefined) {
      this.leaveVolume();
      return;
    }
    const set = this.enterVolume();
    if (!set) return;
    this.grid.layout(1, 1);
    const offered = SOLID_PRESETS[set.series.modality] ?? SOLID_PRESETS.CT;
    await this.grid.panes[0]?.showSolid(set, preset ?? offered?.[0]?.[0] ?? "CT-Bone");
    this.refresh();
  }

  slab(mode: SlabMode, thicknessMm: number): void {
    for (const each of this.grid.panes) each.slab(mode, thicknessMm);
  }

  // --- Measurements --------------------------------------------------------------------------------

  private where(each: Measurement): string {
    const place = this.measurements.place(each.measurement_id);
    const series = place?.set.series ?? this.strip.find(each.series_instance_uid);
    const named = series ? `${series.modality} ${series.label}`.trim() : "series of another study";
    return place ? `${named}, image ${place.index + 1} of ${place.set.pictures.length}` : named;
  }

  private async jump(id: string): Promise<void> {
    this.leaveVolume();
    const each = this.measurements.list.find((candidate) => candidate.measurement_id === id);
    const series = each && this.strip.find(each.series_instance_uid);
    if (!series) return;
    const contents = await contentsOf(this.root, series).catch((error) => this.tell(error));
    for (const set of contents?.sets ?? []) this.measurements.know(set);
    const place = this.measurements.place(id);
    if (!place) return;
    const showing = this.grid.panes.find((pane) => pane.set?.id === place.set.id) ?? this.grid.active;
    this.grid.activate(showing.index);
    if (showing.set?.id === place.set.id) await showing.go(place.index);
    else await this.grid.show(showing, place.set, place.index);
    if (tools.annotation.state.getAnnotation(id))
      tools.annotation.selection.setAnnotationSelected(id, true, false);
    this.render();
  }

  deleteChosen(): void {
    for (const id of tools.annotation.selection.getAnnotationsSelected()) this.measurements.remove(id);
    this.render();
  }

  // --- Priors --------------------------------------------------------------------------------------

  compareBest(): void {
    const best = this.priors[0];
    if (best) this.compare(best);
    else this.tell("There is no other study of this patient.");
  }

  private async compare(prior: Prior): Promise<void> {
    await this.compareStudy(prior.study_instance_uid);
  }

  /** The study beside the current one: the series that resembles the shown one, scrolling together. */
  private async compareStudy(study: string): Promise<void> {
    this.leaveVolume();
    const current = this.grid.panes.find((each) => each.set && this.series.includes(each.set.series))?.set;
    const found = await seriesOfStudy(this.root, study).catch((error) => this.tell(error));
    if (!found?.length) return;
    const first = found[0] as SeriesFacts;
    const listed = {
      study_instance_uid: study,
      study_date: first.studyDate,
      study_description: first.studyDescription,
      series: found.map((each) => ({
        series_instance_uid: each.seriesInstanceUid,
        modality: each.modality,
        label: each.label,
        number_of_instances: each.numberOfInstances,
      })),
    };
    if (!this.strip.find(first.seriesInstanceUid)) {
      this.strip.addStudy(listed, `${date(first.studyDate)} ${first.studyDescription}`.trim());
      this.measurements.load(study).catch((error) => this.tell(error));
    }
    const like = resembling(found, current?.series);
    this.grid.layout(1, 2);
    const [left, right] = this.grid.panes;
    if (!left || !right || !like) return;
    if (current && left.set?.id !== current.id) await this.grid.show(left, current);
    await this.open(like, right);
    this.grid.activate(0);
    this.grid.link(true);
    const here = left.depth();
    if (here && right.set?.frameOfReferenceUid === left.set?.frameOfReferenceUid)
      right.goToDepth(here.at, here.normal);
    this.grid.link(true);
    this.refresh();
  }
}

/** The series of another study that is most like this one: modality first, then words in common. */
export function resembling(
  found: readonly SeriesFacts[],
  current: SeriesFacts | undefined,
): SeriesFacts | undefined {
  const shown = found.filter((each) => each.numberOfInstances > 0);
  if (!current) return shown[0];
  const words = (label: string) =>
    new Set(
      label
        .toLowerCase()
        .split(/[^a-z0-9]+/)
        .filter((each) => each.length > 1),
    );
  const own = words(current.label);
  const score = (each: SeriesFacts) =>
    (each.modality === current.modality ? 100 : 0) +
    [...words(each.label)].filter((word) => own.has(word)).length;
  return [...shown].sort((a, b) => score(b) - score(a))[0];
}

export { core };
