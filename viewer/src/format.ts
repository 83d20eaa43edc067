// Numbers and measurements in words: the same on the image, in the list and in the report.

export interface Statistic {
  name: string;
  value: number;
  unit: string;
}

const CALIBRATIONS = ["Proj", "ERMF", "Calibrated", "US Region", "ECG Region", "User", "Unknown", "Error"];

/** A number as reading rooms write it: tenths of millimetres, whole Hounsfield units beyond ten. */
export function rounded(value: number, digits = 1): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 1000 ? 0 : size < 1 && size > 0 ? Math.max(2, digits) : digits);
}

/** The unit without the calibration that Cornerstone appends to it. */
export function plainUnit(unit: string): { unit: string; calibration: string } {
  for (const each of CALIBRATIONS) {
    if (unit.endsWith(` ${each}`)) return { unit: unit.slice(0, -each.length - 1), calibration: each };
  }
  return { unit, calibration: "" };
}

const CALIBRATION_NOTES: Record<string, string> = {
  Proj: "at the detector",
  ERMF: "magnification corrected",
  Unknown: "calibration not stated",
  User: "by a known length",
};

/** One statistic in words: "12.3 mm", "Mean 41.0 HU". */
export function told(statistic: Statistic): string {
  if (statistic.unit === "" && statistic.name === "Ratio") return `Ratio ${statistic.value.toFixed(2)}`;
  const { unit, calibration } = plainUnit(statistic.unit);
  const note = CALIBRATION_NOTES[calibration];
  const space = unit === "°" || unit === "" ? "" : " ";
  const name = statistic.name ? `${statistic.name} ` : "";
  const whole = Number.isInteger(statistic.value) && (statistic.name === "Min" || statistic.name === "Max");
  return `${name}${rounded(statistic.value, whole ? 0 : 1)}${space}${unit}${note ? ` (${note})` : ""}`;
}

/** What was drawn, in words that a report may begin a sentence with. */
export const TOOL_NAMES: Record<string, string> = {
  Length: "Length",
  Angle: "Angle",
  CobbAngle: "Cobb angle",
  Bidirectional: "Diameters",
  EllipticalROI: "Ellipse",
  RectangleROI: "Rectangle",
  PlanarFreehandROI: "Region",
  Probe: "Point value",
  ArrowAnnotate: "Arrow",
  SplineROI: "Polygon",
  CardiothoracicRatio: "Cardiothoracic ratio",
  SpineLabel: "Vertebra",
};

/** What is marked and not drawn, by the same names. */
const MARK_NAMES: Record<string, string> = {
  KeyImage: "Key image",
  View: "Saved view",
  Calibration: "Calibration",
  Segment: "Segment",
};
export const isMark = (tool: string): boolean => tool in MARK_NAMES;
export const nameOf = (tool: string): string => TOOL_NAMES[tool] ?? MARK_NAMES[tool] ?? tool;

type Stats = Record<string, unknown>;

// Cornerstone's words for the units of pixels. "SUV" are body-weight values: others have their own name.
const PIXEL_UNITS: Record<string, string> = {
  raw: "",
  SUV: "SUVbw g/ml",
  BQML: "Bq/ml",
  unitless: "",
  CNTS: "counts",
};
const pixelUnit = (unit: string): string => PIXEL_UNITS[unit] ?? unit;

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

/** What Cornerstone calculated for an annotation, by our names and with units. */
export function statisticsOf(tool: string, stats: Stats | undefined): Statistic[] {
  if (!stats) return [];
  const unit = String(stats.unit ?? "");
  const value = pixelUnit(String(stats.modalityUnit ?? ""));
  const found: [string, unknown, string][] =
    tool === "Angle" || tool === "CobbAngle"
      ? [["", stats.angle, "°"]]
      : tool === "Bidirectional"
        ? [
            ["", stats.length, unit],
            ["×", stats.width, unit],
          ]
        : tool === "Length"
          ? [["", stats.length, unit]]
          : tool === "Probe"
            ? [["", stats.value, value]]
            : [
                ["Area", stats.isEmptyArea ? undefined : stats.area, String(stats.areaUnit ?? "")],
                ["Mean", stats.mean, value],
                ["SD", stats.stdDev, value],
                ["Min", stats.min, value],
                ["Max", stats.max, value],
              ];
  return found
    .filter((each): each is [string, number, string] => isNumber(each[1]))
    .map(([name, v, u]) => ({ name, value: v, unit: u }));
}

/** The statistics on one line. */
export function summary(tool: string, statistics: readonly Statistic[]): string {
  if (tool === "Bidirectional" && statistics.length === 2) return statistics.map(told).join(" ");
  return statistics.map(told).join(", ");
}

/** The sentence that a report takes over. */
export function sentence(given: {
  tool: string;
  label: string;
  statistics: readonly Statistic[];
  where: string;
}): string {
  const what = given.label || nameOf(given.tool);
  const values = summary(given.tool, given.statistics);
  return `${what}${values ? `: ${values}` : ""} (${given.where}).`;
}

/** A date of a study as people write it without doubt: 2026-11-22. */
export const date = (given: string | null): string => given ?? "undated";

export const plural = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;
