import { describe, expect, it } from "vitest";
import { assigned, keyFor, mappingsFrom, STANDARD, standardKey } from "../src/mappings.ts";

describe("mappings", () => {
  it("are the standard until somebody changes them", () => {
    expect(standardKey(STANDARD, "l")).toBe("l");
    expect(mappingsFrom(undefined)).toEqual(STANDARD);
    expect(mappingsFrom("nonsense")).toEqual(STANDARD);
  });
  it("give a key to what it shall do, and take it from what it did", () => {
    const own = assigned(STANDARD, "l", "m"); // length by the key of reformatted planes
    expect(standardKey(own, "m")).toBe("l");
    expect(standardKey(own, "l")).toBe("");
    expect(keyFor(own, "m")).toBe("");
    const swapped = assigned(own, "m", "l");
    expect(standardKey(swapped, "l")).toBe("m");
    expect(standardKey(swapped, "m")).toBe("l");
    expect(assigned(assigned(swapped, "l", "l"), "m", "m").keys).toEqual({});
  });
  it("come back from the server as they were, without what cannot be", () => {
    const own = { ...assigned(STANDARD, "a", "Q"), right: "WindowLevel" as const };
    expect(mappingsFrom(JSON.parse(JSON.stringify(own)))).toEqual(own);
    expect(mappingsFrom({ wheel: "Pan", right: "Launch", keys: { a: 3 } })).toEqual(STANDARD);
  });
});
