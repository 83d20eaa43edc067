// A structured report as lines of text: any tree, whoever wrote it. PS3.3 C.17.3

import { type DicomJson, items, text } from "./dicom.ts";

export interface ImageLink {
  sopInstanceUid: string;
  frame: number; // from 1
  frameOfReferenceUid?: string; // of a slide's glass, where no image is named
}

export interface ReportLine {
  depth: number;
  name: string;
  value: string;
  heading: boolean;
  image: ImageLink | null;
}

const T = {
  valueType: "0040A040",
  name: "0040A043",
  content: "0040A730",
  codeMeaning: "00080104",
  textValue: "0040A160",
  conceptCode: "0040A168",
  measured: "0040A300",
  numeric: "0040A30A",
  units: "004008EA",
  codeValue: "00080100",
  qualifier: "0040A301",
  personName: "0040A123",
  date: "0040A121",
  time: "0040A122",
  dateTime: "0040A120",
  uid: "0040A124",
  referenced: "00081199",
  referencedUid: "00081155",
  referencedFrame: "00081160",
  referencedSegment: "0062000B",
  graphicType: "00700023",
  graphicData: "00700022",
  temporalRange: "0040A130",
} as const;

const meaning = (item: DicomJson, tag: string): string => {
  const code = items(item, tag)[0];
  return code ? text(code, T.codeMeaning) || text(code, T.codeValue) : "";
};

const day = (value: string): string => value.replace(/^(\d{4})(\d{2})(\d{2})/, "$1-$2-$3");
const clock = (value: string): string =>
  value.replace(/^(\d{2})(\d{2})(\d{2})?.*/, (_, h, m, s) => [h, m, s].filter(Boolean).join(":"));
const person = (value: string): string => value.split("=")[0]?.split("^").filter(Boolean).join(", ") ?? "";

/** The image that an item names; none for a segment, which is shown over others. */
function imageOf(item: DicomJson): ImageLink | null {
  const found = items(item, T.referenced)[0];
  const uid = text(found, T.referencedUid);
  return uid && !text(found, T.referencedSegment)
    ? { sopInstanceUid: uid, frame: Number(text(found, T.referencedFrame)) || 1 }
    : null;
}

// What people write for units whose codes are made for machines. UCUM
const UNITS: Record<string, string> = {
  "1": "",
  "[hnsf'U]": "HU",
  mm2: "mm²",
  cm2: "cm²",
  mm3: "mm³",
  cm3: "cm³",
  deg: "°",
};

/** As many digits as mean something to a reader; what was sent is in the object. */
const readable = (value: string): string =>
  /\.\d{5,}$/.test(value) ? String(Number(Number(value).toFixed(4))) : value;

function number(item: DicomJson): string {
  const measured = items(item, T.measured)[0];
  if (!measured) return meaning(item, T.qualifier) || "not measured";
  const unit = items(measured, T.units)[0];
  const code = text(unit, T.codeValue);
  const shown = UNITS[code] ?? (code.startsWith("{") ? text(unit, T.codeMeaning) : code);
  return `${readable(text(measured, T.numeric))} ${shown}`.trim();
}

function graphic(item: DicomJson): string {
  const kind = text(item, T.graphicType).toLowerCase();
  const axes = text(item, T.valueType) === "SCOORD3D" ? 3 : 2;
  const count = Math.floor((item[T.graphicData]?.Value?.length ?? 0) / axes);
  return `${kind}, ${count} ${count === 1 ? "point" : "points"}`;
}

function segments(item: DicomJson): string {
  const numbers = items(item, T.referenced)[0]?.[T.referencedSegment]?.Value ?? [];
  return numbers.length ? `segment ${numbers.join(", ")}` : "";
}

function valueOf(item: DicomJson): string {
  switch (text(item, T.valueType)) {
    case "TEXT":
      return text(item, T.textValue);
    case "CODE":
      return meaning(item, T.conceptCode);
    case "NUM":
      return number(item);
    case "PNAME":
      return person(text(item, T.personName));
    case "DATE":
      return day(text(item, T.date));
    case "TIME":
      return clock(text(item, T.time));
    case "DATETIME": {
      const whole = text(item, T.dateTime);
      return `${day(whole.slice(0, 8))} ${clock(whole.slice(8))}`.trim();
    }
    case "UIDREF":
      return text(item, T.uid);
    case "SCOORD":
    case "SCOORD3D":
      return graphic(item);
    case "TCOORD":
      return text(item, T.temporalRange).toLowerCase();
    case "IMAGE":
      return segments(item) || "image";
    case "COMPOSITE":
      return "object";
    case "WAVEFORM":
      return "waveform";
    default:
      return "";
  }
}

// What stands without a name of its own says what it is.
const UNNAMED: Record<string, string> = {
  CONTAINER: "",
  IMAGE: "",
  SCOORD: "Drawn as",
  SCOORD3D: "Drawn as",
  TCOORD: "At",
};

/** The report from its title on. Items below a value are indented below it. */
export function reportLines(data: DicomJson): ReportLine[] {
  const found: ReportLine[] = [];
  const visit = (item: DicomJson, depth: number): void => {
    const kind = text(item, T.valueType);
    const image = kind === "IMAGE" ? imageOf(item) : null;
    const name = meaning(item, T.name) || (UNNAMED[kind] ?? kind.toLowerCase());
    if (kind) found.push({ depth, name, value: valueOf(item), heading: kind === "CONTAINER", image });
    for (const each of items(item, T.content)) visit(each, depth + 1);
  };
  visit(data, 0);
  return found;
}

/** The images that a key object document selects, in its order, each once. PS3.16 TID 2010 */
export function selectedImages(data: DicomJson): ImageLink[] {
  const seen = new Map<string, ImageLink>();
  for (const each of items(data, T.content)) {
    const image = text(each, T.valueType) === "IMAGE" ? imageOf(each) : null;
    if (image) seen.set(`${image.sopInstanceUid}/${image.frame}`, image);
  }
  return [...seen.values()];
}
