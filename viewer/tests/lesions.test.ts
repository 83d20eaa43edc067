// Sums and responses worked out by hand from RECIST 1.1.
import { describe, expect, it } from "vitest";
import { diameterOf, type LesionMark, type LesionRole, lesionTable, reportTable } from "../src/lesions.ts";

const mark = (study: number, label: string, sizes: number[], role: LesionRole = "target"): LesionMark => ({
  study: `S${study}`,
  date: `202${study}-01-01`,
  tool: sizes.length > 1 ? "Bidirectional" : "Length",
  label,
  role,
  statistics: sizes.map((value, at) => ({ name: at ? "×" : "", value, unit: "mm" })),
});

describe("a diameter", () => {
  it("is the longest, of a lymph node the short axis, in millimetres", () => {
    expect(diameterOf(mark(1, "Liver", [31, 20]))).toBe(31);
    expect(diameterOf(mark(1, "Node", [31, 20], "node"))).toBe(20);
    const cm = {
      tool: "Length",
      role: "target" as const,
      statistics: [{ name: "", value: 3, unit: "cm US Region" }],
    };
    expect(diameterOf(cm)).toBe(30);
  });
  it("is none of pixels, nor of an angle", () => {
    expect(
      diameterOf({ ...mark(1, "x", [10]), statistics: [{ name: "", value: 9, unit: "px" }] }),
    ).toBeNull();
    expect(diameterOf({ ...mark(1, "x", [10]), tool: "Angle" })).toBeNull();
  });
});

describe("the table of lesions", () => {
  const response = (...sums: number[]): string =>
    lesionTable(sums.map((each, at) => mark(at, "A", [each]))).responses.at(-1) ?? "";
  it("sums targets for each study, the earliest first, and follows a name", () => {
    const table = lesionTable([
      mark(3, "Liver", [20]),
      mark(1, "Liver", [40]),
      mark(1, "Node", [25, 15], "node"),
      mark(3, "Node", [30, 9], "node"),
      mark(3, "Lung", [8], "other"),
    ]);
    expect(table.studies.map((each) => each.date)).toEqual(["2021-01-01", "2023-01-01"]);
    expect(table.sums).toEqual([55, 29]);
    expect(table.responses).toEqual(["", "Partial response"]); // 47 % less
    expect(reportTable(table).split("\n")[3]).toBe("Lung\t–\t8.0 mm");
    expect(reportTable(table)).toContain("Sum of targets\t55.0 mm\t29.0 mm (-47 %)");
  });
  it("knows progress from the least sum so far, by a fifth and by 5 mm", () => {
    expect(response(50, 30, 36)).toBe("Progressive disease");
    expect(response(50, 30, 35)).toBe("Partial response"); // 17 % more than the least, 30 % less than the first
    expect(response(20, 10, 13)).toBe("Partial response"); // 30 % more, but 3 mm
    expect(response(50, 45, 50)).toBe("Stable disease");
    expect(response(50, 35)).toBe("Partial response");
    expect(response(50, 36)).toBe("Stable disease");
  });
  it("is progress with a new lesion, and a complete response when nothing is left", () => {
    const more = lesionTable([mark(1, "A", [40]), mark(2, "A", [10]), mark(2, "B", [9], "new")]);
    expect(more.responses[1]).toBe("Progressive disease");
    expect(lesionTable([mark(1, "N", [20, 16], "node"), mark(2, "N", [12, 8], "node")]).responses[1]).toBe(
      "Complete response",
    );
    expect(response(20, 0)).toBe("Complete response");
  });
  it("has no sum where a target was not measured", () => {
    const table = lesionTable([mark(1, "A", [40]), mark(1, "B", [10]), mark(2, "A", [50])]);
    expect(table.sums).toEqual([50, null]);
    expect(table.responses[1]).toBe("");
  });
});
