// Lengths on a slide: lines over its tiles, at places of the finest level. They last as long as the slide is
// shown; nothing of them is kept.

import { type Level, told } from "./slide.ts";

type Point = readonly [number, number];

interface Ruler {
  from: Point; // columns and rows of the finest level
  to: Point;
  line: SVGLineElement;
  text: SVGTextElement;
}

const LEAST = 2; // pixels of the finest level: anything shorter was no drag
const RULERS_MAX = 50;

const made = <Name extends keyof SVGElementTagNameMap>(name: Name): SVGElementTagNameMap[Name] =>
  document.createElementNS("http://www.w3.org/2000/svg", name);

export class Rulers {
  readonly element = made("svg");
  active = false;
  private readonly rulers: Ruler[] = [];
  private drawn: Ruler | null = null;

  constructor(private readonly base: Level) {
    this.element.classList.add("rulers");
  }

  /** Whether a line follows the pointer. */
  get drawing(): boolean {
    return this.drawn !== null;
  }

  begin(at: Point): void {
    if (this.rulers.length >= RULERS_MAX) this.remove(this.rulers[0]);
    const ruler: Ruler = { from: at, to: at, line: made("line"), text: made("text") };
    this.element.append(ruler.line, ruler.text);
    this.rulers.push(ruler);
    this.drawn = ruler;
  }

  extend(at: Point): void {
    if (!this.drawn) return;
    this.drawn.to = at;
    this.drawn.text.textContent = told(this.base, this.drawn.from, at);
  }

  end(): void {
    const { drawn } = this;
    this.drawn = null;
    if (drawn && Math.hypot(drawn.to[0] - drawn.from[0], drawn.to[1] - drawn.from[1]) < LEAST)
      this.remove(drawn);
  }

  /** Take the latest line away; whether there was one. */
  removeLatest(): boolean {
    return this.remove(this.rulers[this.rulers.length - 1]);
  }

  private remove(ruler: Ruler | undefined): boolean {
    if (!ruler) return false;
    this.rulers.splice(this.rulers.indexOf(ruler), 1);
    ruler.line.remove();
    ruler.text.remove();
    return true;
  }

  /** Put the lines where their places are on the screen. */
  place(onScreen: (at: Point) => Point): void {
    for (const { from, to, line, text } of this.rulers) {
      const [x1, y1] = onScreen(from);
      const [x2, y2] = onScreen(to);
      for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, String(value));
      text.setAttribute("x", String(x2 + 8));
      text.setAttribute("y", String(y2 - 8));
    }
  }
}
