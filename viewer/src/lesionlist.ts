// The lesion table beside the images: what was measured under one name in this study and in the patient's others.

import { h } from "./dom.ts";
import { ask } from "./engine.ts";
import { rounded } from "./format.ts";
import { LESION_ROLES, type LesionMark, type LesionRole, lesionTable, reportTable } from "./lesions.ts";
import type { Measurements } from "./measurements.ts";
import type { Known, Measurement } from "./records.ts";

const STUDIES_MAX = 20; // that are asked for what was measured in them
const MEASURED = new Set(["Length", "Bidirectional"]);

export const mayBeLesion = (each: Measurement): boolean =>
  MEASURED.has(each.tool) && !each.content.pixel_origin; // a diameter in the patient, not on glass

/** The choice of what a measured diameter is of. */
export function rolePicker(each: Measurement, chosen: (role: LesionRole | "") => void): HTMLElement {
  const picker = h("select", { class: "small", "aria-label": "Lesion", title: "Follow this over time" });
  picker.append(h("option", { value: "" }, "No lesion"));
  for (const [value, label] of LESION_ROLES) picker.append(h("option", { value }, label));
  picker.value = each.content.lesion?.role ?? "";
  picker.addEventListener("change", () => chosen(picker.value as LesionRole | ""));
  return picker;
}

/** Lesions of this study and of others, which are asked for once. */
export class Lesions extends EventTarget {
  private readonly others: Known[] = [];
  private readonly dates = new Map<string, string>();

  constructor(private readonly measurements: Measurements) {
    super();
  }

  /** When a study was made, by its UID. */
  dated(study: string, date: string | null): void {
    this.dates.set(study, date ?? "");
  }

  async load(studies: readonly { study_instance_uid: string; study_date: string | null }[]): Promise<void> {
    for (const each of studies.slice(0, STUDIES_MAX)) {
      const { study_instance_uid: study } = each;
      this.dated(study, each.study_date);
      const found = await ask<Measurement[]>(`/api/studies/${study}/measurements`);
      this.others.push(...found.map((one) => ({ ...one, study })));
    }
    if (this.others.length) this.dispatchEvent(new Event("change"));
  }

  get marks(): LesionMark[] {
    const own = this.measurements.list;
    const shown = new Set(own.map((each) => each.study));
    return [...own, ...this.others.filter((each) => !shown.has(each.study))].flatMap((each) => {
      const role = each.content.lesion?.role;
      const named = each.label.trim();
      if (!role || !named) return [];
      const { study, tool, content } = each;
      return [
        {
          study,
          date: this.dates.get(study) ?? "",
          tool,
          label: named,
          role,
          statistics: content.statistics,
        },
      ];
    });
  }

  /** The table; null where nothing is followed. */
  section(insert: ((text: string) => void) | null): HTMLElement | null {
    const { marks } = this;
    const unnamed = this.measurements.list.some((each) => each.content.lesion && !each.label.trim());
    const hint = unnamed
      ? h("p", { class: "quiet small" }, "Lesions without a name are not followed.")
      : null;
    if (!marks.length) return hint;
    const table = lesionTable(marks);
    const cell = (each: number | null) => h("td", {}, each === null ? "–" : rounded(each));
    const roles = new Map(LESION_ROLES);
    const element = h(
      "table",
      { class: "lesions" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Lesion, mm"),
          ...table.studies.map((each) => h("th", { scope: "col" }, each.date || "undated")),
        ),
      ),
      h(
        "tbody",
        {},
        ...table.rows.map((each) =>
          h(
            "tr",
            {},
            h("th", { scope: "row", title: roles.get(each.role) ?? "" }, each.label),
            ...each.diameters.map(cell),
          ),
        ),
      ),
      h(
        "tfoot",
        {},
        h("tr", {}, h("th", { scope: "row" }, "Sum of targets"), ...table.sums.map(cell)),
        h(
          "tr",
          {},
          h("th", { scope: "row" }, "RECIST 1.1"),
          ...table.responses.map((each) => h("td", {}, each)),
        ),
      ),
    );
    return h(
      "section",
      {},
      h("h3", {}, "Lesions"),
      h("div", { class: "scrolls" }, element),
      h(
        "p",
        { class: "quiet small" },
        "Response of what is measured here; the whole response is the reader's.",
      ),
      hint,
      insert
        ? h("button", { type: "button", onclick: () => insert(reportTable(table)) }, "Insert the table")
        : null,
    );
  }
}
