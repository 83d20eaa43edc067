import { describe, expect, it } from "vitest";
import { partsOf } from "../src/parts.ts";

const bytes = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
const part = (type: string, content: string) =>
  `--b\r\nContent-Type: ${type}\r\nContent-Length: ${content.length}\r\n\r\n${content}`;

describe("a multipart answer", () => {
  it("is taken apart by the lengths of its parts, whatever they hold", () => {
    const body = `${part("application/dicom+json", "[]")}\r\n${part("x/y", "a\r\n--b\r\n\r\nz")}\r\n--b--\r\n`;
    const found = partsOf(bytes(body)).map((each) => [each.type, new TextDecoder().decode(each.content)]);
    expect(found).toEqual([
      ["application/dicom+json", "[]"],
      ["x/y", "a\r\n--b\r\n\r\nz"],
    ]);
  });
  it("is refused where it ends early", () => {
    expect(() => partsOf(bytes(part("x/y", "abcdef").slice(0, -2)))).toThrow("ended early");
  });
});
