// The workspace: what the page's buttons and keys do with viewports, series, measurements and the report.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import type { Look } from "./appearance.ts";
import { type DicomJson, TAG, text } from "./dicom.ts";
import type { DisplaySet, SeriesFacts } from "./displaysets.ts";
import { the } from "./dom.ts";
import { BRUSH, Brush } from "./brush.ts";
import { ask, contentsOf, register, SignedOut, uptakeOfImage } from "./engine.ts";
import { showScales } from "./colourscale.ts";
import { date } from "./format.ts";
import { Grid } from "./grid.ts";
import { fill, type Hanging, hasImages, type Protocol } from "./hanging.ts";
import { valuesInside } from "./histogram.ts";
import { History } from "./history.ts";
import { layers } from "./layers.ts";
import { Lesions } from "./lesionlist.ts";
import { caseLife } from "./life.ts";
import { LOCALISER, Localiser } from "./localiser.ts";
import { Together } from "./together.ts";
import { editMappings } from "./mappingeditor.ts";
import { type Mappings, mappingsFrom } from "./mappings.ts";
import { listenForMenu, type MenuItem } from "./menu.ts";
import { Measurements } from "./measurements.ts";
import { KEY_IMAGE, type Measurement, VIEW } from "./records.ts";
import { type Host, showObjects } from "./objects.ts";
import { overlayLayer } from "./overlayplanes.ts";
import { names, type State } from "./presentation.ts";
import type { ImageLink } from "./srtree.ts";
import { seriesOfStudy } from "./nextcase.ts";
import type { Pane } from "./pane.ts";
import { learn } from "./registered.ts";
import { mending, resampledSet } from "./resampled.ts";
import { isWholeSlide } from "./slide.ts";
import { brushControls, segmentRows } from "./segmentlist.ts";
import { insertIntoReport, type Prior, showLayers, showMeasurements, showPriors } from "./side.ts";
import { layoutName, opening, Stages } from "./stages.ts";
import { Strip, type StudyFacts } from "./strip.ts";
import { type Commands, Toolbar, toolLabel } from "./toolbar.ts";
import type { ToolGroups } from "./toolgroups.ts";
import { uptake, uptakePicker } from "./uptake.ts";
import type { SuvKind } from "./suv.ts";
import {
  type Blend,
  FUSION_COLOURS,
  type PlaneName,
  refusal,
  type SlabMode,
  SOLID_PRESETS,
} from "./volumes.ts";

export interface PageFacts {
  accession_number: string;
  patient_id: string;
  patient_name: string;
  dicomweb: string;
  may_measure: boolean;
  compare: string[];
  frame_origins: string[];
  studies: StudyFacts[];
}

const PLANES: PlaneName[] = ["Axial", "Sagittal", "Coronal"];

interface Fusion {
  over: DisplaySet;
  blend: Blend;
}

const ARCHIVE_POLL_MS = 700;
const ARCHIVE_POLLS_MAX = 40;

interface Archived {
  request: { done_at: string | null; failure: string } | null;
  objects: { kind: string }[];
}

export class Workspace implements Commands, Host {
  readonly grid: Grid;
  readonly strip: Strip;
  readonly measurements: Measurements;
  readonly brush: Brush;
  private readonly lesions: Lesions;
  readonly stages: Stages;
  private readonly localiser: Localiser;
  private readonly inStep: Together;
  readonly root: string;
  private readonly life = caseLife();
  private readonly toolbar: Toolbar;
  private readonly history = new History();
  private readonly uptakes = uptakePicker((kind) => this.uptake(kind));
  private fusion: Fusion | null = null;
  private before: { rows: number; columns: number; sets: (DisplaySet | null)[] } | null = null;
  private priors: Prior[] = [];
  private preferences: Record<string, unknown> = {};

  constructor(
    readonly facts: PageFacts,
    readonly engine: core.RenderingEngine,
    private readonly groups: ToolGroups,
  ) {
    this.root = location.origin + facts.dicomweb;
    this.stages = new Stages(this.root);
    this.grid = new Grid(the("panes"), engine, this.groups);
    this.strip = new Strip(the("series"), this.root, (series) => void this.open(series));
    this.measurements = new Measurements(facts.may_measure, this.history);
    this.brush = new Brush(the("panes"), this.grid, this.measurements, (words) => this.tell(words));
    this.lesions = new Lesions(this.measurements);
    for (const each of facts.studies) this.lesions.dated(each.study_instance_uid, each.study_date);
    this.localiser = new Localiser(the("panes"), this.grid, (words) => this.tell(words));
    this.inStep = new Together(this.grid);
    this.toolbar = new Toolbar(the("tools"), this, facts.may_measure);
    this.toolbar.chosenTool(this.groups.active);
    this.toolbar.add(this.uptakes.element);
    this.toolbar.add(brushControls(this.brush));
    for (const study of facts.studies)
      this.strip.addStudy(
        study,
        facts.studies.length > 1 ? `${date(study.study_date)} ${study.study_description}` : "",
      );
    this.listen();
  }

  /** Put further controls into the toolbar. */
  controls(element: HTMLElement): void {
    this.toolbar.add(element);
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
    layers.add([overlayLayer()]);
    showLayers();
    this.rememberDrags();
    listenForMenu(
      the("panes"),
      () => this.menu(),
      () => {
        for (const each of grid.panes)
          if (each.kind !== "empty") tools.cancelActiveManipulations(each.canvas);
      },
    );
    showMeasurements(this.measurements, {
      statistics: (each) =>
        uptake.tell(
          each.content.statistics,
          this.measurements.place(each.measurement_id)?.picture.imageId ?? "",
        ),
      values: (each) => {
        const picture = this.measurements.place(each.measurement_id)?.picture;
        return picture ? valuesInside(each.tool, each.content, picture) : [];
      },
      jump: (id) => void this.jumpTo(id),
      archive: () => void this.archive(),
      lesions: this.lesions,
      segments: (writing) =>
        segmentRows(this.brush, {
          jump: (id) => void this.jumpTo(id),
          insert: (text) => void insertIntoReport(text),
          writing,
          mayChange: this.facts.may_measure,
        }),
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
    this.preferences = await ask<Record<string, unknown>>("/api/preferences").catch(() => ({}));
    const hanging = await opening(this.stages, own, this.preferences);
    if (this.life.aborted) return;
    uptake.choose((this.preferences.uptake as SuvKind | undefined) ?? "bw");
    this.map(mappingsFrom(this.preferences.mappings));
    const { series } = hanging;
    const sets = [...(hanging.sets ?? [])];
    if (asked && !series.includes(asked)) [series[0], sets[0]] = [asked, undefined];
    await this.hangSeries({ ...hanging, sets });
    if (asked) this.grid.activate(Math.max(0, series.indexOf(asked)));
    this.refresh();
    await this.recall();
  }

  private async hangSeries(hanging: Hanging): Promise<void> {
    this.leaveVolume();
    if (hanging.series.some((each) => each && !this.strip.find(each.seriesInstanceUid)))
      await this.listStudy(this.stages.prior);
    this.grid.layout(hanging.rows, hanging.columns);
    this.grid.link(hanging.link);
    await Promise.all(
      hanging.series.map((each, index) =>
        each
          ? this.open(each, this.grid.panes[index], hanging.sets?.[index])
          : this.grid.panes[index]?.clear(),
      ),
    );
    this.grid.link(hanging.link); // by what stands side by side now
  }

  /** Hang the case by this protocol; false where a series that it asks for is missing. */
  async hangBy(protocol: Protocol): Promise<boolean> {
    const hanging = await this.stages.by(protocol, this.series);
    if (hanging) await this.hangSeries(hanging);
    this.refresh();
    return hanging !== null;
  }

  async stage(step: number): Promise<void> {
    const hanging = this.stages.step(step);
    if (!hanging) return this.tell("The hanging protocol has no other stage for this case.");
    await this.hangSeries(hanging);
    this.tell(`${hanging.name}: stage ${this.stages.at + 1} of ${this.stages.count}`);
    this.refresh();
  }

  /** All key images side by side. */
  async keyImages(): Promise<void> {
    const marked = this.measurements.list.filter((each) => each.tool === KEY_IMAGE).slice(0, 20);
    if (!marked.length) return this.tell("No key image is marked in this case.");
    this.leaveVolume();
    const columns = Math.min(5, Math.ceil(Math.sqrt(marked.length)));
    this.grid.layout(Math.ceil(marked.length / columns), columns);
    for (const [index, each] of marked.entries()) {
      const pane = this.grid.panes[index];
      const series = this.strip.find(each.series_instance_uid);
      const contents = series && (await contentsOf(this.root, series));
      for (const set of contents?.sets ?? []) {
        const at = set.pictures.findIndex(
          (one) => one.sopInstanceUid === each.sop_instance_uid && one.frame === each.frame_number,
        );
        if (at >= 0 && pane) await this.grid.show(pane, set, at);
      }
    }
    this.tell(`${marked.length} key ${marked.length === 1 ? "image" : "images"}`);
    this.refresh();
  }

  private async recall(): Promise<void> {
    for (const study of this.facts.studies) {
      await this.measurements.load(study.study_instance_uid).catch((error) => this.tell(error));
    }
    this.render();
    const first = this.facts.studies[0];
    if (!first) return;
    this.priors = await ask<Prior[]>(`/api/studies/${first.study_instance_uid}/priors`).catch(() => []);
    if (this.life.aborted) return;
    const own = new Set(this.facts.studies.map((each) => each.study_instance_uid));
    this.priors = this.priors.filter((each) => !own.has(each.study_instance_uid));
    showPriors(this.priors, (prior) => void this.compare(prior));
    const studies = [...own, ...this.priors.map((each) => each.study_instance_uid)];
    await learn(this.grid.registrations, this.root, studies).catch((error) => this.tell(error));
    this.lesions.load(this.priors).catch((error) => this.tell(error));
    const asked = this.facts.compare[0];
    if (asked) await this.compareStudy(asked);
  }

  /** Show a series in a viewport, its first display set unless another is named. */
  async open(series: SeriesFacts, pane: Pane = this.grid.active, setId?: string): Promise<void> {
    if (!pane) return;
    pane.say("Loading…");
    try {
      const { sets, others } = await contentsOf(this.root, series);
      for (const set of sets) this.measurements.know(set);
      const set = sets.find((each) => each.id === setId) ?? this.following(sets, pane);
      if (!set && others.some(isWholeSlide) && (await this.showSlide(series, others, pane))) return;
      if (!set && (await showObjects(this, series, others, pane))) {
        for (const each of this.grid.panes) each.viewport?.render();
        return this.refresh();
      }
      if (!set) {
        pane.clear(
          others.length ? "This series holds nothing that can be shown here." : "This series is empty.",
        );
        return this.refresh();
      }
      if (sets.length > 1 && !setId)
        this.tell(`${sets.length} image sets in this series: choose it again for the next one.`);
      await this.grid.show(pane, set);
    } catch (error) {
      pane.say(error instanceof Error ? error.message : "The series could not be loaded.");
      this.tell(error);
    }
  }

  /** Show a whole slide, whose code is loaded for the first one. */
  private async showSlide(series: SeriesFacts, given: DicomJson[], pane: Pane): Promise<boolean> {
    const { slideElement } = await import("./slidepane.ts");
    const { patient_name, patient_id } = this.facts;
    const patient = [patient_name, patient_id, `${date(series.studyDate)} ${series.studyDescription}`.trim()];
    const title = `${series.modality} ${series.label}`.trim();
    const tell = (what: unknown) => this.tell(what);
    const { measurements } = this;
    const mayMeasure = this.facts.may_measure;
    const where = { root: this.root, patient, title, host: pane.element };
    const shown = slideElement({ ...where, measurements, mayMeasure, tell }, given);
    if (!shown) return false;
    pane.showDocument(shown);
    this.refresh();
    return true;
  }

  /** Go to a slide beside the object that names it, or to a length on it: in the viewport where it is, if it is. */
  private async goToSlide(series: SeriesFacts, given: DicomJson[], measurement = ""): Promise<boolean> {
    const find = () =>
      this.grid.panes
        .map(({ element, index }) => ({
          index,
          slide: element.querySelector(`.slide[data-series="${series.seriesInstanceUid}"]`),
        }))
        .find(({ slide }) => slide);
    const free = () => (measurement ? this.grid.active : this.besides());
    if (!find() && !(await this.showSlide(series, given, free()))) return false;
    const { slide, index } = find() ?? {};
    if (!slide || index === undefined) return false;
    this.grid.activate(index);
    if (!measurement) return true;
    (await import("./slidepane.ts")).lookAt(slide, measurement);
    (slide as HTMLElement).focus({ preventScroll: true }); // keys are for what is looked at
    return true;
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
    if (this.life.aborted) return; // another case is shown now
    const words = what instanceof Error ? what.message : String(what);
    the("status").textContent = words;
    the("status").classList.toggle("problem", what instanceof Error);
    if (what instanceof SignedOut) return;
    setTimeout(() => {
      if (the("status").textContent === words) the("status").textContent = "";
    }, 6000);
  }

  refresh(): void {
    if (this.life.aborted) return;
    showScales(this.grid.panes);
    const pane = this.grid.active;
    if (!pane) return;
    const { set } = pane;
    const shown = new Set(this.grid.panes.map((each) => each.set?.series.seriesInstanceUid ?? ""));
    this.strip.mark(set?.series.seriesInstanceUid ?? "", shown);
    const volume = this.inVolume();
    this.toolbar.offer(pane.appearance.presets, volume, pane.appearance.presetList);
    this.toolbar.layout(this.grid.rows, this.grid.columns);
    this.uptakes.offer(pane.appearance.presets === "PT" ? (pane.picture?.imageId ?? null) : null);
    const why = set ? refusal(set) : "Nothing is shown.";
    const mended = set && why ? mending(set) : "";
    this.toolbar.set("planes", volume === "planes", volume !== "" || !why || mended !== "", mended || why);
    const whyNoSolid =
      (mended ? "" : why) ||
      (set && !SOLID_PRESETS[set.series.modality] ? "Volume rendering is for CT and MR." : "");
    this.toolbar.set("solid", volume === "solid", volume === "solid" || !whyNoSolid, whyNoSolid || mended);
    this.toolbar.set(
      "fusion",
      volume === "fusion",
      volume === "fusion" || this.fusible() !== null,
      "PET over CT (Shift+F)",
    );
    const { picture } = pane;
    const marked = picture && pane.kind === "stack" && this.measurements.marked(KEY_IMAGE, picture);
    this.toolbar.set("key", Boolean(marked), pane.kind === "stack", "Key image (g)");
    this.toolbar.set("cine", pane.playing, pane.kind === "stack" && pane.slices > 1);
    this.toolbar.set("link", this.grid.linked, this.grid.panes.length > 1);
    this.toolbar.set("together", this.inStep.on, this.grid.panes.length > 1);
    this.toolbar.set("lines", this.grid.lines, this.grid.panes.length > 1);
  }

  /** How much of an image is there, from 1 to 8; undefined: nothing. For diagnosis. */
  qualityOf(imageId: string): number | undefined {
    return core.cache.getImageQuality(imageId);
  }

  /** How many bytes of images are kept in memory, for diagnosis. */
  cached(): number {
    return core.cache.getCacheSize();
  }

  private render(): void {
    for (const each of this.grid.panes) each.viewport?.render();
  }

  // --- Commands ------------------------------------------------------------------------------------

  tool(name: string): void {
    if (name === "Crosshairs" && this.inVolume() !== "planes") return;
    this.groups.choose(name);
    this.brush.choose(name === BRUSH);
    this.localiser.choose(name === LOCALISER);
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
    this.prefer(layoutName(this.series), { rows, columns });
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
    const preset = pane?.appearance.presetList[index];
    if (!pane || (index >= 0 && !preset)) return;
    this.changing("Window", () => {
      for (const each of this.inVolume() ? this.grid.panes : [pane]) each.appearance.window(preset ?? null);
    });
    this.toolbar.window_(String(preset ? index : -1));
  }

  /** What keys, buttons and fingers do. */
  mappings: Mappings = mappingsFrom(undefined);

  private map(mappings: Mappings): void {
    this.mappings = mappings;
    this.groups.map(mappings);
    this.toolbar.keys(mappings);
  }

  editMappings(): void {
    editMappings(this.mappings, (mappings) => {
      this.map(mappings);
      this.prefer("mappings", mappings);
    });
  }

  private menu(): MenuItem[] {
    const measuring = this.facts.may_measure ? ["Length", "EllipticalROI", "Brush"] : [];
    const chosen = tools.annotation.selection.getAnnotationsSelected();
    return [
      ...["WindowLevel", "Pan", "Zoom", "StackScroll", ...measuring].map((name) => ({
        label: toolLabel(name),
        run: () => this.tool(name),
      })),
      { label: "Fit", run: () => this.fit() },
      { label: "Invert", run: () => this.invert() },
      { label: "Window by the image itself", run: () => this.auto() },
      { label: "Reset", run: () => this.reset() },
      ...(this.facts.may_measure ? [{ label: "Key image", run: () => this.keyImage() }] : []),
      ...(chosen.length ? [{ label: "Delete measurement", run: () => this.deleteChosen() }] : []),
      { label: "Keys and buttons…", run: () => this.editMappings() },
    ];
  }

  /** Tell PET in another kind of SUV, from now on and for this user. */
  private uptake(kind: SuvKind): void {
    uptake.choose(kind);
    this.prefer("uptake", kind);
    this.render();
  }

  auto(): void {
    this.changing("Window", () => this.grid.active?.appearance.autoWindow());
  }

  invert(): void {
    this.changing("Inversion", () => this.grid.active?.appearance.invert());
  }

  flip(direction: "flipHorizontal" | "flipVertical"): void {
    this.changing("Flip", () => this.grid.active?.appearance.flip(direction));
  }

  rotate(): void {
    this.changing("Turn", () => this.grid.active?.appearance.rotate(90));
  }

  fit(): void {
    this.changing("Fit", () => this.grid.active?.appearance.fit());
  }

  reset(): void {
    this.changing("Reset", () => this.grid.active?.appearance.reset());
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

  together(): void {
    this.inStep.toggle();
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

  // --- Steps ---------------------------------------------------------------------------------------

  /** Do something to how images are shown, so that it can be taken back. */
  private changing(name: string, change: () => void): void {
    const before = this.grid.panes.map((each) => ({
      pane: each,
      set: each.set,
      look: each.appearance.looks(),
    }));
    change();
    this.remember(name, before);
  }

  private remember(name: string, before: { pane: Pane; set: DisplaySet | null; look: Look | null }[]): void {
    const moved = before.flatMap(({ pane, set, look }) => {
      const after = pane.appearance.looks();
      const same = JSON.stringify(look) === JSON.stringify(after);
      return look && after && !same ? [{ pane, set, before: look, after }] : [];
    });
    if (!moved.length) return;
    const put = (which: "before" | "after") => {
      for (const each of moved) if (each.pane.set === each.set) each.pane.appearance.look(each[which]);
    };
    this.history.push({ name, undo: () => put("before"), redo: () => put("after") });
  }

  /** A drag with a tool that moves, zooms or brightens is one step as well. */
  private rememberDrags(): void {
    let before: { pane: Pane; set: DisplaySet | null; look: Look | null }[] = [];
    the("panes").addEventListener(
      "pointerdown",
      () => {
        before = this.grid.panes.map((each) => ({
          pane: each,
          set: each.set,
          look: each.appearance.looks(),
        }));
      },
      true,
    );
    const ended = () => {
      const started = before;
      before = [];
      setTimeout(() => this.remember("Drag", started));
    };
    addEventListener("pointerup", ended, { signal: this.life });
  }

  step(again: boolean): void {
    const name = again ? this.history.redo() : this.history.undo();
    this.tell(
      name === null
        ? `There is nothing to ${again ? "do again" : "undo"}.`
        : `${again ? "Again" : "Undone"}: ${name}`,
    );
    this.render();
    this.refresh();
  }

  // --- What is kept beside measurements ------------------------------------------------------------

  keyImage(): void {
    const { active } = this.grid;
    const { set, picture } = active;
    if (!this.facts.may_measure || active.kind !== "stack" || !set || !picture) return;
    const known = this.measurements.marked(KEY_IMAGE, picture);
    if (known) this.measurements.remove(known.measurement_id);
    else this.measurements.mark(KEY_IMAGE, { set, picture, index: active.position });
    this.tell(known ? "No key image any more." : "Marked as key image.");
    this.refresh();
  }

  saveView(): void {
    const { active } = this.grid;
    const { set, picture } = active;
    const view = active.view.shown();
    if (!this.facts.may_measure || active.kind !== "stack" || !set || !picture || !view) return;
    this.measurements.mark(VIEW, { set, picture, index: active.position }, { view });
    this.tell("This view is saved.");
  }

  /** Have measurements, key images and views written as DICOM objects, and say when they are. */
  async archive(): Promise<void> {
    if (!this.facts.may_measure) return;
    const studies = new Set(this.measurements.list.map((each) => each.study));
    if (!studies.size) return this.tell("Nothing is measured or marked yet.");
    const say = (words: string) => {
      this.tell(words);
      const place = document.getElementById("archived");
      if (place) place.textContent = words;
    };
    try {
      await this.measurements.settle();
      say("Saving to the archive…");
      for (const study of studies) {
        const path = `/api/studies/${study}/archived-findings`;
        await ask(path, { method: "POST" });
        const done = await this.written(path);
        const count = done?.objects.length ?? 0;
        const missing = done?.request?.failure ? ` ${done.request.failure}` : "";
        say(
          done
            ? `In the archive: ${count} ${count === 1 ? "object" : "objects"}.${missing}`
            : "The archive is still at it.",
        );
      }
    } catch (error) {
      this.tell(error);
    }
  }

  private async written(path: string): Promise<Archived | null> {
    for (let poll = 0; poll < ARCHIVE_POLLS_MAX; poll++) {
      const found = await ask<Archived>(path);
      if (found.request?.done_at) return found;
      await new Promise((resolve) => setTimeout(resolve, ARCHIVE_POLL_MS));
    }
    return null;
  }

  /** Show an image that an object names, wherever its series is; false when it is not here. */
  async jump(link: ImageLink): Promise<boolean> {
    for (const series of this.strip.series.filter(hasImages)) {
      const contents = await contentsOf(this.root, series).catch(() => null);
      const slides = contents?.others.filter(isWholeSlide) ?? [];
      if (slides.some((each) => isOf(each, link))) {
        this.leaveVolume();
        return this.goToSlide(series, slides);
      }
      for (const set of contents?.sets ?? []) {
        const index = set.pictures.findIndex(
          (each) => each.sopInstanceUid === link.sopInstanceUid && each.frame === link.frame,
        );
        if (index < 0) continue;
        this.leaveVolume();
        this.measurements.know(set);
        // The object that was clicked in stays beside its image where there is room.
        const free = this.grid.panes.find((each) => each.set?.id === set.id) ?? this.besides();
        this.grid.activate(free.index);
        await this.grid.show(free, set, index);
        this.refresh();
        return true;
      }
    }
    return false;
  }

  private besides(): Pane {
    const { active } = this.grid;
    if (active.kind !== "empty") return active;
    if (this.grid.panes.length === 1) this.grid.layout(1, 2);
    return this.grid.panes.find((each) => each !== active) ?? active;
  }

  /** Show the first image of a presentation state as it says. */
  async present(state: State): Promise<boolean> {
    for (const each of state.images) {
      const frame = each.frames[0] ?? 1;
      if (!(await this.jump({ sopInstanceUid: each.sopInstanceUid, frame }))) continue;
      const own = state.areas.find((one) =>
        names(one.images, { sopInstanceUid: each.sopInstanceUid, frame }),
      );
      this.changing("Presentation state", () =>
        this.grid.active.view.present(own ? { ...state.view, area: own.area } : state.view),
      );
      return true;
    }
    return false;
  }

  // --- Fusion --------------------------------------------------------------------------------------

  /** The CT that is shown and the PET of the same place, or the other way round; null where there are none. */
  private fusible(): { under: SeriesFacts; over: SeriesFacts } | null {
    const { series } = this;
    const shown = this.grid.active?.set?.series;
    const of = (modality: string) =>
      shown?.modality === modality ? shown : series.find((each) => each.modality === modality);
    const [under, over] = [of("CT") ?? of("MR"), of("PT")];
    return under && over && shown && (shown === under || shown === over) ? { under, over } : null;
  }

  async fuse(): Promise<void> {
    if (this.inVolume() === "fusion") {
      this.leaveVolume();
      return;
    }
    const found = this.fusible();
    if (!found) return this.tell("PET over CT needs a PET and a CT series, one of them shown.");
    const largest = async (series: SeriesFacts) =>
      [...(await contentsOf(this.root, series)).sets].sort(
        (a, b) => b.pictures.length - a.pictures.length,
      )[0];
    const [under, over] = await Promise.all([largest(found.under), largest(found.over)]);
    if (!under || !over) return this.tell("There are no images to lay over each other.");
    const why = refusal(under) || refusal(over);
    if (why) return this.tell(why);
    if (!under.frameOfReferenceUid || under.frameOfReferenceUid !== over.frameOfReferenceUid)
      return this.tell("The series have different frames of reference: they are not laid over each other.");
    if (!this.enterVolume()) return;
    const suv = uptakeOfImage(over.pictures[0]?.imageId ?? "") !== null;
    this.grid.layout(2, 2, PLANES.length);
    this.fusion = {
      over,
      blend: { colour: FUSION_COLOURS[0]?.[0] ?? "hsv", opacity: 0.8, most: suv ? 10 : 30_000 },
    };
    const { blend } = this.fusion;
    await Promise.all(
      PLANES.map((plane, index) => this.grid.panes[index]?.showFused(under, over, plane, blend)),
    );
    this.tool("Crosshairs");
    this.grid.activate(0);
    this.refresh();
  }

  blend(opacity: number): void {
    this.blending({ opacity });
  }

  colour(name: string): void {
    this.blending({ colour: name });
  }

  private blending(given: Partial<Blend>): void {
    if (!this.fusion) return;
    Object.assign(this.fusion.blend, given);
    for (const each of this.grid.panes) each.blend(this.fusion.over, this.fusion.blend);
  }

  clip(share: number): void {
    for (const each of this.grid.panes) each.clip(share);
  }

  // --- Volumes -------------------------------------------------------------------------------------

  private inVolume(): "" | "planes" | "solid" | "fusion" {
    if (this.fusion) return "fusion";
    if (this.grid.panes.some((each) => each.kind === "plane")) return "planes";
    return this.grid.panes.some((each) => each.kind === "solid") ? "solid" : "";
  }

  private leaveVolume(): boolean {
    if (!this.inVolume()) return false;
    this.fusion = null;
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

  /** What the chosen viewport shows as a volume: itself, or what the server makes of it; null where neither goes. */
  private async volumeSet(): Promise<DisplaySet | null> {
    const set = this.grid.active?.set ?? null;
    if (!set || !refusal(set) || !mending(set)) return set;
    this.tell("The server resamples the volume…");
    const made = await resampledSet(this.root, set, register).catch((error) => this.tell(error));
    this.tell(made?.derived ?? "");
    return made ?? null;
  }

  private enterVolume(set: DisplaySet | null = this.grid.active?.set ?? null): DisplaySet | null {
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
    this.fusion = null;
    for (const each of this.grid.panes) each.clear();
    return set;
  }

  async planes(): Promise<void> {
    if (this.inVolume() === "planes") {
      this.leaveVolume();
      return;
    }
    const wanted = await this.volumeSet();
    const set = wanted && this.enterVolume(wanted);
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
    const offered = SOLID_PRESETS[this.grid.active?.set?.series.modality ?? ""];
    if (!offered) return this.tell("Volume rendering is for CT and MR.");
    const wanted = await this.volumeSet();
    const set = wanted && this.enterVolume(wanted);
    if (!set) return;
    this.grid.layout(1, 1);
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

  async jumpTo(id: string): Promise<void> {
    this.leaveVolume();
    const each = this.measurements.list.find((candidate) => candidate.measurement_id === id);
    const series = each && this.strip.find(each.series_instance_uid);
    if (!series) return;
    const contents = await contentsOf(this.root, series).catch((error) => this.tell(error));
    if (contents && each.content.pixel_origin) {
      await this.goToSlide(series, contents.others, id);
      return;
    }
    for (const set of contents?.sets ?? []) this.measurements.know(set);
    const place = this.measurements.place(id);
    if (!place) return;
    const showing = this.grid.panes.find((pane) => pane.set?.id === place.set.id) ?? this.grid.active;
    this.grid.activate(showing.index);
    if (showing.set?.id === place.set.id) await showing.go(place.index);
    else await this.grid.show(showing, place.set, place.index);
    if (each.content.view) {
      const { view } = each.content;
      this.changing("Saved view", () => showing.view.present(view));
    }
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

  /** The series of another study, which the strip lists from now on. */
  private async listStudy(study: string): Promise<SeriesFacts[] | undefined> {
    const found = await seriesOfStudy(this.root, study).catch((error) => this.tell(error));
    const first = found?.[0];
    if (!found || !first) return undefined;
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
    return found;
  }

  /** The study beside the current one: the series that resembles the shown one, scrolling together. */
  private async compareStudy(study: string): Promise<void> {
    this.leaveVolume();
    const current = this.grid.panes.find((each) => each.set && this.series.includes(each.set.series))?.set;
    const found = await this.listStudy(study);
    if (!found?.length) return;
    const like = resembling(found, current?.series);
    this.grid.layout(1, 2);
    const [left, right] = this.grid.panes;
    if (!left || !right || !like) return;
    if (current && left.set?.id !== current.id) await this.grid.show(left, current);
    await this.open(like, right);
    this.grid.activate(0);
    this.grid.link(true);
    this.grid.align(left, right);
    this.grid.link(true);
    this.refresh();
  }
}

/** Whether a slide is the image that an object names, or lies on the glass that it names. */
const isOf = (slide: DicomJson, { sopInstanceUid, frameOfReferenceUid }: ImageLink): boolean =>
  sopInstanceUid
    ? text(slide, TAG.sopInstanceUid) === sopInstanceUid
    : Boolean(frameOfReferenceUid) && text(slide, TAG.frameOfReferenceUid) === frameOfReferenceUid;

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
