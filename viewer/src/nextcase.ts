// The next case of the reading list: named, a key away, its images fetched before it is opened.

import type { DicomJson } from "./dicom.ts";
import { firstShown, type SeriesFacts } from "./displaysets.ts";
import { h, the } from "./dom.ts";
import { ask, contentsOf } from "./engine.ts";
import { prefetchLater } from "./prefetch.ts";
import { opening, Stages } from "./stages.ts";

interface Waiting {
  accession_number: string;
  priority: string | null;
  patient_name: string | null;
  procedure: string | null;
  study_instance_uids: string[];
}

const IMAGES_MAX = 60; // of each set that opens first

export const casePath = (accession: string): string => `/exams/${encodeURIComponent(accession)}/read`;

/** The case after this one; null when nothing else waits. */
export async function nextCase(accession: string): Promise<Waiting | null> {
  const list = await ask<Waiting[]>("/api/reading-list");
  const at = list.findIndex((each) => each.accession_number === accession);
  return list[at + 1] ?? list.find((each) => each.accession_number !== accession) ?? null;
}

export function announce(next: Waiting | null): void {
  const place = the("next-case");
  if (!next) return place.replaceChildren();
  const name = (next.patient_name ?? "").split("=")[0]?.split("^").filter(Boolean).join(", ");
  place.replaceChildren(
    h(
      "a",
      { href: casePath(next.accession_number), title: `${name}: ${next.procedure ?? ""} (Shift+N)` },
      `Next case${next.priority === "STAT" ? " (STAT)" : ""}`,
    ),
    " ",
    h("kbd", {}, "Shift N"),
  );
}

interface Ahead {
  studies: Set<string>;
  loaded: Promise<unknown>; // when everything is there
}

/** Bring what the next case opens with into memory, after what the shown one waits for. */
export async function fetchAhead(next: Waiting, root: string): Promise<Ahead> {
  const series = (await Promise.all(next.study_instance_uids.map((uid) => seriesOfStudy(root, uid)))).flat();
  const preferences = await ask<Record<string, unknown>>("/api/preferences").catch(() => ({}));
  const hanging = await opening(new Stages(root), series, preferences);
  const first = new Set(hanging.series.filter((each): each is SeriesFacts => each !== null));
  const loads: Promise<void>[] = [];
  for (const each of first) {
    const { sets } = await contentsOf(root, each);
    // A series of mammograms is a set for each view, which hang side by side.
    const shown = sets.slice(0, each.modality === "MG" ? undefined : 1);
    for (const set of shown) loads.push(prefetchLater(set, firstShown(set), IMAGES_MAX));
  }
  const studies = new Set([...series, ...first].map((each) => each.studyInstanceUid));
  return { studies, loaded: Promise.all(loads) };
}

export async function seriesOfStudy(root: string, study: string): Promise<SeriesFacts[]> {
  const found = await ask<DicomJson[]>(
    `${root}/studies/${study}/series?includefield=0008103E,00200011,00080020,00081030`,
    { headers: { Accept: "application/dicom+json" } },
  );
  const value = (data: DicomJson, tag: string) => String(data[tag]?.Value?.[0] ?? "");
  return found
    .map((each) => ({
      studyInstanceUid: study,
      studyDate: value(each, "00080020").replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3") || null,
      studyDescription: value(each, "00081030"),
      seriesInstanceUid: value(each, "0020000E"),
      modality: value(each, "00080060"),
      label:
        [value(each, "00200011"), value(each, "0008103E")].filter(Boolean).join(" ") ||
        value(each, "00080060") ||
        "Series",
      numberOfInstances: Number(value(each, "00201209")) || 0,
    }))
    .sort((a, b) => Number.parseInt(a.label, 10) - Number.parseInt(b.label, 10) || 0);
}
