// The buttons for what reaches beyond this page: other windows, export, links, hanging protocols.

import "./outside.css";
import type { Workspace } from "./workspace.ts";
import { h } from "./dom.ts";
import { showExport } from "./export.ts";
import { editHanging } from "./hangingeditor.ts";
import { copyLink } from "./launch.ts";
import type { Windows } from "./windows.ts";

function glyph(path: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", class: "glyph", "aria-hidden": "true" }))
    svg.setAttribute(name, value);
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}

export function offerOutside(workspace: Workspace, windows: Windows): void {
  const button = (label: string, key: string, path: string, onclick: () => void) =>
    h(
      "button",
      { type: "button", class: "tool", title: `${label} (${key})`, "aria-label": label, onclick },
      glyph(path),
    );
  workspace.controls(
    h(
      "span",
      { class: "group outside", role: "group", "aria-label": "Beyond this page" },
      button(
        "Hanging protocols",
        "Shift+H",
        "M2 2h12v12H2zM8 2v12M2 8h6M5 4v2M4 5h2",
        () => void editHanging(workspace),
      ),
      button("Another window", "Shift+W", "M1 3h9v7H1zM6 12h9V6h-3M4 14h8", () => void windows.open()),
      button(
        "Copy the address",
        "Shift+D",
        "M6 9l4-4M7 4l1.500-1.500a3 3 0 0 1 4.500 4.500L11.500 8.500M9 12l-1.500 1.500a3 3 0 0 1-4.500-4.500L4.500 7.500",
        () => void copyLink(workspace),
      ),
      button("Export", "Shift+E", "M8 1v9M5 4l3-3 3 3M3 8v6h10V8", () => showExport(workspace)),
    ),
  );
}
