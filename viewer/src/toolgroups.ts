// Which tool each mouse button, wheel and finger drives, in every viewport alike.

import * as tools from "@cornerstonejs/tools";
import { ENGINE_ID } from "./engine.ts";
import { statisticsOf, told, TOOL_NAMES } from "./format.ts";

export const STACK_GROUP = "stacks";
const PLANES = "planes";
const SOLIDS = "solids";
const { MouseBindings } = tools.Enums;
const { ToolGroupManager } = tools;

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
];
export const MEASURING_NAMES = Object.keys(TOOL_NAMES);
const PLANE_COLOURS = ["#ff6b6b", "#ffd166", "#06d6a0"];

type Stats = { label?: string; cachedStats: Record<string, Record<string, unknown>> };

const textLines = (tool: string) => (data: Stats, target: string) => {
  const lines = statisticsOf(tool, data.cachedStats[target]).map(told);
  return data.label ? [data.label, ...lines] : lines;
};

export class ToolGroups {
  active = "WindowLevel";
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
      const callbacks =
        name === "ArrowAnnotate"
          ? { getTextCallback: askText, changeTextCallback: changeText }
          : { getTextLines: textLines(name) };
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
      group.setToolActive("Pan", { bindings: [{ mouseButton: MouseBindings.Auxiliary }] });
      group.setToolActive("Zoom", {
        bindings: [{ mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }],
      });
      if (!solid)
        group.setToolActive("StackScroll", {
          bindings: [{ mouseButton: MouseBindings.Wheel }, { numTouchPoints: 3 }],
        });
      group.setToolActive(left, { bindings: [{ mouseButton: MouseBindings.Primary }] });
    }
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
const askText = (done: (text: string) => void): void => arrowText.ask("", (text) => done(text || " "));
const changeText = (
  data: { text?: string; data?: { text?: string } },
  _event: unknown,
  done: (text: string) => void,
): void => arrowText.ask(data.text ?? data.data?.text ?? "", done);
