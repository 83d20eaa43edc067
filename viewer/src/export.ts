// What leaves the workspace: the study as files with a viewer page, a viewport as a picture, a cine as a video, and
// paper. Everything is on the server's record before it is made.

import type { Workspace } from "./workspace.ts";
import { h } from "./dom.ts";
import { ask } from "./engine.ts";
import { KEY_IMAGE } from "./records.ts";
import type { Pane } from "./pane.ts";

const JPEG_QUALITY = 0.92;

export function showExport(workspace: Workspace): void {
  const pane = workspace.grid.active;
  const study = pane?.set?.series.studyInstanceUid ?? workspace.facts.studies[0]?.study_instance_uid;
  if (!study) return workspace.tell("There is nothing to export.");
  const named = h("input", { type: "checkbox", id: "export-named" });
  const dialog = h("dialog", { class: "export", "aria-labelledby": "export-title" });
  const close = () => dialog.close();
  const failed = (error: unknown) => {
    workspace.tell(error);
    close();
  };
  const picture = (kind: "jpeg" | "png") => () =>
    void save(workspace, pane, kind, named.checked).then(close).catch(failed);
  const pictured = pane?.kind !== "empty" && Boolean(pane?.set);
  const moving = videoOf(workspace, pane);
  const keys = keyImageNames(workspace);
  const print = (names: string[]) => () => {
    window.open(
      printPath(workspace, names, pane?.set?.series.studyInstanceUid ?? study),
      "_blank",
      "noopener",
    );
    close();
  };
  const button = (label: string, onclick: () => void, enabled = true) =>
    h("button", { type: "button", onclick, disabled: !enabled }, label);
  dialog.append(
    h("h2", { id: "export-title" }, "Export"),
    h("h3", {}, "The study"),
    h(
      "p",
      {},
      h(
        "a",
        {
          class: "button primary",
          href: `${workspace.root}/studies/${study}?accept=application/zip&viewer=true`,
          download: "study.zip",
        },
        "DICOM files with a viewer (zip)",
      ),
    ),
    h(
      "p",
      { class: "quiet small" },
      "Unpack it on a disc or stick: INDEX.HTM shows pictures without a network.",
    ),
    h("h3", {}, "This viewport"),
    h(
      "div",
      { class: "row" },
      button("JPEG", picture("jpeg"), pictured),
      button("PNG", picture("png"), pictured),
      h("label", { class: "row" }, named, " With the patient's name"),
      moving
        ? button("Video (MP4)", () => void video(workspace, study, moving).then(close).catch(failed))
        : null,
    ),
    h("h3", {}, "Paper"),
    h(
      "div",
      { class: "row" },
      button(
        "Print what is shown",
        print(workspace.grid.panes.flatMap((each) => nameOf(each))),
        workspace.grid.panes.some((each) => nameOf(each).length > 0),
      ),
      button(`Print ${keys.length} key images`, print(keys), keys.length > 0),
    ),
    h("div", { class: "row end" }, button("Close", close)),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// --- Pictures --------------------------------------------------------------------------------------

async function record(study: string, what: "picture" | "video"): Promise<void> {
  await ask(`/api/studies/${study}/exports`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ what }),
  });
}

async function save(workspace: Workspace, pane: Pane, kind: "jpeg" | "png", named: boolean): Promise<void> {
  const { set } = pane;
  if (!set) return;
  await record(set.series.studyInstanceUid, "picture");
  const canvas = await pictureOf(pane);
  if (named) sign(canvas, workspace);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, `image/${kind}`, JPEG_QUALITY));
  if (!blob) throw new Error("The picture could not be made.");
  keep(blob, `${set.series.modality || "image"}-${pane.position + 1}.${kind === "jpeg" ? "jpg" : "png"}`);
}

/** What a viewport shows: the image, what lies over it, and what is drawn. */
export async function pictureOf(pane: Pane): Promise<HTMLCanvasElement> {
  const shown = pane.canvas.querySelector("canvas");
  if (!shown) throw new Error("The viewport shows no image.");
  if (pane.preview) throw new Error("Not all of the image is there yet: export it in a moment.");
  pane.viewport?.render();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const made = h("canvas", { width: shown.width, height: shown.height });
  const context = made.getContext("2d");
  if (!context) throw new Error("The picture could not be made.");
  context.fillStyle = "#000";
  context.fillRect(0, 0, made.width, made.height);
  context.drawImage(shown, 0, 0);
  const sheet = pane.element.querySelector<HTMLCanvasElement>("canvas.sheet");
  if (sheet?.width && sheet.height) context.drawImage(sheet, 0, 0, made.width, made.height);
  const drawn = pane.canvas.querySelector<SVGSVGElement>("svg.svg-layer");
  if (drawn?.childElementCount) context.drawImage(await rasterised(drawn), 0, 0, made.width, made.height);
  return made;
}

async function rasterised(drawn: SVGSVGElement): Promise<HTMLImageElement> {
  const copy = drawn.cloneNode(true) as SVGSVGElement;
  const { width, height } = drawn.getBoundingClientRect();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  return image;
}

function sign(canvas: HTMLCanvasElement, workspace: Workspace): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const size = Math.max(12, Math.round(canvas.height / 40));
  context.font = `${size}px sans-serif`;
  context.fillStyle = "#fff";
  context.strokeStyle = "#000";
  context.lineWidth = 3;
  const { patient_name, patient_id, accession_number } = workspace.facts;
  [patient_name, patient_id, accession_number, "Not for diagnosis"].filter(Boolean).forEach((line, index) => {
    context.strokeText(line, size / 2, size * 1.3 * (index + 1));
    context.fillText(line, size / 2, size * 1.3 * (index + 1));
  });
}

function keep(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// --- Video and paper -------------------------------------------------------------------------------

/** The address of the rendered frames of the shown instance as a video; empty where it has one frame only. */
function videoOf(workspace: Workspace, pane: Pane | undefined): string {
  const { set, picture } = pane ?? {};
  if (!set || !picture) return "";
  const frames = set.pictures.filter((each) => each.sopInstanceUid === picture.sopInstanceUid).length;
  if (frames < 2) return "";
  const { studyInstanceUid, seriesInstanceUid } = set.series;
  return `${workspace.root}/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${picture.sopInstanceUid}/rendered`;
}

async function video(workspace: Workspace, study: string, address: string): Promise<void> {
  await record(study, "video");
  workspace.tell("The video is being made…");
  const answer = await fetch(address, { headers: { Accept: "video/mp4, image/gif;q=0.5" } });
  if (!answer.ok) throw new Error(`The video could not be made: the server answered ${answer.status}.`);
  const blob = await answer.blob();
  keep(blob, blob.type.includes("gif") ? "cine.gif" : "cine.mp4");
  workspace.tell("The video is saved.");
}

/** How a viewport's image is named to the page that prints it, with its window. */
function nameOf(pane: Pane): string[] {
  const { set, picture } = pane;
  if (pane.kind !== "stack" || !set || !picture) return [];
  const window = pane.view.shown()?.window;
  const look =
    window && !set.coloured && set.series.modality !== "PT"
      ? `@${window[0].toFixed(2)},${Math.max(1, window[1]).toFixed(2)}`
      : "";
  return [`${set.series.seriesInstanceUid}/${picture.sopInstanceUid}/${picture.frame}${look}`];
}

const keyImageNames = (workspace: Workspace): string[] =>
  workspace.measurements.list
    .filter((each) => each.tool === KEY_IMAGE)
    .map((each) => `${each.series_instance_uid}/${each.sop_instance_uid}/${each.frame_number}`);

function printPath(workspace: Workspace, names: string[], study: string): string {
  const { accession_number } = workspace.facts;
  const exam = accession_number ? `/exams/${encodeURIComponent(accession_number)}` : `/studies/${study}`;
  const query = new URLSearchParams(names.map((name) => ["image", name]));
  const columns = Math.min(5, Math.ceil(Math.sqrt(names.length || 1)));
  query.set("columns", String(columns));
  query.set("rows", String(Math.min(4, Math.ceil((names.length || 1) / columns))));
  return `${exam}/print?${query}`;
}
