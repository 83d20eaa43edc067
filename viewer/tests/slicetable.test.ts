import { expect, test } from "vitest";
import { enlarged } from "../src/enlarge.ts";
import { SliceTable } from "../src/slicetable.ts";

const PREVIEW = 6;
const WHOLE = 8;

/** How a promise stands, once all that is due has happened. */
async function state(promise: Promise<void>): Promise<string> {
  const waiting = new Promise<string>((resolve) => setTimeout(() => resolve("waiting")));
  return Promise.race([promise.then(() => "done").catch((error: Error) => error.message), waiting]);
}

test("a volume is drawn when something of every slice is there, and complete when all of each is", async () => {
  const table = new SliceTable(3);
  table.take([PREVIEW, undefined, WHOLE]);
  expect([table.there, table.whole]).toEqual([2, 1]);
  expect(await state(table.coarse)).toBe("waiting");
  table.take([PREVIEW, PREVIEW, WHOLE]);
  expect(await state(table.coarse)).toBe("done");
  expect(await state(table.complete)).toBe("waiting");
  table.take([WHOLE, WHOLE, WHOLE]);
  expect(await state(table.complete)).toBe("done");
});

test("a slice never becomes worse, and none is counted twice", () => {
  const table = new SliceTable(2);
  table.take([WHOLE, PREVIEW]);
  table.take([PREVIEW, undefined]);
  expect([table.there, table.whole]).toEqual([2, 1]);
  expect(table.isUnfinished([0])).toBe(false);
});

test("what is missing at the end makes no volume; what came before is no reason to keep it", async () => {
  const [empty, coarse, complete] = [new SliceTable(2), new SliceTable(2), new SliceTable(2)];
  empty.take([WHOLE, undefined]);
  coarse.take([PREVIEW, WHOLE]);
  complete.take([WHOLE, WHOLE]);
  for (const each of [empty, coarse, complete]) each.end("A slice is missing.");
  expect(await state(empty.coarse)).toBe("A slice is missing.");
  expect(await state(coarse.coarse)).toBe("done");
  expect(await state(coarse.complete)).toBe("A slice is missing.");
  expect(await state(complete.complete)).toBe("done");
});

test("numbers wait for the slices that they are made from, and for no others", () => {
  const table = new SliceTable(10);
  table.take(Array.from({ length: 10 }, (_, at) => (at === 6 ? PREVIEW : WHOLE)));
  expect(table.isUnfinished([2])).toBe(false);
  expect(table.isUnfinished([6])).toBe(true);
  expect(table.isUnfinished([5.5])).toBe(true); // between two slices both count
  expect(table.isUnfinished([5])).toBe(false);
  expect(table.isUnfinished([7, 9])).toBe(true); // an ellipse between these reaches to 6.6
  expect(table.isUnfinished([8, 9])).toBe(false);
  expect(table.isUnfinished([0, 9])).toBe(true);
  expect(table.isUnfinished([-30, -20])).toBe(false); // beside the volume
});

test("a drawing of which nobody knows where it is waits for all", () => {
  const table = new SliceTable(2);
  table.take([WHOLE, PREVIEW]);
  expect(table.isUnfinished([])).toBe(true);
  expect(table.isUnfinished([Number.NaN])).toBe(true);
  table.take([WHOLE, WHOLE]);
  expect(table.isUnfinished([])).toBe(false);
});

test("a preview has the size of its image, and its values stand where they were taken", () => {
  const small = Int16Array.of(-1000, -1000, 3000, 0, 8, 400);
  const made = enlarged(small, { columns: 3, rows: 2 }, { columns: 10, rows: 8 });
  expect(made).toBeInstanceOf(Int16Array);
  expect([...made.subarray(0, 10)]).toEqual([-1000, -1000, -1000, -1000, -1000, 0, 1000, 2000, 3000, 3000]);
  const column = Array.from({ length: 8 }, (_, row) => made[10 * row]);
  expect(column).toEqual([-1000, -750, -500, -250, 0, 0, 0, 0]);
  const whole = Uint16Array.of(1, 2, 3, 4);
  expect(enlarged(whole, { columns: 2, rows: 2 }, { columns: 2, rows: 2 })).toBe(whole);
});
