import { beforeEach, expect, it } from "vitest";
import script from "../../src/isocenter/gateways/web/static/reading.js?raw";
import { type Ground, type Keeper, Leaving, placeOf, Way } from "../src/leaving.ts";

const HERE = "/exams/A1/read";
const NEXT = new URL("http://ris.example/exams/A2/read");
const OTHER = new URL("http://ris.example/exams/A3/read");

type Step = () => unknown;

/** A page of the workspace in which somebody writes, its server, and the person who is asked. */
class Desk {
  readonly document = Object.assign(new EventTarget(), {
    getElementById: (id: string) => (this.elements as Record<string, unknown>)[id] ?? null,
    querySelector: () => null,
  });
  readonly text = Object.assign(new EventTarget(), { value: "" });
  readonly form = Object.assign(new EventTarget(), {
    dataset: { accession: "A1" } as Record<string, string>,
    elements: { report_id: { value: "R1" }, draft_revision: { value: "1" } },
  });
  readonly elements = { text: this.text, draft: this.form, "draft-state": { textContent: "" } };
  readonly questions: string[] = [];
  readonly kept: string[] = []; // by the server
  readonly visited: string[] = []; // by the browser itself
  readonly opened: string[] = []; // pages of cases that the server was asked for
  address = HERE;
  shown = HERE;
  answers: boolean[] = []; // of the person
  statuses: number[] = []; // of the server to drafts; 200 when there are none left
  onTheWay: Step[] = []; // what happens while the page of a case is on its way
  page: object | null = {};

  constructor({ addendum = false } = {}) {
    if (addendum) this.form.dataset = {};
    const events = new EventTarget();
    const given = {
      document: this.document,
      addEventListener: events.addEventListener.bind(events),
      fetch: async (_: string, { body }: { body: string }) => {
        const status = this.statuses.shift() ?? 200;
        const { text } = JSON.parse(body) as { text: string };
        if (status === 200) this.kept.push(text);
        return { ok: status === 200, status, json: async () => ({ report_id: "R1", draft_revision: 2 }) };
      },
      setTimeout: () => 0, // nothing is saved by itself here
      clearTimeout: () => undefined,
    };
    new Function(...Object.keys(given), script)(...Object.values(given));
  }

  confirm(question: string): boolean {
    this.questions.push(question);
    const answer = this.answers.shift();
    if (answer === undefined) throw new Error(`Nobody expected to be asked: ${question}`);
    return answer;
  }

  write(text: string): void {
    this.text.value = text;
    this.text.dispatchEvent(new Event("input"));
  }

  readonly way = new Way(this.ground(), HERE);

  private ground(): Ground {
    return {
      address: () => this.address,
      push: (place) => {
        this.address = placeOf(new URL(place, NEXT));
      },
      assign: (place) => void this.visited.push(placeOf(place)),
      exchangeable: () => true,
      leaving: () => {
        const keepers: Keeper[] = [];
        this.document.dispatchEvent(new CustomEvent("isocenter:leaving", { detail: { keepers } }));
        return new Leaving(keepers, (question) => this.confirm(question));
      },
      fetch: async (place) => {
        this.opened.push(placeOf(place));
        this.onTheWay.shift()?.();
        return this.page as Document | null;
      },
      exchange: (place) => {
        this.shown = placeOf(place);
        this.document.dispatchEvent(new CustomEvent("isocenter:case"));
        this.text.value = "";
      },
      stayed: () => undefined,
    };
  }

  next(place = NEXT): Promise<void> {
    return this.way.go({ place, pushed: true });
  }

  back(place = NEXT): Promise<void> {
    this.address = placeOf(place); // the browser has gone there already
    return this.way.go({ place, pushed: false });
  }
}

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});

it("keeps what is written before the case is left, and what is written while the next one comes", async () => {
  desk.write("Normal.");
  desk.onTheWay = [() => desk.write("Normal. No fracture.")];
  await desk.next();
  expect(desk.kept).toEqual(["Normal.", "Normal. No fracture."]);
  expect([desk.shown, desk.address]).toEqual([placeOf(NEXT), placeOf(NEXT)]);
});

it.each([409, 500])("asks when the second save is answered %i, and stays when told no", async (status) => {
  desk.write("Normal.");
  desk.onTheWay = [() => desk.write("Normal. No fracture.")];
  desk.statuses = [200, status];
  desk.answers = [false];
  await desk.next();
  expect(desk.questions).toEqual(["What you have written is not saved. Leave this case all the same?"]);
  expect([desk.shown, desk.address, desk.text.value]).toEqual([HERE, HERE, "Normal. No fracture."]);
});

it("leaves text behind when somebody agrees, and asks about the same text once", async () => {
  desk.write("Normal.");
  desk.statuses = [500, 500];
  desk.answers = [true];
  await desk.next();
  expect(desk.questions).toHaveLength(1);
  expect(desk.shown).toBe(placeOf(NEXT));
});

it("asks again about other text than that which somebody agreed to lose", async () => {
  desk.write("Normal.");
  desk.onTheWay = [() => desk.write("Fracture of the hip.")];
  desk.statuses = [500, 500];
  desk.answers = [true, false];
  await desk.next();
  expect(desk.questions).toHaveLength(2);
  expect([desk.shown, desk.text.value]).toEqual([HERE, "Fracture of the hip."]);
});

it("asks about an addendum that was begun while the next case came", async () => {
  desk = new Desk({ addendum: true });
  desk.onTheWay = [() => desk.write("Addendum: see the prior.")];
  desk.answers = [false];
  await desk.next();
  expect([desk.shown, desk.text.value, desk.kept.length]).toEqual([HERE, "Addendum: see the prior.", 0]);
});

it("puts the address right when the browser has gone back and the answer is no", async () => {
  desk.write("Normal.");
  desk.statuses = [500];
  desk.answers = [false];
  await desk.back();
  expect([desk.shown, desk.address, desk.text.value, desk.opened]).toEqual([HERE, HERE, "Normal.", []]);
});

it("goes nowhere when somebody goes back and forward again", async () => {
  desk.onTheWay = [() => void desk.back(new URL(HERE, NEXT))];
  await desk.back();
  expect([desk.shown, desk.address]).toEqual([HERE, HERE]);
});

it("opens the case that was asked for last, and one that was asked for twice once", async () => {
  desk.onTheWay = [() => void desk.next(), undefined as never];
  await desk.next();
  expect(desk.opened).toEqual([placeOf(NEXT)]);
  desk = new Desk();
  desk.onTheWay = [() => void desk.next(OTHER)];
  await desk.next();
  expect([desk.shown, desk.address]).toEqual([placeOf(OTHER), placeOf(OTHER)]);
});

it("goes nowhere else either when somebody stays", async () => {
  desk.write("Normal.");
  desk.onTheWay = [() => desk.write("Normal. Hm.")];
  desk.statuses = [200, 500];
  const told = desk.next();
  desk.answers = [false];
  await told;
  expect([desk.shown, desk.address]).toEqual([HERE, HERE]);
});

it("leaves to the browser what the server does not give, from the address of what is shown", async () => {
  desk.page = null;
  await desk.back();
  expect([desk.visited, desk.address, desk.shown]).toEqual([[placeOf(NEXT)], HERE, HERE]);
});
