import { expect, it } from "vitest";
import { Keeping } from "../src/keeping.ts";

/** A server that takes things only when it is told to, and notes in what order they come. */
function server() {
  const asked: string[] = [];
  const answers: { id: string; take: () => void; refuse: (why: string) => void }[] = [];
  const keeping = new Keeping(
    (id) => {
      asked.push(id);
      return new Promise((resolve, reject) =>
        answers.push({ id, take: () => resolve(), refuse: (why) => reject(new Error(why)) }),
      );
    },
    () => undefined,
  );
  return { asked, answers, keeping };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

it("sends of one thing one state after the other", async () => {
  const { asked, answers, keeping } = server();
  void keeping.now("a");
  const last = keeping.now("a");
  await settled();
  expect(asked).toEqual(["a"]); // the second waits for the first
  answers[0]?.take();
  await settled();
  expect(asked).toEqual(["a", "a"]);
  expect(keeping.unkept).toEqual(["a"]);
  answers[1]?.take();
  await last;
  expect(keeping.unkept).toEqual([]);
});

it("knows what failed until just that succeeds", async () => {
  const { answers, keeping } = server();
  const first = [keeping.now("a"), keeping.now("b")];
  await settled();
  answers[0]?.refuse("The server answered 500.");
  answers[1]?.take();
  await Promise.all(first);
  expect(keeping.unkept).toEqual(["a"]);
  expect(keeping.error).toBe("The server answered 500.");
  const again = keeping.settle();
  await settled();
  expect(answers[2]?.id).toBe("a");
  answers[2]?.take();
  await again;
  expect(keeping.unkept).toEqual([]);
  expect(keeping.error).toBe("");
});

it("sends what waits when it is to be settled, once", async () => {
  const { asked, answers, keeping } = server();
  keeping.soon("a", 3_600_000);
  expect(keeping.unkept).toEqual(["a"]);
  const done = keeping.settle();
  await settled();
  expect(asked).toEqual(["a"]);
  answers[0]?.take();
  await done;
  expect(keeping.unkept).toEqual([]);
});
