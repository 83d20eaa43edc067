// In which standardised uptake values PET is told: by body weight, lean body mass or body surface. Voxels and what
// is kept of measurements stay by body weight; what is written on the page is turned into the chosen kind, and
// stays by body weight, saying so, where the patient's size or sex do not allow it.

import { h } from "./dom.ts";
import { uptakeOfImage } from "./engine.ts";
import type { Statistic } from "./format.ts";
import { inKind, perBodyWeight, SUV_UNITS, type SuvKind } from "./suv.ts";

const KINDS: [SuvKind, string][] = [
  ["bw", "SUV by body weight"],
  ["lbm", "SUV by lean body mass"],
  ["bsa", "SUV by body surface"],
];

class ShownUptake extends EventTarget {
  kind: SuvKind = "bw";

  choose(kind: SuvKind): void {
    this.kind = kind;
    this.dispatchEvent(new Event("change"));
  }

  /** Why an image's values cannot be told in a kind; empty when they can. */
  refusal(imageId: string, kind: SuvKind): string {
    return kind === "bw" ? "" : (uptakeOfImage(imageId)?.why[kind] ?? "");
  }

  /** What one SUVbw of an image is in what is shown; 1 where there is none. */
  ratio(imageId: string): number {
    const uptake = uptakeOfImage(imageId);
    return (uptake && perBodyWeight(uptake, this.kind)) ?? 1;
  }

  tell(statistics: readonly Statistic[], imageId: string): Statistic[] {
    const uptake = uptakeOfImage(imageId);
    return uptake ? inKind(statistics, uptake, this.kind) : [...statistics];
  }

  /** The unit in which an image's values are told, for the overlay. */
  unit(imageId: string): string {
    const uptake = uptakeOfImage(imageId);
    if (!uptake) return "";
    return SUV_UNITS[perBodyWeight(uptake, this.kind) === null ? "bw" : this.kind].split(" ")[0] ?? "";
  }
}

export const uptake = new ShownUptake();

/** The choice among the kinds; `offer` shows it where the image has SUV, with reasons where a kind is impossible. */
export function uptakePicker(chosen: (kind: SuvKind) => void): {
  element: HTMLSelectElement;
  offer(imageId: string | null): void;
} {
  const element = h("select", { "aria-label": "Uptake", hidden: true });
  for (const [value, label] of KINDS) element.append(h("option", { value }, label));
  element.addEventListener("change", () => chosen(element.value as SuvKind));
  const offer = (imageId: string | null) => {
    element.hidden = imageId === null;
    if (imageId === null) return;
    element.value = uptake.kind;
    const reasons = KINDS.map(([kind], at) => {
      const why = uptake.refusal(imageId, kind);
      const option = element.options[at];
      if (option) option.disabled = Boolean(why);
      if (option) option.title = why;
      return why;
    });
    element.title = [...new Set(reasons.filter(Boolean))].join(" ") || "In which uptake values PET is told";
  };
  return { element, offer };
}
