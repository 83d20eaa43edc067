// Which tool each mouse button, wheel and finger drives, in every viewport alike.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import { calibrated, cardiothoracicRatio, polygonStatistics, vertebraBelow } from "./anatomy.ts";
import { ENGINE_ID, pixelUnitOf } from "./engine.ts";
import { type Statistic, statisticsOf, told, TOOL_NAMES } from "./format.ts";
import { latticeOf } from "./layers.ts";
import { whenLeft } from "./life.ts";
import { type Mappings, STANDARD } from "./mappings.ts";
import { isShownAsPreview, wholeImage } from "./progressive.ts";
import { uptake } from "./uptake.ts";
import { countsPreview } from "./volumeloading.ts";

export const STACK_GROUP = "stacks";
/** Tools that listen to pointers themselves: the left button is none of the engine's while one is chosen. */
const OWN_TOOLS = new Set(["Brush", "Localiser"]);
const PLANES = "planes";
const SOLIDS = "solids";
const { MouseBindings } = tools.Enums;
const ToolGroupManager = tools.ToolGroupManager;

/** Heart and chest as two lines: drawn as the two lines of a Cobb angle, told as their ratio. */
class CardiothoracicRatioTool extends tools.CobbAngleTool {
  static override toolName = "CardiothoracicRatio";
}
/** Names of vertebrae: the first is asked for, those below follow from it. */
class SpineLabelTool extends tools.LabelTool {
  static override toolName = "SpineLabel";
}

const MOVING = [
  tools.WindowLevelTool,
  tools.PanTool,
  tools.ZoomTool,
  tools.StackScrollTool,
  tools.TrackballRotateTool,
  tools.MagnifyTool,
];
const MEASURING = [
  tools.LengthTool,
  tools.AngleTool,
  tools.CobbAngleTool,
  tools.BidirectionalTool,
  tools.EllipticalROITool,
  tools.RectangleROITool,
  tools.PlanarFreehandROITool,
  tools.ProbeTool,
  tools.ArrowAnnotateTool,
  tools.SplineROITool,
  CardiothoracicRatioTool,
  SpineLabelTool,
];
export const MEASURING_NAMES = Object.keys(TOOL_NAMES);
const PLANE_COLOURS = ["#ff6b6b", "#ffd166", "#06d6a0"];

export interface Drawn {
  label?: string;
  cachedStats?: Record<string, Record<string, unknown>>;
  handles?: { points?: core.Types.Point3[] };
  contour?: { polyline?: core.Types.Point3[]; closed?: boolean };
}

/** Where in the patient a drawing is. */
export const placesOf = (data: Drawn): core.Types.Point3[] => [
  ...(data.handles?.points ?? []),
  ...(data.contour?.polyline ?? []),
];

/** Factors of images whose lengths somebody calibrated: millimetres for one of what is measured, by image id. */
export const calibrations = new Map<string, number>();
whenLeft(() => calibrations.clear());

/** The numbers of a drawing: Cornerstone's, and ours where it has none. */
export function numbersOf(tool: string, data: Drawn, target: string): Statistic[] {
  const imageId = target.replace(/^imageId:/, "");
  if (tool === "SpineLabel") return [];
  if (tool === "CardiothoracicRatio") {
    const ratio = cardiothoracicRatio(data.handles?.points ?? []);
    return ratio === null ? [] : [{ name: "Ratio", value: ratio, unit: "" }];
  }
  const found = statisticsOf(tool, data.cachedStats?.[target]);
  const own = tool === "SplineROI" ? ofPolygon(imageId, data, found) : found;
  return calibrated(own, calibrations.get(imageId));
}

/** Cornerstone gives the area of a polygon only: its pixels are counted here. */
function ofPolygon(imageId: string, data: Drawn, found: Statistic[]): Statistic[] {
  const image = wholeImage(imageId);
  const outline = data.contour?.closed ? data.contour.polyline : undefined;
  const shown = core.getRenderingEngine(ENGINE_ID)?.getViewports() ?? [];
  const viewport = shown.find(
    (each) => each instanceof core.StackViewport && each.getCurrentImageId() === imageId,
  );
  const lattice = latticeOf(viewport as core.StackViewport | undefined);
  const values = image?.voxelManager?.getScalarData();
  if (!image || !outline || !lattice || !values || image.color) return found;
  const points = outline.map((each): [number, number] => {
    const [column = 0, row = 0] = lattice.worldToIndex(each);
    return [column + 0.5, row + 0.5];
  });
  const told = polygonStatistics(points, {
    rows: image.rows,
    columns: image.columns,
    at: (index) => values[index] ?? 0,
  });
  if (!told) return found;
  const unit = pixelUnitOf(imageId);
  return [
    ...found,
    { name: "Mean", value: told.mean, unit },
    { name: "SD", value: told.sd, unit },
    { name: "Min", value: told.min, unit },
    { name: "Max", value: told.max, unit },
  ];
}

/** What is written beside a drawing. A rectangle's tool names all that it is counted on, the others the one. */
const textLines = (tool: string) => (data: Drawn, targets: string | string[]) => {
  const [target = ""] = [targets].flat();
  const imageId = target.replace(/^imageId:/, "");
  const isPreview = isShownAsPreview(imageId) || countsPreview(target, placesOf(data));
  const lines = isPreview ? ["Preview"] : uptake.tell(numbersOf(tool, data, target), imageId).map(told);
  return data.label ? [data.label, ...lines] : lines;
};

export class ToolGroups {
  active = "WindowLevel";
  private mappings: Mappings = STANDARD;
  private readonly groups: tools.Types.IToolGroup[];
  private readonly memberOf = new Map<string, string>();

  constructor() {
    for (const each of [...MOVING, ...MEASURING, tools.ReferenceLinesTool, tools.CrosshairsTool])
      tools.addTool(each);
    // Text stays readable over bright bone and white mattresses.
    const { style } = tools.annotation.config;
    style.setDefaultToolStyles({
      ...style.getDefaultToolStyles(),
      global: {
        ...style.getDefaultToolStyles().global,
        textBoxBackground: "rgb(0 0 0 / 0.6)",
        textBoxFontSize: "13px",
      },
    });
    this.groups = [STACK_GROUP, PLANES, SOLIDS].map((name) => {
      const group = ToolGroupManager.createToolGroup(name);
      if (!group) throw new Error(`the tool group ${name} exists already`);
      return group;
    });
    for (const group of this.groups) this.fill(group);
    this.choose("WindowLevel");
  }

  private fill(group: tools.Types.IToolGroup): void {
    for (const each of MOVING) group.addTool(each.toolName);
    if (group.id === SOLIDS) return;
    for (const name of MEASURING_NAMES) {
      const callbacks = CALLBACKS[name] ?? { getTextLines: textLines(name) };
      group.addTool(
        name,
        name === "EllipticalROI" || name === "RectangleROI" || name === "PlanarFreehandROI"
          ? { ...callbacks, calculateStats: true }
          : callbacks,
      );
    }
    if (group.id === STACK_GROUP) group.addTool("ReferenceLines", { showFullDimension: true });
    if (group.id === PLANES) {
      group.addTool("Crosshairs", {
        getReferenceLineColor: (id: string) => PLANE_COLOURS[Number(id.split("-")[1]) % PLANE_COLOURS.length],
        getReferenceLineControllable: () => true,
        getReferenceLineDraggableRotatable: () => true,
        getReferenceLineSlabThicknessControlsOn: () => false,
      });
    }
  }

  /** Let the left button drive a tool; the others keep theirs. */
  choose(name: string): void {
    this.active = name;
    spine.next = null;
    for (const group of this.groups) {
      const solid = group.id === SOLIDS;
      const left = solid
        ? name === "Pan" || name === "Zoom"
          ? name
          : "TrackballRotate"
        : this.leftIn(group.id, name);
      const measuring = solid ? [] : MEASURING_NAMES;
      for (const each of measuring) if (each !== left) group.setToolPassive(each);
      for (const { toolName } of MOVING) {
        if (toolName !== left) group.setToolPassive(toolName, { removeAllBindings: true });
      }
      if (group.id === PLANES && left !== "Crosshairs") group.setToolDisabled("Crosshairs");
      for (const [tool, bindings] of this.bindings(solid)) group.setToolActive(tool, { bindings });
      if (!OWN_TOOLS.has(left))
        group.setToolActive(left, { bindings: [{ mouseButton: MouseBindings.Primary }] });
    }
  }

  /** Let other buttons, the wheel and several fingers do what the user wants. */
  map(mappings: Mappings): void {
    this.mappings = mappings;
    this.choose(this.active);
  }

  private bindings(solid: boolean): Map<string, tools.Types.IToolBinding[]> {
    const { middle, right, wheel, two, three } = this.mappings;
    const made = new Map<string, tools.Types.IToolBinding[]>();
    const bind = (tool: string, binding: tools.Types.IToolBinding) => {
      // A solid has no slices and no window: there these do nothing.
      const usable = solid && (tool === "StackScroll" || tool === "WindowLevel") ? null : tool;
      if (usable) made.set(usable, [...(made.get(usable) ?? []), binding]);
    };
    bind(middle, { mouseButton: MouseBindings.Auxiliary });
    bind(right, { mouseButton: MouseBindings.Secondary });
    bind(wheel, { mouseButton: MouseBindings.Wheel });
    bind(two, { numTouchPoints: 2 });
    bind(three, { numTouchPoints: 3 });
    return made;
  }

  private leftIn(group: string, name: string): string {
    return name === "Crosshairs" && group !== PLANES ? "WindowLevel" : name;
  }

  join(group: string, pane: string): void {
    this.memberOf.set(pane, group);
    ToolGroupManager.getToolGroup(group)?.addViewport(pane, ENGINE_ID);
  }

  leave(pane: string): void {
    const group = this.memberOf.get(pane);
    if (group) ToolGroupManager.getToolGroup(group)?.removeViewports(ENGINE_ID, pane);
    this.memberOf.delete(pane);
  }

  /** Draw in the other viewports where the image of `source` cuts through them; null: nowhere. */
  referenceLines(source: string | null): void {
    const group = ToolGroupManager.getToolGroup(STACK_GROUP);
    if (!group) return;
    if (source === null) group.setToolDisabled("ReferenceLines");
    else {
      group.setToolConfiguration("ReferenceLines", { sourceViewportId: source });
      group.setToolEnabled("ReferenceLines");
    }
  }
}

/** Text of an arrow, asked for in the page; an arrow without text stays an arrow. */
export const arrowText: { ask: (before: string, done: (text: string) => void) => void } = {
  ask: (_before, done) => done(""),
};
/** The vertebra that the next click names; null: it is asked for. */
export const spine: { next: string | null } = { next: null };
const askVertebra = (done: (label: string) => void): void => {
  const name = (label: string) => {
    spine.next = vertebraBelow(label);
    done(label.trim());
  };
  if (spine.next) name(spine.next);
  else arrowText.ask("", name);
};
const askText = (done: (text: string) => void): void => arrowText.ask("", (text) => done(text || " "));
const changeText = (
  data: { text?: string; data?: { text?: string } },
  _event: unknown,
  done: (text: string) => void,
): void => arrowText.ask(data.text ?? data.data?.text ?? "", done);

const CALLBACKS: Record<string, object> = {
  ArrowAnnotate: { getTextCallback: askText, changeTextCallback: changeText },
  SpineLabel: { getTextCallback: askVertebra, changeTextCallback: changeText },
  SplineROI: { getTextLines: textLines("SplineROI"), calculateStats: true, spline: { type: "LINEAR" } },
};
