// Lesions followed over time: measurements of one name in several studies of a patient, their sums, and what
// RECIST 1.1 makes of them. Pure: what is a target, a node or new is what the reader says; nothing is guessed.
// Eisenhauer et al., European Journal of Cancer 45 (2009): 4.3.1 (response), 4.2 (diameters), 3.1.2 (nodes).

import { rounded, type Statistic } from "./format.ts";

export type LesionRole = "target" | "node" | "other" | "new";
export const LESION_ROLES: [LesionRole, string][] = [
  ["target", "Target lesion"],
  ["node", "Target lymph node"],
  ["other", "Non-target lesion"],
  ["new", "New lesion"],
];

export interface LesionMark {
  study: string;
  date: string; // of the study, ISO; empty where it is not known
  tool: string;
  label: string;
  role: LesionRole;
  statistics: readonly Statistic[];
}
export interface LesionTable {
  studies: { study: string; date: string }[]; // the earliest first: the baseline
  rows: { label: string; role: LesionRole; diameters: (number | null)[] }[]; // mm, one for each study
  sums: (number | null)[]; // of targets, mm; null where a target was not measured
  responses: string[]; // one for each study; empty for the baseline and where there is no sum
}

const NODE_NORMAL_MM = 10; // short axis below which a node is no disease
const GROWTH_MIN_MM = 5;
const MM_OF: Record<string, number> = { mm: 1, cm: 10 };

/** The diameter that counts: the longest, of lymph nodes the short axis; null where there is none in millimetres. */
export function diameterOf(mark: Pick<LesionMark, "tool" | "role" | "statistics">): number | null {
  if (mark.tool !== "Length" && mark.tool !== "Bidirectional") return null;
  const found = mark.statistics.flatMap((each) => {
    const factor = MM_OF[each.unit.split(" ")[0] ?? ""];
    return factor === undefined || !Number.isFinite(each.value) ? [] : [each.value * factor];
  });
  if (!found.length) return null;
  return mark.role === "node" ? Math.min(...found) : Math.max(...found);
}

/** The table of all lesions. A lesion that was measured twice in a study counts with its largest diameter. */
export function lesionTable(marks: readonly LesionMark[]): LesionTable {
  const dates = new Map(marks.map((each) => [each.study, each.date]));
  const studies = [...dates]
    .map(([study, date]) => ({ study, date }))
    .sort((a, b) => (a.date < b.date ? -1 : 1));
  const labels = [...new Set(marks.map((each) => each.label))];
  const rows = labels.map((label) => {
    const own = marks.filter((each) => each.label === label);
    const role = own[own.length - 1]?.role ?? "other";
    const diameters = studies.map(({ study }) => {
      const here = own
        .filter((each) => each.study === study)
        .flatMap((each) => diameterOf({ ...each, role }) ?? []);
      return here.length ? Math.max(...here) : null;
    });
    return { label, role, diameters };
  });
  const targets = rows.filter((each) => each.role === "target" || each.role === "node");
  const sums = studies.map((_, at) => {
    const found = targets.map((each) => each.diameters[at] ?? null);
    return found.length && found.every((each) => each !== null)
      ? found.reduce<number>((sum, each) => sum + (each ?? 0), 0)
      : null;
  });
  const responses = studies.map((_, at) => responseAt(at, sums, targets, rows));
  return { studies, rows, sums, responses };
}

/** Response of the targets: to the baseline for less, to the least sum so far for more. */
function responseAt(
  at: number,
  sums: readonly (number | null)[],
  targets: LesionTable["rows"],
  rows: LesionTable["rows"],
): string {
  const [sum, baseline] = [sums[at], sums[0]];
  const isNew = rows.some((each) => each.role === "new" && (each.diameters[at] ?? null) !== null);
  if (at === 0) return "";
  if (isNew) return "Progressive disease";
  if (sum === null || sum === undefined || baseline === null || baseline === undefined) return "";
  const least = Math.min(...sums.slice(0, at).filter((each): each is number => each !== null));
  const gone = targets.every((each) => {
    const size = each.diameters[at] ?? 0;
    return each.role === "node" ? size < NODE_NORMAL_MM : size === 0;
  });
  if (gone) return "Complete response";
  if (sum - least >= GROWTH_MIN_MM && sum >= 1.2 * least) return "Progressive disease";
  if (sum <= 0.7 * baseline) return "Partial response";
  return "Stable disease";
}

/** The table as text of a report: columns aligned by tabs, one line for each lesion. */
export function reportTable(table: LesionTable): string {
  const value = (each: number | null): string => (each === null ? "–" : `${rounded(each)} mm`);
  const change = (at: number): string => {
    const [sum, baseline] = [table.sums[at], table.sums[0]];
    if (at === 0 || !baseline || sum === null || sum === undefined) return "";
    const percent = (100 * (sum - baseline)) / baseline;
    return ` (${percent > 0 ? "+" : ""}${rounded(percent, 0)} %)`;
  };
  const lines = [
    ["Lesion", ...table.studies.map((each) => each.date || "undated")],
    ...table.rows.map((each) => [each.label, ...each.diameters.map(value)]),
    ["Sum of targets", ...table.sums.map((each, at) => value(each) + change(at))],
  ];
  if (table.responses.some(Boolean))
    lines.push(["RECIST 1.1, targets", ...table.responses.map((each) => each || "–")]);
  return lines.map((each) => each.join("\t")).join("\n");
}
