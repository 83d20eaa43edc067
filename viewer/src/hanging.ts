// Hanging protocols: which series goes where when a study opens. Rules are JSON, tried in order; a user's own
// last layout for the same modality comes before them.

import type { SeriesFacts } from "./displaysets.ts";
import protocols from "./hanging.json" with { type: "json" };

export interface Wish {
  label: string;
  modality?: string[];
  description?: string; // a regular expression, upper and lower case alike
}

export interface Protocol {
  name: string;
  modality: string[];
  description?: string; // of the study
  rows: number;
  columns: number;
  series: Wish[]; // one per viewport; empty: series in their order
  link?: boolean;
  seriesAtLeast?: number;
}

export interface Hanging {
  name: string;
  rows: number;
  columns: number;
  link: boolean;
  series: (SeriesFacts | null)[];
}

const ALL = protocols as Protocol[];
const fits = (pattern: string | undefined, text: string): boolean =>
  pattern === undefined || new RegExp(pattern, "i").test(text);
const WITHOUT_IMAGES = new Set(["SR", "PR", "KO", "SEG", "RTSTRUCT", "RTPLAN", "DOC", "REG", "RWV", "ECG"]);

export const hasImages = (series: SeriesFacts): boolean => !WITHOUT_IMAGES.has(series.modality);

/** The first protocol that fits the study, with a series for each of its viewports. */
export function hang(series: readonly SeriesFacts[], given: readonly Protocol[] = ALL): Hanging {
  const shown = series.filter(hasImages);
  const modalities = new Set(shown.map((each) => each.modality));
  const description = shown[0]?.studyDescription ?? "";
  for (const protocol of given) {
    if (protocol.modality.length && !protocol.modality.some((each) => modalities.has(each))) continue;
    if (!fits(protocol.description, description) || shown.length < (protocol.seriesAtLeast ?? 0)) continue;
    const placed = place(shown, protocol);
    if (placed)
      return {
        name: protocol.name,
        rows: protocol.rows,
        columns: protocol.columns,
        link: protocol.link ?? false,
        series: placed,
      };
  }
  return { name: "One image", rows: 1, columns: 1, link: false, series: [shown[0] ?? null] };
}

function place(shown: readonly SeriesFacts[], protocol: Protocol): (SeriesFacts | null)[] | null {
  if (!protocol.series.length) return arrange(shown, protocol.rows * protocol.columns);
  const left = [...shown];
  const placed = protocol.series.map((wish) => {
    const at = left.findIndex(
      (each) =>
        (!wish.modality || wish.modality.includes(each.modality)) && fits(wish.description, each.label),
    );
    return at < 0 ? null : (left.splice(at, 1)[0] ?? null);
  });
  return placed.every((each) => each !== null) ? placed : null;
}

const arrange = (shown: readonly SeriesFacts[], cells: number): (SeriesFacts | null)[] =>
  Array.from({ length: cells }, (_, index) => shown[index] ?? null);

/** Series for a layout that somebody chose. */
export const fill = (series: readonly SeriesFacts[], cells: number): (SeriesFacts | null)[] =>
  arrange(series.filter(hasImages), cells);
