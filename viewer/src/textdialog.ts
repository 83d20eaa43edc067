// Asks for a short text in a dialog of the page.

import { h } from "./dom.ts";

/** Ask for the text beside an arrow; an empty answer keeps what was there. */
export function askForText(before: string, done: (text: string) => void): void {
  const input = h("input", { value: before.trim(), maxlength: 200, "aria-label": "Text beside the arrow" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, "Text beside the arrow"),
    input,
    h("div", { class: "row" }, h("button", { class: "primary", value: "ok" }, "Done")),
  );
  const dialog = h("dialog", {}, form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    done(input.value.trim() || before);
  });
  document.body.append(dialog);
  dialog.showModal();
}
