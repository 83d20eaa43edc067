// The dialog in which a user says what keys, mouse buttons and fingers do. Kept by the server for the user.

import { h } from "./dom.ts";
import { assigned, DRIVES, GESTURES, keyFor, type Mappings, STANDARD } from "./mappings.ts";
import { TOOL_KEYS, toolLabel } from "./toolbar.ts";

// What keys do besides choosing tools. Digits, arrows and Escape stay what they are.
const COMMANDS: [string, string][] = [
  ["[", "Previous series"],
  ["]", "Next series"],
  ["i", "Invert"],
  ["x", "Flip"],
  ["y", "Flip upside down"],
  [".", "Rotate"],
  ["f", "Fit"],
  ["R", "Reset"],
  ["A", "Window by the image itself"],
  ["m", "Reformatted planes"],
  ["v", "Volume rendering"],
  ["F", "PET over CT"],
  ["g", "Key image"],
  ["G", "Save this view"],
  ["S", "Save to archive"],
  ["k", "Link scrolling"],
  ["K", "Same window and zoom"],
  ["q", "Compare with the prior"],
  [" ", "Play, stop"],
  ["\\", "Panel beside the images"],
  ["r", "To the report"],
  ["N", "Next case"],
];
const FIXED = /^([0-9]|Arrow.*|Page.*|Home|End|Escape|Enter|Tab|Shift|Control|Alt|Meta|Dead|\?|u)$/;

const shown = (key: string): string =>
  key === " " ? "Space" : /^[A-Z]$/.test(key) ? `Shift ${key}` : key || "none";

/** Let the user change the mappings; `keep` is called with each change. */
export function editMappings(before: Mappings, keep: (mappings: Mappings) => void): void {
  let now = before;
  const said = h("p", { class: "quiet small", role: "status" });
  const body = h("tbody");
  const actions: [string, string][] = [
    ...[...TOOL_KEYS].map(([key, name]): [string, string] => [key, toolLabel(name)]),
    ...COMMANDS,
  ];
  const change = (next: Mappings, words: string) => {
    now = next;
    said.textContent = words;
    keep(now);
    render();
  };
  const ask = (standard: string, label: string, button: HTMLButtonElement) => {
    button.textContent = "Press a key…";
    const take = (event: KeyboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      dialog.removeEventListener("keydown", take, true);
      if (event.key === "Escape") return render();
      if (FIXED.test(event.key) || event.ctrlKey || event.altKey || event.metaKey) {
        said.textContent = `${shown(event.key)} cannot be given away.`;
        return render();
      }
      const taken = actions.find(([each]) => each !== standard && keyFor(now, each) === event.key);
      change(
        assigned(now, standard, event.key),
        taken
          ? `${label}: ${shown(event.key)}. ${taken[1]} has no key now.`
          : `${label}: ${shown(event.key)}.`,
      );
    };
    dialog.addEventListener("keydown", take, true);
  };
  const render = () => {
    body.replaceChildren(
      ...actions.map(([standard, label]) => {
        const key = h("button", { type: "button", class: "small" }, shown(keyFor(now, standard)));
        key.setAttribute("aria-label", `Key of ${label}`);
        key.addEventListener("click", () => ask(standard, label, key));
        return h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, key));
      }),
    );
  };
  const gestures = GESTURES.map(([name, label, drives]) => {
    const choice = h("select", { "aria-label": label });
    for (const [value, words] of DRIVES)
      if (drives.includes(value)) choice.append(h("option", { value }, words));
    choice.value = now[name];
    choice.addEventListener("change", () => change({ ...now, [name]: choice.value }, `${label} is changed.`));
    return { name, choice, row: h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, choice)) };
  });
  const standard = h("button", { type: "button" }, "Back to the standard");
  standard.addEventListener("click", () => {
    for (const each of gestures) each.choice.value = STANDARD[each.name];
    change({ ...STANDARD, keys: {} }, "All is as delivered.");
  });
  const dialog = h(
    "dialog",
    { class: "mappings", "aria-label": "Keys and buttons" },
    h("h2", {}, "Keys and buttons"),
    h(
      "p",
      { class: "quiet small" },
      "The left button and one finger do what the chosen tool says. Kept for you.",
    ),
    h("table", {}, h("tbody", {}, ...gestures.map((each) => each.row)), body),
    said,
    h("form", { method: "dialog", class: "row" }, standard, h("button", { class: "primary" }, "Done")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  render();
  document.body.append(dialog);
  dialog.showModal();
}
