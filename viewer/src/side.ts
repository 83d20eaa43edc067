// What stands beside the images: the report (the page's own editor), measurements, order and history.

import { h, the } from "./dom.ts";
import { ask } from "./engine.ts";
import { date, isMark, nameOf, plural, sentence, type Statistic, summary } from "./format.ts";
import { histogramPicture } from "./histogram.ts";
import { layers } from "./layers.ts";
import { caseLife, listenForCase, whenLeft } from "./life.ts";
import { type Lesions, mayBeLesion, rolePicker } from "./lesionlist.ts";
import type { Measurements } from "./measurements.ts";
import { type Measurement, SEGMENT } from "./records.ts";
import { askForText } from "./textdialog.ts";
import { uptake } from "./uptake.ts";

export interface Prior {
  study_instance_uid: string;
  study_date: string | null;
  study_description: string | null;
  modalities: string[];
  body_parts: string[];
  number_of_series: number;
  number_of_instances: number;
  accession_number: string | null;
  relevance: number;
  report_state: string | null;
}

const TABS = ["report", "measurements", "layers", "history"] as const;
export type Tab = (typeof TABS)[number];

export function startTabs(): void {
  for (const name of TABS) the(`tab-${name}`).addEventListener("click", () => openTab(name));
  the("side")
    .querySelector("[role=tablist]")
    ?.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[(event as KeyboardEvent).key];
      const at = TABS.findIndex((name) => the(`tab-${name}`) === document.activeElement);
      const next = step === undefined ? undefined : TABS[at + step];
      if (!next) return;
      event.stopPropagation();
      event.preventDefault();
      openTab(next);
      the(`tab-${next}`).focus();
    });
}

export function openTab(chosen: Tab): void {
  the("workspace").classList.remove("alone");
  for (const name of TABS) {
    const tab = the(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    the(`side-${name}`).hidden = name !== chosen;
  }
}

/** Put text into the report where the author is writing, as if they had typed it. */
export function insertIntoReport(text: string): boolean {
  const editor = document.getElementById("text");
  if (!(editor instanceof HTMLTextAreaElement)) return false;
  openTab("report");
  const at = editor.selectionStart ?? editor.value.length;
  const before = editor.value.slice(0, at);
  const gap = before && !/\s$/.test(before) ? "\n" : "";
  editor.focus();
  editor.setRangeText(`${gap}${text}`, at, editor.selectionEnd ?? at, "end");
  editor.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}

interface ListActions {
  statistics(measurement: Measurement): Statistic[]; // as they are told on this page
  values(measurement: Measurement): number[]; // inside of a region; empty where there is none
  jump(id: string): void;
  archive(): void;
  segments(writing: boolean): HTMLElement | null;
  lesions: Lesions;
  where(measurement: Measurement): string;
  mayChange: boolean;
}

export function showMeasurements(measurements: Measurements, actions: ListActions): void {
  const host = the("side-measurements");
  const writing = document.getElementById("text") !== null;
  const life = caseLife();
  const render = () => {
    if (life.aborted) return;
    const list = measurements.list.filter((each) => each.tool !== SEGMENT);
    const segments = actions.segments(writing);
    const lesions = actions.lesions.section(writing ? (text) => void insertIntoReport(text) : null);
    the("measurement-count").textContent = list.length ? String(list.length) : "";
    if (host.contains(document.activeElement) && document.activeElement?.matches("input")) return; // someone is naming one
    const rows = list.map((each) => row(each, measurements, actions, writing));
    const drawn = list.filter((each) => !isMark(each.tool));
    const all =
      writing && drawn.length > 1
        ? h(
            "button",
            {
              type: "button",
              onclick: () => insertIntoReport(drawn.map((each) => told(each, actions)).join("\n")),
            },
            "Insert all into the report",
          )
        : null;
    const archive =
      actions.mayChange && (rows.length || segments)
        ? h(
            "button",
            { type: "button", title: "Save to archive (Shift+S)", onclick: () => actions.archive() },
            "Save to archive",
          )
        : null;
    const empty = h(
      "div",
      { class: "empty" },
      h("strong", {}, "Nothing measured yet."),
      h(
        "span",
        {},
        actions.mayChange
          ? "Choose a tool above the images, or press l for a length."
          : "What a radiologist measures appears here.",
      ),
    );
    host.replaceChildren(
      ...(measurements.error ? [h("p", { class: "notice problem", role: "alert" }, measurements.error)] : []),
      ...(rows.length ? [h("ol", { class: "measurements" }, ...rows)] : segments ? [] : [empty]),
      ...(segments ? [segments] : []),
      ...(lesions ? [lesions] : []),
      ...(all ? [all] : []),
      ...(archive ? [archive, h("p", { class: "quiet small", id: "archived" })] : []),
    );
  };
  measurements.addEventListener("change", render);
  listenForCase(uptake, "change", render);
  actions.lesions.addEventListener("change", render);
  host.addEventListener("focusout", () => setTimeout(render));
  render();
}

const told = (each: Measurement, actions: ListActions): string =>
  sentence({
    tool: each.tool,
    label: each.label || (each.content.text ?? "").trim(),
    statistics: actions.statistics(each),
    where: actions.where(each),
  });

function row(
  each: Measurement,
  measurements: Measurements,
  actions: ListActions,
  writing: boolean,
): HTMLElement {
  const name = nameOf(each.tool);
  const label = h("input", {
    value: each.label,
    placeholder: name,
    "aria-label": `Name of this ${name.toLowerCase()}`,
    maxlength: 200,
    disabled: !actions.mayChange,
  });
  label.addEventListener("change", () => measurements.rename(each.measurement_id, label.value.trim()));
  label.addEventListener("keydown", (event) => {
    if (event.key === "Enter") label.blur();
  });
  const values = summary(each.tool, actions.statistics(each)) || (each.content.text ?? "").trim();
  return h(
    "li",
    { "data-measurement": each.measurement_id },
    label,
    h("p", { class: "values" }, values),
    h("p", { class: "quiet small" }, actions.where(each)),
    spread(each, actions),
    actions.mayChange && mayBeLesion(each)
      ? rolePicker(each, (role) => measurements.follow(each.measurement_id, role))
      : null,
    h(
      "div",
      { class: "row" },
      h(
        "button",
        { type: "button", class: "small", onclick: () => actions.jump(each.measurement_id) },
        "Show",
      ),
      writing && !isMark(each.tool)
        ? h(
            "button",
            { type: "button", class: "small", onclick: () => void insertIntoReport(told(each, actions)) },
            "Insert",
          )
        : null,
      actions.mayChange && each.tool === "Length" && !each.content.pixel_origin
        ? h(
            "button",
            {
              type: "button",
              class: "small",
              title: "Say how long this is in truth",
              onclick: () =>
                askForText(
                  "",
                  (words) => measurements.calibrate(each.measurement_id, Number(words.replace(",", "."))),
                  "True length in mm",
                ),
            },
            "Calibrate",
          )
        : null,
      actions.mayChange
        ? h(
            "button",
            {
              type: "button",
              class: "small danger",
              "aria-label": `Delete ${each.label || name}`,
              onclick: () => measurements.remove(each.measurement_id),
            },
            "Delete",
          )
        : null,
    ),
  );
}

const opened = new Set<string>(); // measurements whose histogram is shown

/** The histogram of a region, made when it is asked for. */
function spread(each: Measurement, actions: ListActions): HTMLElement | null {
  if (!HAVE_HISTOGRAM.has(each.tool) || each.content.closed === false) return null;
  const made = h("details", {}, h("summary", { class: "quiet small" }, "Histogram"));
  const fill = () => {
    if (made.childElementCount > 1) return;
    made.append(
      histogramPicture(actions.values(each)) ?? h("p", { class: "quiet small" }, "Show the image first."),
    );
  };
  if (opened.has(each.measurement_id)) {
    made.open = true;
    fill();
  }
  made.addEventListener("toggle", () => {
    if (made.open) opened.add(each.measurement_id);
    else opened.delete(each.measurement_id);
    fill();
  });
  return made;
}
whenLeft(() => opened.clear());
const HAVE_HISTOGRAM = new Set(["EllipticalROI", "RectangleROI", "PlanarFreehandROI", "SplineROI"]);

// --- Layers ---------------------------------------------------------------------------------------

/** The list of what is drawn over images, each to be hidden or seen through. */
export function showLayers(): void {
  const host = the("side-layers");
  const render = () => {
    const list = layers.list.filter((each) => !each.hidden);
    const others = list.filter((each) => each.group !== "overlays").length;
    the("layer-count").textContent = others ? String(others) : "";
    if (host.contains(document.activeElement) && host.childElementCount) return; // someone moves a slider
    host.replaceChildren(
      h(
        "ul",
        { class: "layers" },
        ...list.map((each) => {
          const shown = h("input", { type: "checkbox", checked: each.visible, "data-layer": each.id });
          shown.addEventListener("change", () => layers.set(each.id, { visible: shown.checked }));
          const opacity = h("input", {
            type: "range",
            min: 0,
            max: 100,
            value: Math.round(each.opacity * 100),
            "aria-label": `Opacity of ${each.label}`,
          });
          opacity.addEventListener("input", () =>
            layers.set(each.id, { opacity: Number(opacity.value) / 100 }),
          );
          const swatch = h("i", { class: "swatch", "aria-hidden": "true" });
          swatch.style.background = each.colour;
          return h("li", {}, h("label", {}, shown, swatch, each.label), opacity);
        }),
      ),
      h(
        "p",
        { class: "quiet small" },
        "Open a series of segmentations, structures or presentation states to add it. Segments and structures " +
          "are drawn on reformatted planes as well; overlays and annotations belong to single images, and " +
          "volume renderings show none.",
      ),
    );
  };
  listenForCase(layers, "change", render);
  host.addEventListener("focusout", () => setTimeout(render));
  render();
}

// --- Priors ---------------------------------------------------------------------------------------

interface Report {
  report_id: string;
  state: string;
}
interface Version {
  text: string;
  kind: string;
  signer_name: string;
  signed_at: string;
}

export function showPriors(priors: readonly Prior[], compare: (prior: Prior) => void): void {
  const host = the("priors");
  the("prior-count").textContent = priors.length ? String(priors.length) : "";
  if (!priors.length) {
    host.replaceChildren(h("p", { class: "quiet" }, "None of this patient."));
    return;
  }
  host.replaceChildren(h("ol", { class: "priors" }, ...priors.map((each) => priorRow(each, compare))));
}

function priorRow(prior: Prior, compare: (prior: Prior) => void): HTMLElement {
  const texts = h("div", { class: "stack" });
  const signed = prior.report_state === "signed" && prior.accession_number;
  const reading = h(
    "button",
    { type: "button", class: "small", onclick: () => void showReports(prior, texts) },
    "Read its report",
  );
  return h(
    "li",
    { "data-study": prior.study_instance_uid },
    h(
      "p",
      {},
      h("strong", {}, date(prior.study_date)),
      ` ${prior.modalities.join(", ")} ${prior.study_description ?? ""}`,
    ),
    h(
      "p",
      { class: "quiet small" },
      `${[...prior.body_parts, plural(prior.number_of_series, "serie"), plural(prior.number_of_instances, "image")].join(", ").replace(/(\d) serie(s?)/, "$1 series")}${prior.relevance > 1 ? " · same modality and region" : ""}`,
    ),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", class: "small", onclick: () => compare(prior) }, "Compare"),
      signed ? reading : null,
    ),
    texts,
  );
}

async function showReports(prior: Prior, host: HTMLElement): Promise<void> {
  try {
    const [report] = await ask<Report[]>(
      `/api/reports?accession_number=${encodeURIComponent(prior.accession_number ?? "")}`,
    );
    const versions = report ? await ask<Version[]>(`/api/reports/${report.report_id}/versions`) : [];
    host.replaceChildren(
      ...versions.map((each) =>
        h(
          "article",
          {},
          h(
            "p",
            { class: "quiet small" },
            `${each.kind === "addendum" ? "Addendum" : "Report"} by ${each.signer_name}, ${new Date(each.signed_at).toLocaleString()}`,
          ),
          h("div", { class: "report-text", dir: "auto" }, each.text),
        ),
      ),
    );
  } catch (error) {
    host.replaceChildren(
      h(
        "p",
        { class: "notice problem" },
        error instanceof Error ? error.message : "The report could not be loaded.",
      ),
    );
  }
}
