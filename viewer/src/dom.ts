// Elements made in one expression.

type Properties = Record<string, string | number | boolean | undefined | ((event: never) => void)>;

/** An element with attributes (`class`, `aria-label`…), listeners (`onclick`…) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Properties = {},
  ...children: (Node | string | null | undefined)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key.slice(2), value as EventListener);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((each): each is Node | string => each !== null && each !== undefined));
  return made;
}

/** The element with this id, which the page has. */
export function the<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** Whether somebody is writing, so that keys are letters and not commands.
 * A dialog that was just closed keeps the focus until the page is drawn again: nobody writes there. */
export function isWriting(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.matches("textarea, select, input:not([type=range]), [contenteditable]") &&
    !target.closest("dialog:not([open])")
  );
}
