// The menu of a viewport: by a long press of a finger, a click of the right button without a drag, or the menu key.

import { h } from "./dom.ts";
import { caseLife } from "./life.ts";

const LONG_PRESS_MS = 550;
const STILL_PX = 8;

export interface MenuItem {
  label: string;
  run(): void;
}

/** Listen on the viewports; `items` says what is offered there, `opening` is called before it is shown. */
export function listenForMenu(host: HTMLElement, items: () => MenuItem[], opening: () => void): void {
  let began: { x: number; y: number; right: boolean; timer: number } | null = null;
  const whole = { capture: true, signal: caseLife() };
  const end = () => {
    clearTimeout(began?.timer);
    began = null;
  };
  const open = (x: number, y: number) => {
    end();
    opening();
    showMenu(x, y, items());
  };
  host.addEventListener(
    "pointerdown",
    (event) => {
      const other = began !== null; // another finger: no press of one
      end();
      if (other || !(event.target instanceof Element) || !event.target.closest(".pane .canvas")) return;
      const { clientX: x, clientY: y, pointerType, button } = event;
      const timer = pointerType === "touch" ? window.setTimeout(() => open(x, y), LONG_PRESS_MS) : 0;
      began = { x, y, right: button === 2, timer };
    },
    true,
  );
  host.addEventListener(
    "pointermove",
    (event) => {
      if (began && Math.hypot(event.clientX - began.x, event.clientY - began.y) > STILL_PX) end();
    },
    true,
  );
  addEventListener(
    "pointerup",
    (event) => {
      if (began?.right && event.button === 2) open(began.x, began.y);
      else end();
    },
    whole,
  );
  addEventListener("pointercancel", end, whole);
  host.addEventListener("keydown", (event) => {
    if (event.key !== "ContextMenu" && !(event.key === "F10" && event.shiftKey)) return;
    event.preventDefault();
    const box = (event.target as Element).getBoundingClientRect();
    open(box.x + box.width / 2, box.y + box.height / 2);
  });
}

function showMenu(x: number, y: number, items: readonly MenuItem[]): void {
  document.querySelector(".pane-menu")?.remove();
  const before = document.activeElement;
  const close = () => {
    menu.remove();
    removeEventListener("pointerdown", outside, true);
    if (before instanceof HTMLElement) before.focus();
  };
  const outside = (event: PointerEvent) => {
    if (!menu.contains(event.target as Node)) close();
  };
  const buttons = items.map((each) =>
    h(
      "button",
      {
        type: "button",
        role: "menuitem",
        onclick: () => {
          close();
          each.run();
        },
      },
      each.label,
    ),
  );
  const menu = h("div", { class: "pane-menu", role: "menu", "aria-label": "Image" }, ...buttons);
  menu.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) buttons[(at + step + buttons.length) % buttons.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
  });
  document.body.append(menu);
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(0, Math.min(x, innerWidth - width - 4))}px`;
  menu.style.top = `${Math.max(0, Math.min(y, innerHeight - height - 4))}px`;
  buttons[0]?.focus();
  addEventListener("pointerdown", outside, true);
}
