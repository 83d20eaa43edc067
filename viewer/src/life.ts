// How long things live that belong to the shown case. The page stays when its case is exchanged for another: who
// listens to the window, the document or the engine for a case stops with it.

let current = new AbortController();
const left = new Set<() => void>();

/** Ends when the shown case is left. */
export const caseLife = (): AbortSignal => current.signal;

/** Do this whenever a case is left: for what a module remembers of cases. */
export const whenLeft = (forget: () => void): void => void left.add(forget);

/** The shown case is left. */
export function endCase(): void {
  current.abort();
  current = new AbortController();
  for (const forget of left) forget();
}

interface Source {
  addEventListener(name: string, listener: (event: Event) => void): void;
  removeEventListener(name: string, listener: (event: Event) => void): void;
}

/** Listen until the case is left to what knows no signals: the engine's own events. */
export function listenForCase(source: Source, name: string, listener: (event: Event) => void): void {
  source.addEventListener(name, listener);
  caseLife().addEventListener("abort", () => source.removeEventListener(name, listener), { once: true });
}
