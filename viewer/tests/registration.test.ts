// Against numpy: A = T(12.5, -30, 101.25) Rx(7°) Rz(-12°), B1 = T(-4, 8, 15), B2 = Ry(9°).
import { describe, expect, it } from "vitest";
import type { DicomJson } from "../src/dicom.ts";
import { mapped, type Matrix, placed, Registrations, turned } from "../src/registration.ts";

const A = [
  0.9781476007338057, 0.20791169081775934, 0, 12.5, -0.20636194860240742, 0.9708566368455311,
  -0.12186934340514748, -30, -0.02533806124621436, 0.11920620585474925, 0.992546151641322, 101.25, 0, 0, 0, 1,
];
const B1 = [1, 0, 0, -4, 0, 1, 0, 8, 0, 0, 1, 15, 0, 0, 0, 1];
const B2 = [
  0.9876883405951378, 0, 0.15643446504023087, 0, 0, 1, 0, 0, -0.15643446504023087, 0, 0.9876883405951378, 0,
  0, 0, 0, 1,
];
const POINT = [31.5, -47.25, 812] as const;

const sq = (...Value: DicomJson[]) => ({ vr: "SQ", Value });
const ui = (uid: string) => ({ vr: "UI", Value: [uid] });

/** A registration object: what each frame of reference needs to lie in that of the object. */
function registration(to: string, ...given: [string, ...number[][]][]): DicomJson {
  return {
    "00200052": ui(to),
    "00700308": sq(
      ...given.map(([from, ...matrices]) => ({
        "00200052": ui(from),
        "00700309": sq({
          "0070030A": sq(...matrices.map((Value) => ({ "300600C6": { vr: "DS", Value } }))),
        }),
      })),
    ),
  };
}
function near(found: readonly number[] | null, wanted: readonly number[]) {
  expect(found).toHaveLength(wanted.length);
  found?.forEach((each, index) => expect(each).toBeCloseTo(wanted[index] as number, 9));
}
const through = (m: Matrix | null, point = POINT) => m && mapped(m, point);

describe("registrations", () => {
  const known = new Registrations();
  known.add(registration("ct", ["ct", B1], ["pet", A]));
  known.add(registration("ct", ["mr", B1, B2]));

  it("lead from the registered images to the frame of the object, and back", () => {
    near(through(known.between("pet", "ct")), [33.48782203197575, -181.33128431690693, 900.7668329768608]);
    near(through(known.between("ct", "pet")), [4.1355209965869815, 71.92885595121503, 707.5544234528084]);
  });
  it("multiply several matrices in their order", () =>
    near(through(known.between("mr", "ct")), [154.1369683414143, -39.25, 812.0752469144846]));
  it("lead on over a common frame", () =>
    near(through(known.between("pet", "mr")), [-101.53817593182674, -189.33128431690693, 880.7259608022215]));
  it("turn directions without moving them", () =>
    near(
      turned(known.between("pet", "ct") as Matrix, [0, 0, 1]),
      [0, -0.12186934340514748, 0.992546151641322],
    ));
  it("leave one frame of reference as it is, and know nothing of others", () => {
    near(through(known.between("x", "x")), POINT);
    expect(known.between("pet", "other")).toBeNull();
    expect(known.between("", "")).toBeNull();
  });
  it("are none where a matrix is not whole or flattens space", () => {
    const bad = new Registrations();
    bad.add(registration("ct", ["pet", A.slice(0, 12)]));
    bad.add(registration("ct", ["mr", A.map((each, index) => (index % 4 === 2 ? 0 : each))]));
    bad.add(registration("ct", ["us"]));
    expect(["pet", "mr", "us"].map((each) => bad.between(each, "ct"))).toEqual([null, null, null]);
  });
  it("say where the middle of an image lies", () => {
    const plane = {
      position: [20, -60, 812],
      row: [1, 0, 0],
      column: [0, 1, 0],
      spacing: [0.5, 0.25],
      rows: 52,
      columns: 93,
    } as const;
    const found = placed(known.between("pet", "ct") as Matrix, plane);
    near(found.centre, [33.48782203197575, -181.33128431690693, 900.7668329768608]);
    near(found.normal, [0, -0.12186934340514748, 0.992546151641322]);
  });
});
