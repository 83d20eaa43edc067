// Waveforms, such as the twelve leads of an ECG, drawn to scale: 25 mm in a second, 10 mm for a millivolt.
// Millimetres are those of CSS: true on paper, and on screens as true as the system knows them. PS3.3 C.10.9

import { type DicomJson, items, number, text } from "./dicom.ts";
import { h } from "./dom.ts";

export interface Channel {
  label: string;
  unit: string;
  values: Float64Array; // in the unit
}
export interface Waveform {
  label: string;
  hertz: number;
  channels: Channel[];
}

const T = {
  channels: "54000200",
  samples: "003A0010",
  frequency: "003A001A",
  label: "003A0020",
  interpretation: "54001006",
  definitions: "003A0200",
  source: "003A0208",
  channelLabel: "003A0203",
  sensitivity: "003A0210",
  correction: "003A0212",
  baseline: "003A0213",
  units: "003A0211",
  skew: "003A0214",
  meaning: "00080104",
  value: "00080100",
  count: "003A0005",
  bits: "54001004",
} as const;

/** The channels of one multiplex group: samples of all channels follow each other. Null where it is not linear. */
export function waveforms(group: DicomJson, bytes: Uint8Array): Waveform | null {
  const count = number(group, T.count) ?? 0;
  const samples = number(group, T.samples) ?? 0;
  const hertz = number(group, T.frequency) ?? 0;
  const bits = number(group, T.bits) ?? 16;
  const kind = text(group, T.interpretation);
  const read: Record<string, (view: DataView, at: number) => number> = {
    SB: (view, at) => view.getInt8(at),
    UB: (view, at) => view.getUint8(at),
    SS: (view, at) => view.getInt16(at, true),
    US: (view, at) => view.getUint16(at, true),
    SL: (view, at) => view.getInt32(at, true),
    UL: (view, at) => view.getUint32(at, true),
  };
  const reading = read[kind];
  const width = bits / 8;
  if (!reading || !count || !samples || !hertz || bytes.length < count * samples * width) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const channels = items(group, T.definitions)
    .slice(0, count)
    .map((each, channel) => {
      const factor = (number(each, T.sensitivity) ?? 1) * (number(each, T.correction) ?? 1);
      const baseline = number(each, T.baseline) ?? 0;
      const source = items(each, T.source)[0];
      const values = Float64Array.from(
        { length: samples },
        (_, at) => (reading(view, (at * count + channel) * width) + baseline) * factor,
      );
      return {
        label:
          text(each, T.channelLabel) ||
          text(source, T.meaning).replace(/\s*\(.*\)$/, "") ||
          `Channel ${channel + 1}`,
        unit: text(items(each, T.units)[0], T.value),
        values,
      };
    });
  return { label: text(group, T.label) || "Waveform", hertz, channels };
}

const MILLIVOLTS: Record<string, number> = { V: 1000, mV: 1, uV: 1e-3, nV: 1e-6 };
const MM_PER_S = 25;
const MM_PER_MV = 10;
const SVG = "http://www.w3.org/2000/svg";

/** Height of a channel on paper: its span, but no less than two millivolts. */
export function scaleOf(channel: Channel): { mmPerUnit: number; top: number; heightMm: number } {
  const perUnit = MILLIVOLTS[channel.unit];
  let [least, most] = [0, 0];
  for (const value of channel.values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const span = most - least || 1;
  const mmPerUnit = perUnit === undefined ? 20 / span : perUnit * MM_PER_MV;
  return { mmPerUnit, top: most * mmPerUnit + 2, heightMm: Math.max(20, span * mmPerUnit + 4) };
}

/** The group on millimetre paper. */
export function drawWaveform(given: Waveform): HTMLElement[] {
  const seconds = (given.channels[0]?.values.length ?? 0) / given.hertz;
  const paper = h("div", { class: "paper" });
  for (const channel of given.channels) {
    const { mmPerUnit, top, heightMm } = scaleOf(channel);
    const widthMm = seconds * MM_PER_S;
    const svg = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "polyline");
    const name = `${channel.label}${MILLIVOLTS[channel.unit] === undefined ? `, ${channel.unit || "no unit"}, not to scale` : ""}`;
    for (const [key, value] of Object.entries({
      width: `${widthMm}mm`,
      height: `${heightMm}mm`,
      viewBox: `0 0 ${widthMm} ${heightMm}`,
      role: "img",
      "aria-label": name,
    }))
      svg.setAttribute(key, value);
    path.setAttribute(
      "points",
      Array.from(
        channel.values,
        (value, at) =>
          `${((at / given.hertz) * MM_PER_S).toFixed(3)},${(top - value * mmPerUnit).toFixed(3)}`,
      ).join(" "),
    );
    svg.append(path);
    paper.append(h("div", { class: "lead" }, h("b", {}, name), svg));
  }
  return [
    h("p", {}, `${given.label}: ${given.hertz} Hz, ${seconds.toFixed(1)} s. 25 mm/s, 10 mm/mV.`),
    paper,
  ];
}
