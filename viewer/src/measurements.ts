// Measurements: what is drawn becomes a record on the server, and comes back as a drawing.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import type { DisplaySet, Picture } from "./displaysets.ts";
import { type Annotation, annotationOf, recordOf } from "./drawings.ts";
import { ask } from "./engine.ts";
import type { History } from "./history.ts";
import { Keeping } from "./keeping.ts";
import type { LesionRole } from "./lesions.ts";
import { caseLife, listenForCase } from "./life.ts";
import { isShownAsPreview, previews } from "./progressive.ts";
import {
  CALIBRATION,
  type Content,
  drawnAlike,
  type Known,
  markOf,
  type Measurement,
  type Place,
  sentOf,
} from "./records.ts";
import { Steps } from "./steps.ts";
import { calibrations, type Drawn, MEASURING_NAMES, placesOf } from "./toolgroups.ts";
import { countsPreview, volumeIn } from "./volumeloading.ts";

const { Events } = tools.Enums;
const SAVE_AFTER_MS = 600;

export class Measurements extends EventTarget {
  private readonly kept = new Map<string, Known>();
  private readonly places = new Map<string, Place>(); // by image id
  private readonly gone = new Map<string, string>(); // studies of what was removed
  private readonly keeping = new Keeping(
    (id) => this.send(id),
    () => this.changed(),
  );
  private readonly deferred = new Set<Annotation>(); // changed while only a preview of their image was shown
  private readonly unplaced = new Map<string, Known[]>(); // by series
  private readonly life = caseLife();
  private restoring = false;
  private together = false; // several marks change as one step
  private readonly steps: Steps;

  constructor(
    private readonly mayKeep: boolean,
    private readonly history: History,
  ) {
    super();
    this.steps = new Steps(history, (id, wanted) => this.put(id, wanted));
    listenForCase(core.eventTarget, Events.ANNOTATION_COMPLETED, (event) => this.drawn(event));
    listenForCase(core.eventTarget, Events.ANNOTATION_MODIFIED, (event) => this.drawn(event));
    listenForCase(core.eventTarget, Events.ANNOTATION_REMOVED, (event) => this.removed(event));
    listenForCase(previews, "whole", (event) => {
      const { detail: imageId } = event as CustomEvent<string>;
      this.recount((each) => each.metadata?.referencedImageId === imageId);
    });
    listenForCase(previews, "refined", (event) => {
      const { detail: volumeId } = event as CustomEvent<string>;
      const isOn = (each: Annotation) => targetsOf(each).some((target) => volumeIn(target) === volumeId);
      this.recount((each) => isOn(each) && !countsPreviewIn(each));
    });
  }

  get list(): Known[] {
    return [...this.kept.values()];
  }

  /** Why something is not kept; empty where nothing failed. */
  get error(): string {
    return this.keeping.error;
  }

  /** What the server does not have as it is here, in words that differ where it differs; empty: nothing. */
  unkept(): string {
    const drawn = this.mayKeep ? [...this.deferred].filter((each) => this.isNews(each)) : [];
    const told = [
      ...this.keeping.unkept.map((id) => [id, this.kept.get(id) ?? null]),
      ...drawn.map((each) => [each.annotationUID, each.data.handles?.points]),
    ];
    return told.length ? JSON.stringify(told) : "";
  }

  /** Make the images of a display set known, and draw what was measured on them before. */
  know(set: DisplaySet): void {
    set.pictures.forEach((picture, index) => {
      this.places.set(picture.imageId, { set, picture, index });
    });
    const found = this.unplaced.get(set.series.seriesInstanceUid) ?? [];
    this.unplaced.set(
      set.series.seriesInstanceUid,
      found.filter((each) => !this.restore(each, set)),
    );
    this.recalibrate();
  }

  /** Fetch what was measured in a study. */
  async load(study: string): Promise<void> {
    const found = await ask<Measurement[]>(`/api/studies/${study}/measurements`);
    if (this.life.aborted) return;
    const sets = new Set([...this.places.values()].map((each) => each.set));
    for (const each of found) {
      const known = { ...each, study };
      this.kept.set(each.measurement_id, known);
      const set = [...sets].find((candidate) => this.restore(known, candidate));
      if (!set)
        this.unplaced.set(each.series_instance_uid, [
          ...(this.unplaced.get(each.series_instance_uid) ?? []),
          known,
        ]);
    }
    this.changed();
  }

  private restore(measurement: Measurement, set: DisplaySet): boolean {
    const picture = set.pictures.find(
      (each) =>
        each.sopInstanceUid === measurement.sop_instance_uid && each.frame === measurement.frame_number,
    );
    if (!picture) return false;
    if (!MEASURING_NAMES.includes(measurement.tool)) return true; // a mark: nothing is drawn
    this.restoring = true;
    try {
      const drawn = annotationOf(measurement, picture.imageId, !this.mayKeep);
      tools.annotation.state.addAnnotation(drawn, measurement.content.frame_of_reference_uid);
    } finally {
      this.restoring = false;
    }
    return true;
  }

  private drawn(event: Event): void {
    const { annotation } = (event as CustomEvent<{ annotation: Annotation }>).detail;
    const imageId = annotation.metadata?.referencedImageId ?? "";
    if (isShownAsPreview(imageId) || countsPreviewIn(annotation)) this.deferred.add(annotation);
    else this.take(annotation);
  }

  /** Count anew what was counted on previews that are none any more, and take what was drawn meanwhile. */
  private recount(isMeant: (annotation: Annotation) => boolean): void {
    for (const annotation of tools.annotation.state.getAllAnnotations().filter(isMeant)) {
      annotation.invalidated = true;
      (annotation.data as Drawn).cachedStats = {};
    }
    for (const annotation of [...this.deferred].filter(isMeant)) {
      this.deferred.delete(annotation);
      if (this.isNews(annotation)) this.take(annotation);
    }
  }

  /** Whether the drawing is there and is not what is known of it. */
  private isNews(annotation: Annotation): boolean {
    const id = annotation.annotationUID ?? "";
    if (tools.annotation.state.getAnnotation(id) !== annotation) return false; // gone, or drawn anew
    const known = this.kept.get(id);
    const made = this.describe(annotation);
    return made !== null && !(known && drawnAlike(known, made));
  }

  private take(annotation: Annotation): void {
    const id = annotation.annotationUID;
    const tool = annotation.metadata?.toolName ?? "";
    if (this.restoring || !id || !MEASURING_NAMES.includes(tool)) return;
    const made = this.describe(annotation);
    if (!made) return;
    const before = this.kept.get(id);
    if (
      before &&
      JSON.stringify(before.content) === JSON.stringify(made.content) &&
      before.label === made.label
    )
      return;
    const after = { ...before, ...made };
    this.kept.set(id, after);
    if (before && drawnAlike(before, after)) this.steps.counted(id, after);
    else this.remember(id, before ?? null, after);
    this.changed();
    this.keepSoon(id);
  }

  private remember(id: string, before: Known | null, after: Known | null): void {
    if (!this.together) this.steps.remember(id, before, after);
  }

  /** Make the measurement what it was: drawn anew, or gone. */
  private put(id: string, wanted: Known | null): void {
    this.steps.end();
    if (wanted === null) {
      this.remove(id);
      return;
    }
    const known = structuredClone(wanted);
    this.restoring = true; // the removal of the drawing is none of the measurement
    try {
      if (tools.annotation.state.getAnnotation(id)) tools.annotation.state.removeAnnotation(id);
    } finally {
      this.restoring = false;
    }
    this.kept.set(id, known);
    const place = this.place(id);
    if (place && MEASURING_NAMES.includes(known.tool)) this.restore(known, place.set);
    this.changed();
    this.keepSoon(id, 0);
  }

  /** Keep a mark that is no drawing: a key image, or how an image was shown. */
  mark(tool: string, place: Place, content: Partial<Content> = {}, label = ""): void {
    this.hold(markOf(tool, place, content, label));
  }

  /** Keep what no tool of the engine drew, or what became of it. */
  hold(made: Known): void {
    const id = made.measurement_id;
    this.remember(id, this.kept.get(id) ?? null, made);
    this.kept.set(id, made);
    this.changed();
    this.keepSoon(id, 0);
  }

  /** Change several marks of one kind as one step: content for an image's mark, null where it goes. */
  markAll(
    name: string,
    tool: string,
    changes: readonly {
      place: Place;
      label: string;
      content: Partial<Content> | null;
      before: Known | null;
    }[],
  ): void {
    type Change = { id: string; before: Known | null; after: Known | null };
    const steps = changes.flatMap(({ place, label, content, before }): Change[] => {
      const id = before?.measurement_id;
      if (content === null) return before && id ? [{ id, before, after: null }] : [];
      const made = markOf(tool, place, content, label);
      const after: Known = id ? { ...made, measurement_id: id } : made;
      return [{ id: after.measurement_id, before, after }];
    });
    if (!steps.length) return;
    const go = (which: "before" | "after") => {
      this.together = true;
      try {
        for (const each of steps) this.put(each.id, each[which]);
      } finally {
        this.together = false;
        this.changed();
      }
    };
    go("after");
    this.history.push({ name, undo: () => go("before"), redo: () => go("after") });
  }

  /** Say how long a measured length is in truth: all lengths on its image follow. */
  calibrate(id: string, millimetres: number): void {
    const each = this.kept.get(id);
    const place = this.place(id);
    const measured = each?.content.statistics[0]?.value;
    if (!place || !measured || !(millimetres > 0)) return;
    const { imageId } = place.picture;
    const before = this.marked(CALIBRATION, place.picture);
    const factor = (millimetres / measured) * (calibrations.get(imageId) ?? 1);
    if (before) this.remove(before.measurement_id);
    this.mark(CALIBRATION, place, { calibration: { factor } }, `${millimetres} mm`);
  }

  /** Take the factors from what is kept, and let drawings on images whose factor changed say so. */
  private recalibrate(): void {
    const wanted = new Map<string, number>();
    for (const each of this.kept.values()) {
      const place = each.content.calibration && this.place(each.measurement_id);
      if (place && each.content.calibration)
        wanted.set(place.picture.imageId, each.content.calibration.factor);
    }
    const images = new Set([...wanted.keys(), ...calibrations.keys()]);
    for (const imageId of images) {
      const factor = wanted.get(imageId);
      if (factor === calibrations.get(imageId)) continue;
      if (factor === undefined) calibrations.delete(imageId);
      else calibrations.set(imageId, factor);
      for (const annotation of tools.annotation.state.getAllAnnotations()) {
        const id = annotation.annotationUID ?? "";
        if (annotation.metadata?.referencedImageId !== imageId || !this.kept.has(id)) continue;
        const made = this.describe(annotation);
        const known = this.kept.get(id);
        if (!made || !known || !made.content.statistics.length) continue;
        this.kept.set(id, { ...known, content: { ...known.content, statistics: made.content.statistics } });
        this.keepSoon(id);
      }
    }
  }

  /** The mark of this kind on an image, if there is one. */
  marked(tool: string, picture: Picture): Known | undefined {
    return this.list.find(
      (each) =>
        each.tool === tool &&
        each.sop_instance_uid === picture.sopInstanceUid &&
        each.frame_number === picture.frame,
    );
  }

  /** The record of a drawing; null where its image is not known. */
  private describe(annotation: Annotation): Known | null {
    const place = this.places.get(annotation.metadata?.referencedImageId ?? "");
    return place
      ? recordOf(annotation, place, this.kept.get(annotation.annotationUID ?? "")?.content.lesion)
      : null;
  }

  private keepSoon(id: string, afterMs = SAVE_AFTER_MS): void {
    if (this.mayKeep) this.keeping.soon(id, afterMs);
  }

  /** Keep at once what waits to be kept: before something is made from it, and before the case is left. */
  settle(): Promise<void> {
    return this.keeping.settle();
  }

  /** Let the server have the measurement as it is here, or have it no more. */
  private async send(id: string): Promise<void> {
    const each = this.kept.get(id);
    const address = `/api/studies/${each?.study ?? this.gone.get(id)}/measurements/${id}`;
    const headers = { "Content-Type": "application/json" };
    try {
      await ask(address, each ? { method: "PUT", headers, body: sentOf(each) } : { method: "DELETE" });
    } catch (error) {
      const why = error instanceof Error ? error.message : "the server cannot be reached";
      throw new Error(`A measurement is not ${each ? "saved" : "removed"}: ${why}`);
    }
  }

  private removed(event: Event): void {
    const { annotation } = (event as CustomEvent<{ annotation: Annotation }>).detail;
    if (!this.restoring) this.drop(annotation.annotationUID ?? "");
  }

  remove(id: string): void {
    if (tools.annotation.state.getAnnotation(id)) tools.annotation.state.removeAnnotation(id);
    else this.drop(id);
  }

  private drop(id: string): void {
    const each = this.kept.get(id);
    if (!each) return;
    this.kept.delete(id);
    this.gone.set(id, each.study);
    this.remember(id, each, null);
    if (this.mayKeep) void this.keeping.now(id);
    this.changed();
  }

  rename(id: string, label: string): void {
    const each = this.kept.get(id);
    if (!each || each.label === label) return;
    const before = structuredClone(each);
    each.label = label;
    this.remember(id, before, structuredClone(each));
    const annotation = tools.annotation.state.getAnnotation(id);
    if (annotation) annotation.data.label = label;
    this.changed();
    this.keepSoon(id);
  }

  /** Say what lesion a diameter is of; empty: of none. */
  follow(id: string, role: LesionRole | ""): void {
    const each = this.kept.get(id);
    if (!each) return;
    const before = structuredClone(each);
    const { lesion: _, ...content } = each.content;
    const after: Known = { ...each, content: role ? { ...content, lesion: { role } } : content };
    this.kept.set(id, after);
    this.steps.end();
    this.remember(id, before, structuredClone(after));
    this.changed();
    this.keepSoon(id);
  }

  /** Where a measurement is; null while its series has not been opened. */
  place(id: string): Place | null {
    const each = this.kept.get(id);
    if (!each) return null;
    return (
      [...this.places.values()].find(
        ({ picture }) =>
          picture.sopInstanceUid === each.sop_instance_uid && picture.frame === each.frame_number,
      ) ?? null
    );
  }

  private changed(): void {
    if (this.together) return;
    this.recalibrate();
    this.dispatchEvent(new Event("change"));
  }
}

const targetsOf = (annotation: Annotation): string[] =>
  Object.keys((annotation.data as Drawn).cachedStats ?? {});

/** Whether numbers of a drawing on a plane come from previews. */
const countsPreviewIn = (annotation: Annotation): boolean =>
  targetsOf(annotation).some((each) => countsPreview(each, placesOf(annotation.data as Drawn)));
