// The controls of the brush above the images, and the list of what was painted beside them.

import type { Brush, BrushMode, PaintedSegment } from "./brush.ts";
import { h } from "./dom.ts";
import { plural, rounded } from "./format.ts";

const MODES: [BrushMode, string][] = [
  ["paint", "Paint"],
  ["erase", "Erase"],
  ["outline", "Outline"],
];
const NEW = "\n";

/** Controls that are there while the brush is the chosen tool. */
export function brushControls(brush: Brush): HTMLElement {
  const names = h("select", { "aria-label": "Segment", title: "What is painted" });
  names.addEventListener("change", () => {
    const taken = new Set(brush.segments.map((each) => each.label));
    let number = 1;
    while (taken.has(`Segment ${number}`)) number += 1;
    brush.set({ label: names.value === NEW ? `Segment ${number}` : names.value });
  });
  const modes = h("select", { "aria-label": "Brush", title: "Alt held: erase" });
  for (const [value, label] of MODES) modes.append(h("option", { value }, label));
  modes.addEventListener("change", () => brush.set({ mode: modes.value as BrushMode }));
  const radius = h("input", {
    type: "number",
    min: 0.5,
    max: 100,
    step: 0.5,
    value: brush.settings.radiusMm,
    "aria-label": "Radius of the brush in mm",
    title: "Radius in mm",
  });
  radius.addEventListener("change", () => brush.set({ radiusMm: Math.max(0.5, Number(radius.value) || 8) }));
  const ball = h("input", { type: "checkbox" });
  ball.addEventListener("change", () => brush.set({ ball: ball.checked }));
  const bound = (what: string) => {
    const made = h("input", {
      type: "number",
      placeholder: what,
      "aria-label": `Paint only values ${what}`,
      title: `Paint only values ${what}`,
    });
    made.addEventListener("change", () => brush.set({ range: [numberOf(least), numberOf(most)] }));
    return made;
  };
  const least = bound("from");
  const most = bound("to");
  const element = h(
    "span",
    { class: "group brush", role: "group", "aria-label": "Brush", hidden: true },
    names,
    modes,
    radius,
    h("span", { class: "quiet" }, "mm"),
    h("label", { title: "Paint a ball through the slices" }, ball, "Ball"),
    least,
    most,
  );
  const render = () => {
    element.hidden = !brush.active;
    const known = new Set([brush.settings.label, ...brush.segments.map((each) => each.label)]);
    names.replaceChildren(
      ...[...known].sort().map((each) => h("option", { value: each }, each)),
      h("option", { value: NEW }, "New segment"),
    );
    names.value = brush.settings.label;
    modes.value = brush.settings.mode;
  };
  brush.addEventListener("change", render);
  render();
  return element;
}

const numberOf = (input: HTMLInputElement): number | null =>
  input.value.trim() === "" ? null : Number(input.value);

/** What a segment measures, in words. */
export const toldSegment = (each: PaintedSegment): string =>
  each.volumeMl === null
    ? `${rounded(each.area / 100)} cm² on ${plural(each.marks.length, "image")}`
    : `${rounded(each.volumeMl, 2)} mL on ${plural(each.marks.length, "image")}`;

export interface SegmentActions {
  jump(id: string): void;
  insert(text: string): void;
  writing: boolean;
  mayChange: boolean;
}

/** The list of segments; null where nothing is painted. */
export function segmentRows(brush: Brush, actions: SegmentActions): HTMLElement | null {
  const { segments } = brush;
  if (!segments.length) return null;
  const small = (words: string, onclick: () => void, more: Record<string, string> = {}) =>
    h("button", { type: "button", class: "small", onclick, ...more }, words);
  const rows = segments.map((each) => {
    const name = h("input", {
      value: each.label,
      "aria-label": "Name of this segment",
      maxlength: 64,
      disabled: !actions.mayChange,
    });
    name.addEventListener("change", () => brush.rename(each, name.value.trim() || each.label));
    name.addEventListener("keydown", (event) => {
      if (event.key === "Enter") name.blur();
    });
    const swatch = h("i", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = each.colour;
    const middle = each.marks[each.marks.length >> 1]?.measurement_id ?? "";
    return h(
      "li",
      { "data-segment": each.label },
      h("span", { class: "named" }, swatch, name),
      h("p", { class: "values" }, toldSegment(each)),
      each.why ? h("p", { class: "quiet small" }, each.why) : null,
      h(
        "div",
        { class: "row" },
        small("Show", () => actions.jump(middle)),
        actions.writing
          ? small("Insert", () => actions.insert(`${each.label}: ${toldSegment(each)}.`))
          : null,
        actions.mayChange
          ? small("Delete", () => brush.remove(each), { "aria-label": `Delete ${each.label}` })
          : null,
      ),
    );
  });
  return h("section", {}, h("h3", {}, "Segments"), h("ol", { class: "measurements" }, ...rows));
}
