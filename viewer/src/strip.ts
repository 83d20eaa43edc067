// The series of the case and of the studies beside it: thumbnails, what is loaded, what is shown.

import type { SeriesFacts } from "./displaysets.ts";
import { h } from "./dom.ts";
import { date, plural } from "./format.ts";
import { hasImages } from "./hanging.ts";

export interface StudyFacts {
  study_instance_uid: string;
  study_date: string | null;
  study_description: string;
  series: { series_instance_uid: string; modality: string; label: string; number_of_instances: number }[];
}

export const seriesOf = (study: StudyFacts): SeriesFacts[] =>
  study.series.map((each) => ({
    studyInstanceUid: study.study_instance_uid,
    studyDate: study.study_date,
    studyDescription: study.study_description,
    seriesInstanceUid: each.series_instance_uid,
    modality: each.modality,
    label: each.label,
    numberOfInstances: each.number_of_instances,
  }));

export class Strip {
  private readonly buttons = new Map<string, HTMLButtonElement>();
  readonly series: SeriesFacts[] = [];

  constructor(
    private readonly host: HTMLElement,
    private readonly root: string,
    private readonly choose: (series: SeriesFacts) => void,
  ) {}

  /** Add the series of a study below those that are there. */
  addStudy(study: StudyFacts, heading: string): void {
    const found = seriesOf(study).filter((each) => !this.buttons.has(each.seriesInstanceUid));
    if (heading) this.host.append(h("h2", { class: "small" }, heading));
    for (const each of found) {
      this.series.push(each);
      this.host.append(this.thumbnail(each));
    }
    if (!this.series.length) this.host.append(h("p", { class: "quiet small" }, "No series"));
  }

  private thumbnail(series: SeriesFacts): HTMLElement {
    const path = `${this.root}/studies/${series.studyInstanceUid}/series/${series.seriesInstanceUid}/thumbnail`;
    const image = h("img", {
      src: path,
      alt: "",
      loading: "lazy",
      draggable: "false",
      width: 120,
      height: 120,
    });
    const pictured = hasImages(series) || series.modality === "SEG";
    image.addEventListener("error", () => image.replaceWith(h("span", {}, series.modality || "No preview")));
    const button = h(
      "button",
      {
        class: "thumb",
        type: "button",
        draggable: "true",
        "aria-pressed": "false",
        "data-series": series.seriesInstanceUid,
        title: `${series.modality} ${series.label}, ${date(series.studyDate)}`,
        onclick: () => this.choose(series),
        ondragstart: (event: DragEvent) =>
          event.dataTransfer?.setData("text/plain", series.seriesInstanceUid),
      },
      h(
        "span",
        { class: "frame" },
        pictured ? image : h("span", {}, series.modality),
        h("i", { class: "progress" }),
      ),
      h("span", { class: "label" }, series.label),
      h("span", { class: "quiet" }, plural(series.numberOfInstances, pictured ? "image" : "object")),
    );
    this.buttons.set(series.seriesInstanceUid, button);
    return button;
  }

  find(uid: string): SeriesFacts | undefined {
    return this.series.find((each) => each.seriesInstanceUid === uid);
  }

  /** Mark what is shown: the active viewport's series, and those of the others. */
  mark(active: string, shown: ReadonlySet<string>): void {
    for (const [uid, button] of this.buttons) {
      button.setAttribute("aria-pressed", String(uid === active));
      button.classList.toggle("shown", shown.has(uid));
    }
  }

  progress(uid: string, done: number, all: number): void {
    const bar = this.buttons.get(uid)?.querySelector<HTMLElement>(".progress");
    if (bar) {
      bar.style.width = done < all ? `${(100 * done) / Math.max(1, all)}%` : "0";
      bar.dataset.loaded = `${done}/${all}`;
    }
  }

  reveal(uid: string): void {
    this.buttons.get(uid)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
