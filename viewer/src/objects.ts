// Objects of a study that are no images: reports, key images, presentation states, segmentations, structures,
// documents, videos, waveforms. What can be read is shown in the viewport; what lies over images is drawn there.

import { frameBytes, valueBytes } from "./bulk.ts";
import { structureLayers, structures } from "./contours.ts";
import { type DicomJson, items, TAG, text } from "./dicom.ts";
import type { SeriesFacts } from "./displaysets.ts";
import { h } from "./dom.ts";
import { drawWaveform, waveforms } from "./ecg.ts";
import { date } from "./format.ts";
import { layers } from "./layers.ts";
import { whenLeft } from "./life.ts";
import type { Pane } from "./pane.ts";
import { type State, stateLayers, stateOf } from "./presentation.ts";
import { segmentation, segmentLayers } from "./segments.ts";
import { isTiled, namedSources, pyramids, slideLayers } from "./slidesegments.ts";
import { type ImageLink, reportLines, selectedImages } from "./srtree.ts";

export type Family =
  "report" | "key" | "state" | "segments" | "structures" | "document" | "video" | "waveform" | "";

const VIDEO = /^1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?$/;

/** Which family an object belongs to, by its SOP class and how it is stored. */
export function familyOf(data: DicomJson): Family {
  const cls = text(data, TAG.sopClassUid).replace("1.2.840.10008.5.1.4.1.1.", "");
  if (VIDEO.test(text(data, TAG.availableTransferSyntaxUid))) return "video";
  if (cls === "88.59") return "key";
  if (cls.startsWith("88.")) return "report";
  if (/^11\.\d+$/.test(cls)) return "state";
  if (cls === "66.4" || cls === "66.7") return "segments";
  if (cls === "481.3") return "structures";
  if (cls.startsWith("104.")) return "document";
  return cls.startsWith("9.") ? "waveform" : "";
}

export interface Host {
  root: string;
  jump(image: ImageLink): Promise<boolean>;
  present(state: State): Promise<boolean>;
  tell(what: unknown): void;
}

const NAMES: Record<Family, string> = {
  report: "Structured report",
  key: "Key images",
  state: "Presentation state",
  segments: "Segmentation",
  structures: "Structures",
  document: "Document",
  video: "Video",
  waveform: "Waveform",
  "": "Object",
};

const addressOf = (root: string, data: DicomJson): string =>
  `${root}/studies/${text(data, TAG.studyInstanceUid)}/series/${text(data, TAG.seriesInstanceUid)}/instances/${text(data, TAG.sopInstanceUid)}`;

/** Show the objects of a series. Gives false when there is none that can be shown. */
export async function showObjects(
  host: Host,
  series: SeriesFacts,
  given: readonly DicomJson[],
  pane: Pane,
): Promise<boolean> {
  const levels = new Map(pyramids(given).map((each) => [each[0], each]));
  const known = [...levels.keys()]
    .filter((each) => each !== undefined)
    .filter((each) => familyOf(each))
    .sort((a, b) => madeAt(b).localeCompare(madeAt(a)));
  if (!known.length) return false;
  const sections: HTMLElement[] = [];
  for (const each of known) {
    const title = `${NAMES[familyOf(each)]}, ${date(series.studyDate)}`;
    sections.push(h("section", {}, h("h2", {}, title), ...(await sectionOf(host, each, levels.get(each)))));
  }
  pane.showDocument(h("div", { class: "document", tabindex: 0, "aria-label": series.label }, ...sections));
  return true;
}

const madeAt = (data: DicomJson): string =>
  (text(data, TAG.contentDate) || text(data, "00080012")) +
  (text(data, "00080033") || text(data, "00080013"));

async function sectionOf(
  host: Host,
  data: DicomJson,
  levels: readonly DicomJson[] = [data],
): Promise<(HTMLElement | string)[]> {
  const address = addressOf(host.root, data);
  switch (familyOf(data)) {
    case "report":
      return [report(host, data)];
    case "key":
      return keyImages(host, data);
    case "state":
      return [applying(host, data)];
    case "segments":
    case "structures":
      return [await overlaying(host, data, address, levels)];
    case "document":
      return documentOf(data, address);
    case "video":
      return [h("video", { src: `${address}/rendered`, controls: true, "aria-label": "Video" })];
    case "waveform":
      return await waveformOf(data);
    default:
      return [];
  }
}

function report(host: Host, data: DicomJson): HTMLElement {
  const rows = reportLines(data).map((line) => {
    const link = line.image;
    const value = link
      ? h("button", { type: "button", class: "small", onclick: () => void open(host, link) }, "Show image")
      : h("span", { class: "value" }, line.value);
    const row = h(
      "li",
      { class: line.heading ? "heading" : "" },
      line.name ? h("span", { class: "name" }, line.name) : null,
      line.heading ? null : value,
    );
    row.style.marginInlineStart = `${Math.min(8, line.depth)}rem`;
    return row;
  });
  return h("ul", { class: "report-tree" }, ...rows);
}

async function open(host: Host, image: ImageLink): Promise<void> {
  if (!(await host.jump(image))) host.tell("This image is not among the series that are open here.");
}

function keyImages(host: Host, data: DicomJson): HTMLElement[] {
  const images = selectedImages(data);
  const lines = reportLines(data).filter((each) => !each.image && !each.heading && each.value);
  return [
    h(
      "p",
      {},
      [reportLines(data)[0]?.name, ...lines.map((each) => `${each.name}: ${each.value}`)]
        .filter(Boolean)
        .join(" · "),
    ),
    h(
      "ol",
      { class: "key-images" },
      ...images.map((each, index) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: "small", onclick: () => void open(host, each) },
            `Show image ${index + 1}`,
          ),
        ),
      ),
    ),
  ];
}

function applying(host: Host, data: DicomJson): HTMLElement {
  const state = stateOf(data);
  const show = async () => {
    const group = text(data, TAG.sopInstanceUid);
    layers.dropGroup(group);
    layers.add(stateLayers(group, state));
    if (!(await host.present(state))) host.tell("The image of this presentation state is not here.");
  };
  return h("p", {}, h("button", { type: "button", onclick: () => void show() }, `Show: ${state.label}`));
}

const loading = new Set<string>();
whenLeft(() => loading.clear());

async function overlaying(
  host: Host,
  data: DicomJson,
  address: string,
  levels: readonly DicomJson[],
): Promise<HTMLElement> {
  const group = text(data, TAG.sopInstanceUid);
  const made =
    familyOf(data) !== "segments"
      ? structureLayers(group, structures(data))
      : isTiled(data)
        ? slideLayers(group, levels, (each) => addressOf(host.root, each))
        : ofSegments(host, data, address, group);
  if (!layers.has(group)) layers.add(made);
  const jump = async () => {
    for (const image of sourcesOf(data)) if (await host.jump(image)) return;
    host.tell("None of the images that this was drawn on is here.");
  };
  return h(
    "div",
    {},
    h("ul", {}, ...made.map((each) => h("li", {}, swatch(each.colour), each.label))),
    h("button", { type: "button", onclick: () => void jump() }, "Show over its images"),
  );
}

export function swatch(colour: string): HTMLElement {
  const made = h("i", { class: "swatch", "aria-hidden": "true" });
  made.style.background = colour;
  return made;
}

function ofSegments(host: Host, data: DicomJson, address: string, group: string) {
  const frames = new Map<number, Uint8Array>();
  const ask = (index: number): Uint8Array | null => {
    const known = frames.get(index);
    const key = `${group}/${index}`;
    if (known || loading.has(key)) return known ?? null;
    loading.add(key);
    frameBytes(address, index + 1)
      .then((bytes) => {
        frames.set(index, bytes);
        layers.changed();
      })
      .catch((error: unknown) => host.tell(error));
    return null;
  };
  return segmentLayers(group, segmentation(data), ask);
}

/** Images that an object was made from, those in the middle first. */
export function sourcesOf(data: DicomJson): ImageLink[] {
  if (isTiled(data)) {
    const frameOfReferenceUid = text(data, TAG.frameOfReferenceUid); // of the glass, where nothing is named that is here
    return [...namedSources(data), ""].map((sopInstanceUid) => ({
      sopInstanceUid,
      frame: 1,
      ...(sopInstanceUid ? {} : { frameOfReferenceUid }),
    }));
  }
  if (familyOf(data) === "segments") {
    const found = segmentation(data).frames.filter((each) => each.source);
    const middle = found[found.length >> 1];
    return [middle, ...found]
      .filter((each) => each !== undefined)
      .map((each) => ({ sopInstanceUid: each.source, frame: each.sourceFrame || 1 }));
  }
  const contours = structures(data)
    .flatMap((each) => each.contours)
    .filter((each) => each.source);
  const middle = contours[contours.length >> 1];
  return [middle, ...contours]
    .filter((each) => each !== undefined)
    .map((each) => ({ sopInstanceUid: each.source, frame: 1 }));
}

function documentOf(data: DicomJson, address: string): HTMLElement[] {
  const kind = text(data, "00420012") || "application/octet-stream";
  const rendered = `${address}/rendered`;
  const title =
    text(data, "00420010") || items(data, "0040A043").map((each) => text(each, "00080104"))[0] || kind;
  const link = h(
    "a",
    { href: rendered, target: "_blank", rel: "noopener" },
    `Open in a tab of its own: ${title}`,
  );
  if (kind !== "application/pdf") return [h("p", {}, link)];
  const frame = h("iframe", { class: "pdf", title });
  fetch(rendered, { credentials: "same-origin", headers: { Accept: "application/pdf" } })
    .then(async (answer) => {
      if (answer.ok) frame.src = URL.createObjectURL(await answer.blob());
      else frame.replaceWith(`The document could not be loaded (${answer.status}).`);
    })
    .catch(() => frame.replaceWith("The document could not be loaded."));
  return [h("p", {}, link), frame];
}

async function waveformOf(data: DicomJson): Promise<HTMLElement[]> {
  const made: HTMLElement[] = [];
  for (const each of items(data, "54000100")) {
    const bytes = await valueBytes(each["54001010"]);
    const found = bytes && waveforms(each, bytes);
    if (found) made.push(...drawWaveform(found));
  }
  return made.length ? made : [h("p", {}, "This waveform cannot be shown.")];
}
