// What can be taken back: one line of time for measurements and for how images are shown.

export interface Step {
  name: string; // what was done, in words
  undo(): void;
  redo(): void;
}

const STEPS_MAX = 200;

export class History {
  private done: Step[] = [];
  private undone: Step[] = [];
  private walking = false;

  /** Remember what was just done. What happens while something is taken back is no step of its own. */
  push(step: Step): void {
    if (this.walking) return;
    this.done.push(step);
    if (this.done.length > STEPS_MAX) this.done.shift();
    this.undone = [];
  }

  /** Take the latest step back; gives its name, or null when there is none. */
  undo(): string | null {
    return this.walk(this.done, this.undone, (step) => step.undo());
  }

  redo(): string | null {
    return this.walk(this.undone, this.done, (step) => step.redo());
  }

  private walk(from: Step[], to: Step[], go: (step: Step) => void): string | null {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    this.walking = true;
    try {
      go(step);
    } finally {
      this.walking = false;
    }
    return step.name;
  }
}
