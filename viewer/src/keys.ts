// The keyboard. Keys are commands only while nobody writes and no dialog is open.

import { isWriting } from "./dom.ts";
import { showExport } from "./export.ts";
import { editHanging } from "./hangingeditor.ts";
import { copyLink } from "./launch.ts";
import { caseLife } from "./life.ts";
import { standardKey } from "./mappings.ts";
import { openTab } from "./side.ts";
import { POINTING_NAMES, TOOL_KEYS } from "./toolbar.ts";
import type { Windows } from "./windows.ts";
import type { Workspace } from "./workspace.ts";

const STEPS: Record<string, number> = {
  ArrowDown: 1,
  ArrowRight: 1,
  ArrowUp: -1,
  ArrowLeft: -1,
  PageDown: 10,
  PageUp: -10,
};

export function listenToKeys(workspace: Workspace, windows: Windows, goNext: () => void): void {
  const commands: Record<string, () => void> = {
    "[": () => workspace.stepSeries(-1),
    "]": () => workspace.stepSeries(1),
    i: () => workspace.invert(),
    x: () => workspace.flip("flipHorizontal"),
    y: () => workspace.flip("flipVertical"),
    ".": () => workspace.rotate(),
    f: () => workspace.fit(),
    R: () => workspace.reset(),
    A: () => workspace.auto(),
    m: () => void workspace.planes(),
    v: () => void workspace.solid(),
    q: () => workspace.compareBest(),
    F: () => void workspace.fuse(),
    g: () => workspace.keyImage(),
    G: () => workspace.saveView(),
    S: () => void workspace.archive(),
    k: () => workspace.link(),
    K: () => workspace.together(),
    "\\": () => workspace.side(),
    " ": () => workspace.cine(),
    Delete: () => workspace.deleteChosen(),
    Backspace: () => workspace.deleteChosen(),
    Home: () => void workspace.grid.active?.go(0),
    End: () => void workspace.grid.active?.go(Number.MAX_SAFE_INTEGER),
    r: () => {
      openTab("report");
      document.getElementById("text")?.focus();
    },
    N: () => {
      if (!windows.goNext()) goNext();
    },
    ">": () => void workspace.stage(1),
    "<": () => void workspace.stage(-1),
    E: () => showExport(workspace),
    H: () => void editHanging(workspace),
    W: () => void windows.open(),
    Q: () => windows.closeOthers(),
    D: () => void copyLink(workspace),
  };
  document.addEventListener(
    "keydown",
    (event) => {
      const { target } = event;
      const combined = event.ctrlKey || event.metaKey; // these stay what they are
      const key = combined ? event.key : standardKey(workspace.mappings, event.key);
      if (document.querySelector("dialog[open]")) return;
      if (key === "Escape" && isWriting(target)) {
        workspace.grid.active?.element.focus();
        event.preventDefault();
        return;
      }
      if (isWriting(target) || event.altKey) return;
      if (combined) {
        const again = key === "y" || key === "Z" || (key === "z" && event.shiftKey);
        if (!again && key !== "z") return;
        workspace.step(again);
        event.preventDefault();
        return;
      }
      const onButton = target instanceof HTMLElement && target.matches("button, a, input, summary");
      if (
        onButton &&
        (key === " " || key === "Enter" || (key in STEPS && target.matches("input, [role=tab]")))
      )
        return;
      const step = STEPS[key];
      const tool = TOOL_KEYS.get(key);
      const command = commands[key];
      if (step !== undefined) workspace.grid.active?.scroll(step);
      else if (/^[0-9]$/.test(key)) workspace.preset(Number(key) - 1);
      else if (tool && (workspace.facts.may_measure || POINTING_NAMES.has(tool))) workspace.tool(tool);
      else if (command) command();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    { capture: true, signal: caseLife() },
  );
}
