// Hanging protocols: which series goes where when a study opens. Rules are JSON, tried in order; a user's own
// last layout for the same modality comes before them.

import type { SeriesFacts } from "./displaysets.ts";
import type { View } from "./views.ts";
import protocols from "./hanging.json" with { type: "json" };

export interface Wish {
  label?: string;
  modality?: string[];
  description?: string; // a regular expression, upper and lower case alike
  laterality?: string; // R or L
  view?: string; // of images that state theirs (CC, MLO); where none does, description decides
  study?: "current" | "prior";
}

export interface Stage {
  name?: string;
  rows: number;
  columns: number;
  series: Wish[]; // one per viewport; empty: series in their order
  link?: boolean;
}

export interface Protocol extends Stage {
  name: string;
  modality: string[];
  description?: string; // of the study
  bodyPart?: string; // a regular expression: Body Part Examined of one of its series
  seriesAtLeast?: number;
  priorsAtLeast?: number;
  stages?: Stage[]; // that follow the first
}

/** A display set of a series, and the view that its images show. */
export interface ViewedSet extends View {
  id: string;
}

/** What is known of a study beyond its list of series, where protocols ask for it. */
export interface Surroundings {
  priors: number; // how many there are
  prior: readonly SeriesFacts[]; // series of the most relevant one
  bodyParts: ReadonlyMap<string, string>; // by Series Instance UID
  lateralities: ReadonlyMap<string, string>;
  views?: ReadonlyMap<string, readonly ViewedSet[]>; // of series of mammograms
}

export interface Hanging {
  name: string;
  rows: number;
  columns: number;
  link: boolean;
  series: (SeriesFacts | null)[];
  sets?: (string | undefined)[]; // which display set of the series, where it is a particular one
  protocol: Protocol | null;
}

const NOTHING_MORE: Surroundings = { priors: 0, prior: [], bodyParts: new Map(), lateralities: new Map() };
const ALL = protocols as Protocol[];
/** Whether a text holds a pattern; one that is no regular expression is looked for as it is written. */
export function fits(pattern: string | undefined, text: string): boolean {
  if (!pattern) return true;
  try {
    return new RegExp(pattern, "i").test(text);
  } catch {
    return text.toLowerCase().includes(pattern.toLowerCase());
  }
}
export const shipped: readonly Protocol[] = ALL;
const WITHOUT_IMAGES = new Set(["SR", "PR", "KO", "SEG", "RTSTRUCT", "RTPLAN", "DOC", "REG", "RWV", "ECG"]);

export const hasImages = (series: SeriesFacts): boolean => !WITHOUT_IMAGES.has(series.modality);

/** The first protocol that fits the study, with a series for each viewport of its first stage. */
export function hang(
  series: readonly SeriesFacts[],
  given: readonly Protocol[] = ALL,
  more: Surroundings = NOTHING_MORE,
): Hanging {
  const shown = series.filter(hasImages);
  for (const protocol of given) {
    const placed = matches(shown, protocol, more) ? placeStage(shown, protocol, more) : null;
    if (placed) return { ...placed, name: protocol.name, protocol };
  }
  const first = [shown[0] ?? null];
  return { name: "One image", rows: 1, columns: 1, link: false, series: first, protocol: null };
}

function matches(shown: readonly SeriesFacts[], protocol: Protocol, more: Surroundings): boolean {
  const modalities = new Set(shown.map((each) => each.modality));
  if (protocol.modality.length && !protocol.modality.some((each) => modalities.has(each))) return false;
  if (!fits(protocol.description, shown[0]?.studyDescription ?? "")) return false;
  if (shown.length < (protocol.seriesAtLeast ?? 0) || more.priors < (protocol.priorsAtLeast ?? 0))
    return false;
  const parts = shown.map((each) => more.bodyParts.get(each.seriesInstanceUid) ?? "");
  return !protocol.bodyPart || parts.some((each) => fits(protocol.bodyPart, each));
}

/** A stage with a series for each of its viewports; null when the study lacks one that it asks for. */
export function placeStage(
  series: readonly SeriesFacts[],
  stage: Stage,
  more: Surroundings = NOTHING_MORE,
): Omit<Hanging, "name" | "protocol"> | null {
  const shown = series.filter(hasImages);
  const { rows, columns } = stage;
  const placed = place(shown, stage, more);
  if (!placed) return null;
  const sets = placed.map((each) => each?.set);
  return {
    rows,
    columns,
    link: stage.link ?? false,
    series: placed.map((each) => each?.series ?? null),
    ...(sets.some(Boolean) ? { sets } : {}),
  };
}

interface Placed {
  series: SeriesFacts;
  set?: string;
}

function place(shown: readonly SeriesFacts[], stage: Stage, more: Surroundings): (Placed | null)[] | null {
  const cells = stage.rows * stage.columns;
  if (!stage.series.length) return arrange(shown, cells).map((series) => series && { series });
  const left = { current: [...shown], prior: more.prior.filter(hasImages) };
  const taken = new Set<string>();
  const placed: (Placed | null)[] = [];
  for (const wish of stage.series) {
    const from = left[wish.study ?? "current"];
    const viewed = wish.view ? byItsView(from, wish, more, taken) : null;
    const at = viewed ? -1 : from.findIndex((each) => suits(each, wish, more));
    const series = at < 0 ? undefined : from.splice(at, 1)[0];
    const found = viewed ?? (series ? { series } : null);
    const particular = Boolean(wish.modality?.length || wish.description || wish.laterality || wish.view);
    if (!found && wish.study !== "prior" && particular) return null;
    placed.push(found);
  }
  while (placed.length < cells) placed.push(null);
  return placed;
}

const known = (each: ViewedSet): boolean => Boolean(each.laterality && each.position);

/** Whether a series as a whole is what a viewport asks for: one whose images say their view is judged by these. */
function suits(each: SeriesFacts, wish: Wish, more: Surroundings): boolean {
  if (wish.modality?.length && !wish.modality.includes(each.modality)) return false;
  if (wish.view && (!wish.description || more.views?.get(each.seriesInstanceUid)?.some(known))) return false;
  if (!fits(wish.description, each.label)) return false;
  return (
    !wish.laterality ||
    Boolean(wish.view) ||
    more.lateralities.get(each.seriesInstanceUid) === wish.laterality
  );
}

/** The first display set of the wanted view that no other viewport has. */
function byItsView(
  from: readonly SeriesFacts[],
  wish: Wish,
  more: Surroundings,
  taken: Set<string>,
): Placed | null {
  for (const series of from) {
    const set = more.views
      ?.get(series.seriesInstanceUid)
      ?.find(
        (each) =>
          !taken.has(each.id) &&
          each.position === wish.view &&
          (!wish.laterality || each.laterality === wish.laterality),
      );
    if (!set) continue;
    taken.add(set.id);
    return { series, set: set.id };
  }
  return null;
}

/** Whether protocols ask for what takes another question to the server. */
export const asksMore = (given: readonly Protocol[]): boolean =>
  given.some((each) =>
    [each, ...(each.stages ?? [])].some(
      (stage) =>
        each.bodyPart ||
        each.priorsAtLeast ||
        stage.series.some((wish) => wish.study === "prior" || wish.laterality),
    ),
  );

const arrange = (shown: readonly SeriesFacts[], cells: number): (SeriesFacts | null)[] =>
  Array.from({ length: cells }, (_, index) => shown[index] ?? null);

/** Series for a layout that somebody chose. */
export const fill = (series: readonly SeriesFacts[], cells: number): (SeriesFacts | null)[] =>
  arrange(series.filter(hasImages), cells);
