import { expect, it } from "vitest";
import { History } from "../src/history.ts";

function counter() {
  const history = new History();
  let value = 0;
  const set = (to: number) => {
    const before = value;
    value = to;
    history.push({
      name: `to ${to}`,
      undo: () => set(before), // a change of its own, which must be no step
      redo: () => set(to),
    });
  };
  return { history, set, value: () => value };
}

it("takes steps back and does them again in order", () => {
  const { history, set, value } = counter();
  for (const each of [1, 2, 3]) set(each);
  expect(history.undo()).toBe("to 3");
  expect(history.undo()).toBe("to 2");
  expect(value()).toBe(1);
  expect(history.redo()).toBe("to 2");
  expect(value()).toBe(2);
});

it("forgets what was taken back when something else is done", () => {
  const { history, set, value } = counter();
  set(1);
  set(2);
  history.undo();
  set(9);
  expect(history.redo()).toBeNull();
  history.undo();
  expect(value()).toBe(1);
});

it("has an end on both sides", () => {
  const { history, set } = counter();
  expect(history.undo()).toBeNull();
  expect(history.redo()).toBeNull();
  for (let each = 0; each < 300; each++) set(each);
  let steps = 0;
  while (history.undo() !== null) steps++;
  expect(steps).toBe(200);
});
