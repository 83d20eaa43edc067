// Changes of measurements as steps that can be taken back.

import type { History } from "./history.ts";
import { caseLife } from "./life.ts";
import type { Known } from "./records.ts";

const MERGED_WITHIN_MS = 1000;

export class Steps {
  private latest: { id: string; at: number; after: Known | null } | null = null;
  private dragging = false;

  /** @param put makes a measurement what it was; null: gone */
  constructor(
    private readonly history: History,
    private readonly put: (id: string, wanted: Known | null) => void,
  ) {
    const whole = { capture: true, signal: caseLife() };
    const drags = (dragging: boolean) => () => {
      this.dragging = dragging;
    };
    addEventListener("pointerdown", drags(true), whole);
    addEventListener("pointerup", drags(false), whole);
  }

  /** What follows is a step of its own. */
  end(): void {
    this.latest = null;
  }

  /** Numbers that follow from what was drawn are no step of their own: they belong to the drawing. */
  counted(id: string, after: Known): void {
    if (this.latest?.id === id && this.latest.after) this.latest.after = after;
  }

  /** A drag is many changes and one step: so is what follows within a second on the same. */
  remember(id: string, before: Known | null, after: Known | null): void {
    const now = performance.now();
    const { latest } = this;
    const together = this.dragging || (latest && now - latest.at < MERGED_WITHIN_MS);
    if (latest && latest.id === id && after && latest.after && together) {
      latest.at = now;
      latest.after = after;
      return;
    }
    const step = { id, at: now, after };
    this.latest = step;
    const verb = before === null ? "Drawing" : after === null ? "Deletion" : "Change";
    this.history.push({
      name: `${verb} of a measurement`,
      undo: () => this.put(id, before),
      redo: () => this.put(id, step.after),
    });
  }
}
