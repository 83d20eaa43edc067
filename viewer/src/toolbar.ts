// The buttons above the images. Each is a command that a key gives as well.

import { h } from "./dom.ts";
import { keyFor, type Mappings } from "./mappings.ts";
import type { Preset } from "./presets.ts";
import { FUSION_COLOURS, SOLID_PRESETS, type SlabMode } from "./volumes.ts";

export interface Commands {
  tool(name: string): void;
  layout(rows: number, columns: number): void;
  preset(index: number): void;
  auto(): void;
  invert(): void;
  flip(direction: "flipHorizontal" | "flipVertical"): void;
  rotate(): void;
  fit(): void;
  reset(): void;
  cine(): void;
  planes(): void;
  solid(preset?: string): void;
  slab(mode: SlabMode, thicknessMm: number): void;
  link(): void;
  together(): void;
  lines(): void;
  side(): void;
  fuse(): void;
  blend(opacity: number): void;
  colour(name: string): void;
  clip(share: number): void;
  keyImage(): void;
  saveView(): void;
  archive(): void;
  step(again: boolean): void;
  editMappings(): void;
}

interface ToolButton {
  name: string;
  label: string;
  key: string;
  icon: string;
}

// Strokes on a 16 × 16 grid.
const POINTING: ToolButton[] = [
  { name: "WindowLevel", label: "Window", key: "w", icon: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12" },
  {
    name: "Pan",
    label: "Pan",
    key: "p",
    icon: "M8 1v14M1 8h14M5.5 3.5 8 1l2.5 2.5M5.5 12.5 8 15l2.5-2.5M3.5 5.5 1 8l2.5 2.5M12.5 5.5 15 8l-2.5 2.5",
  },
  { name: "Zoom", label: "Zoom", key: "z", icon: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2zM11 11l4 4M7 5v4M5 7h4" },
  { name: "StackScroll", label: "Scroll", key: "s", icon: "M3 3h10v7H3zM5 13h8M7 15.3h6" },
  {
    name: "Magnify",
    label: "Magnifying glass",
    key: "M",
    icon: "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2zM11 11l4 4",
  },
  {
    name: "Localiser",
    label: "Localiser",
    key: "L",
    icon: "M8 1v5M8 10v5M1 8h5M10 8h5M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  },
];
const MEASURING: ToolButton[] = [
  { name: "Length", label: "Length", key: "l", icon: "M2 14 14 2M2 11v3h3M11 2h3v3" },
  { name: "Angle", label: "Angle", key: "a", icon: "M14 13H2L11 3M7 13a5 5 0 0 0-1.6-3.8" },
  { name: "CobbAngle", label: "Cobb angle", key: "c", icon: "M2 3l12 2M2 13l12-3M11 5v5" },
  { name: "Bidirectional", label: "Bidirectional", key: "b", icon: "M2 13 14 3M5 4l6 8" },
  {
    name: "EllipticalROI",
    label: "Ellipse",
    key: "e",
    icon: "M8 3.5c4 0 6.5 2 6.5 4.5S12 12.500 8 12.500 1.500 10.500 1.500 8 4 3.500 8 3.500z",
  },
  { name: "RectangleROI", label: "Rectangle", key: "t", icon: "M2 4h12v8H2z" },
  {
    name: "PlanarFreehandROI",
    label: "Freehand",
    key: "h",
    icon: "M3 10c-2-4 2-8 6-6 3 1 6 0 5 4s-4 6-7 5-1-2-4-3z",
  },
  { name: "Probe", label: "Probe", key: "o", icon: "M8 1v5M8 10v5M1 8h5M10 8h5" },
  { name: "ArrowAnnotate", label: "Arrow", key: "n", icon: "M14 2 3 13M3 7v6h6" },
  { name: "SplineROI", label: "Polygon", key: "j", icon: "M3 5l6-3 5 5-3 7-8-3z" },
  {
    name: "CardiothoracicRatio",
    label: "Cardiothoracic ratio",
    key: "C",
    icon: "M1 12h14M5 5h7M1 10v4M15 10v4M5 3v4M12 3v4",
  },
  {
    name: "Brush",
    label: "Segment",
    key: "B",
    icon: "M14 2 7 9M7 9c-2-1-4 0-4 2 0 1.500-1 2-2 2.500 3 1.500 6 .5 7-1.500.5-1 0-2.500-1-3z",
  },
  { name: "SpineLabel", label: "Vertebrae", key: "d", icon: "M5 2h6v3H5zM5 6.500h6v3H5zM5 11h6v3H5z" },
];
export const POINTING_NAMES = new Set(POINTING.map((each) => each.name));
export const toolLabel = (name: string): string =>
  [...POINTING, ...MEASURING].find((each) => each.name === name)?.label ?? name;
export const TOOL_KEYS = new Map([...POINTING, ...MEASURING].map((each) => [each.key, each.name]));

function icon(path: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", class: "glyph", "aria-hidden": "true" }))
    svg.setAttribute(name, value);
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}

function button(
  label: string,
  key: string,
  glyph: string,
  onclick: () => void,
  properties: Record<string, string> = {},
): HTMLButtonElement {
  const shown = key ? `${label} (${key})` : label;
  return h(
    "button",
    { type: "button", title: shown, "aria-label": label, class: "tool", onclick, ...properties },
    icon(glyph),
  );
}

const LAYOUTS = [
  [1, 1],
  [1, 2],
  [2, 1],
  [1, 3],
  [2, 2],
  [2, 3],
  [3, 3],
  [3, 4],
  [4, 4],
  [4, 5],
] as const;

export class Toolbar {
  private readonly tools = new Map<string, HTMLButtonElement>();
  private readonly toggles = new Map<string, HTMLButtonElement>();
  private readonly windows: HTMLSelectElement;
  private readonly layouts: HTMLSelectElement;
  private readonly slabs: HTMLElement;
  private readonly solids: HTMLSelectElement;
  private readonly clips: HTMLInputElement;
  private readonly fusion: HTMLElement;
  private offered: string | null = null;
  private mode = "";

  constructor(host: HTMLElement, commands: Commands, mayMeasure: boolean) {
    const pointing = this.group("Mouse", POINTING, commands);
    const measuring = mayMeasure ? [this.group("Measure", MEASURING, commands)] : [];
    this.windows = h("select", {
      "aria-label": "Window",
      title: "Window presets (0–9)",
      onchange: () => this.window(commands),
    });
    this.layouts = h("select", {
      "aria-label": "Layout",
      title: "Layout",
      onchange: () => commands.layout(...(this.layouts.value.split("×").map(Number) as [number, number])),
    });
    for (const [rows, columns] of LAYOUTS)
      this.layouts.append(h("option", { value: `${rows}×${columns}` }, `${rows} × ${columns}`));
    this.solids = h("select", {
      "aria-label": "Volume rendering",
      hidden: true,
      onchange: () => commands.solid(this.solids.value),
    });
    this.slabs = this.slab(commands);
    this.fusion = this.blending(commands);
    this.clips = h("input", {
      type: "range",
      min: 0,
      max: 95,
      value: 0,
      "aria-label": "Cut away from the front, in percent",
      title: "Cut away from the front",
      hidden: true,
      oninput: () => commands.clip(Number(this.clips.value) / 100),
    });
    const looks = h(
      "span",
      { class: "group", role: "group", "aria-label": "Appearance" },
      button("Invert", "i", "M2 2h12v12H2zM2 14 14 2M5 14l9-9M9 14l5-5", commands.invert),
      button("Flip", "x", "M8 1v14M6 4 2 12h4zM10 4l4 8h-4z", () => commands.flip("flipHorizontal")),
      button("Flip upside down", "y", "M1 8h14M4 6l8-4v4zM4 10l8 4v-4z", () => commands.flip("flipVertical")),
      button("Rotate", ".", "M13 8a5 5 0 1 1-2-4M11 1v3.500H7.500", commands.rotate),
      button("Fit", "f", "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4", commands.fit),
      button("Reset", "Shift+R", "M3 8a5 5 0 1 0 2-4M5 1v3.500h3.500", commands.reset),
    );
    const together = h(
      "span",
      { class: "group", role: "group", "aria-label": "Viewports" },
      this.toggle(
        "link",
        button(
          "Link scrolling",
          "k",
          "M6.500 9.500l3-3M7 4l1-1a3 3 0 0 1 4.500 4.500l-1 1M9 12l-1 1a3 3 0 0 1-4.500-4.500l1-1",
          commands.link,
        ),
      ),
      this.toggle(
        "together",
        button(
          "Same window and zoom",
          "K",
          "M2 2h5v5H2zM9 9h5v5H9zM9 4.500h3v2.500M7 11.500H4V9",
          commands.together,
        ),
      ),
      this.toggle("lines", button("Reference lines", "", "M2 2h12v12H2zM2 9h12", commands.lines)),
      this.toggle("cine", button("Play", "Space", "M4 2.500v11l9-5.500z", commands.cine)),
      this.toggle(
        "planes",
        button(
          "Reformatted planes",
          "m",
          "M8 1l6 3.500v7L8 15l-6-3.500v-7zM8 8v7M8 8 2 4.500M8 8l6-3.500",
          commands.planes,
        ),
      ),
      this.toggle(
        "solid",
        button(
          "Volume rendering",
          "v",
          "M8 2c4 0 5 3 5 6s-2 6-5 6-5-3-5-6 1-6 5-6zM6 6h0M10 6h0M6 10h4",
          () => commands.solid(),
        ),
      ),
      this.toggle(
        "fusion",
        button(
          "PET over CT",
          "Shift+F",
          "M6 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
          commands.fuse,
        ),
      ),
      this.solids,
      this.clips,
      this.fusion,
      this.slabs,
    );
    const kept = mayMeasure
      ? [
          h(
            "span",
            { class: "group", role: "group", "aria-label": "Keep" },
            this.toggle(
              "key",
              button(
                "Key image",
                "g",
                "M8 2l1.800 4 4.200.500-3.100 2.900.800 4.300L8 11.500l-3.700 2.200.800-4.300L2 6.500 6.200 6z",
                commands.keyImage,
              ),
            ),
            button(
              "Save this view",
              "Shift+G",
              "M2 4h3l1-2h4l1 2h3v9H2zM8 6a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z",
              commands.saveView,
            ),
            button("Save to archive", "Shift+S", "M2 2h12v4H2zM3 6v8h10V6M6 9h4", commands.archive),
          ),
        ]
      : [];
    const back = h(
      "span",
      { class: "group", role: "group", "aria-label": "Steps" },
      button("Undo", "Ctrl+Z", "M6 3 2 7l4 4M2 7h7a4 4 0 0 1 0 7", () => commands.step(false)),
      button("Redo", "Ctrl+Y", "M10 3l4 4-4 4M14 7H7a4 4 0 0 0 0 7", () => commands.step(true)),
    );
    const keys = button(
      "Keys and buttons",
      "",
      "M1.500 4h13v8h-13zM4 6.500h.5M7 6.500h.5M10 6.500h.5M4.500 9.500h7",
      () => commands.editMappings(),
      { class: "tool end" },
    );
    const side = button("Panel", "\\", "M2 2h12v12H2zM10 2v12", commands.side);
    host.replaceChildren(
      pointing,
      ...measuring,
      this.windows,
      looks,
      this.layouts,
      together,
      ...kept,
      back,
      keys,
      side,
    );
  }

  private group(label: string, given: ToolButton[], commands: Commands): HTMLElement {
    const buttons = given.map((each) => {
      const made = button(each.label, each.key, each.icon, () => commands.tool(each.name), {
        "data-tool": each.name,
        "aria-pressed": "false",
      });
      this.tools.set(each.name, made);
      return made;
    });
    return h("span", { class: "group", role: "group", "aria-label": label }, ...buttons);
  }

  private toggle(name: string, made: HTMLButtonElement): HTMLButtonElement {
    this.toggles.set(name, made);
    made.setAttribute("aria-pressed", "false");
    return made;
  }

  private slab(commands: Commands): HTMLElement {
    const thickness = h("input", {
      type: "number",
      min: 1,
      max: 500,
      value: 10,
      "aria-label": "Slab thickness in mm",
    });
    const mode = h("select", { "aria-label": "Slab" });
    for (const each of ["none", "MIP", "MinIP", "Average"])
      mode.append(h("option", { value: each }, each === "none" ? "Thin" : each));
    const apply = () => commands.slab(mode.value as SlabMode, Math.max(1, Number(thickness.value) || 1));
    mode.addEventListener("change", apply);
    thickness.addEventListener("change", apply);
    const cross = button("Crosshairs", "", "M8 1v14M1 8h14", () => commands.tool("Crosshairs"), {
      "data-tool": "Crosshairs",
      "aria-pressed": "false",
    });
    this.tools.set("Crosshairs", cross);
    return h(
      "span",
      { class: "group slab", hidden: true },
      cross,
      mode,
      thickness,
      h("span", { class: "quiet" }, "mm"),
    );
  }

  private blending(commands: Commands): HTMLElement {
    const opacity = h("input", {
      type: "range",
      min: 0,
      max: 100,
      value: 80,
      "aria-label": "Opacity of the PET",
    });
    opacity.addEventListener("input", () => commands.blend(Number(opacity.value) / 100));
    const colours = h("select", { "aria-label": "Colours of the PET" });
    for (const [value, label] of FUSION_COLOURS) colours.append(h("option", { value }, label));
    colours.addEventListener("change", () => commands.colour(colours.value));
    return h("span", { class: "group fusion", hidden: true }, colours, opacity);
  }

  private window(commands: Commands): void {
    const { value } = this.windows;
    if (value === "auto") commands.auto();
    else commands.preset(Number(value));
  }

  /** Put a control of another module beside the windows. */
  add(control: HTMLElement): void {
    this.windows.after(control);
  }

  /** Say by which keys the tools are chosen. */
  keys(mappings: Mappings): void {
    for (const [standard, name] of TOOL_KEYS) {
      const key = keyFor(mappings, standard);
      const made = this.tools.get(name);
      if (made) made.title = key ? `${toolLabel(name)} (${key})` : toolLabel(name);
    }
  }

  chosenTool(name: string): void {
    for (const [each, made] of this.tools) made.setAttribute("aria-pressed", String(each === name));
  }

  set(
    name: "link" | "together" | "lines" | "cine" | "planes" | "solid" | "fusion" | "key",
    on: boolean,
    enabled = true,
    why = "",
  ): void {
    const made = this.toggles.get(name);
    if (!made) return;
    made.setAttribute("aria-pressed", String(on));
    made.disabled = !enabled;
    made.title = why || `${made.getAttribute("aria-label")}`;
  }

  layout(rows: number, columns: number): void {
    this.layouts.value = `${rows}×${columns}`;
  }

  /** Offer what fits the active viewport's images. */
  offer(modality: string, mode: "" | "planes" | "solid" | "fusion", presets: readonly Preset[]): void {
    this.slabs.hidden = mode !== "planes" && mode !== "fusion";
    this.solids.hidden = this.clips.hidden = mode !== "solid";
    this.fusion.hidden = mode !== "fusion";
    const offered = [modality, ...presets.map((each) => each.label)].join();
    if (offered === this.offered && mode === this.mode) return;
    [this.offered, this.mode] = [offered, mode];
    this.windows.replaceChildren(
      h("option", { value: "-1" }, "Window: as sent"),
      h("option", { value: "auto" }, "Auto (Shift+A)"),
    );
    presets.forEach((each, index) => {
      this.windows.append(h("option", { value: String(index) }, `${index + 1}  ${each.label}`));
    });
    this.solids.replaceChildren(
      ...(SOLID_PRESETS[modality] ?? []).map(([value, label]) => h("option", { value }, label)),
    );
  }

  window_(value: string): void {
    this.windows.value = value;
  }
}
