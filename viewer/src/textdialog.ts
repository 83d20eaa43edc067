// Asks for a short text in a dialog of the page.

import { h } from "./dom.ts";

/** Ask for a short text; an empty answer keeps what was there. */
export function askForText(
  before: string,
  done: (text: string) => void,
  what = "Text beside the image",
): void {
  const input = h("input", { value: before.trim(), maxlength: 200, "aria-label": what });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, what),
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
