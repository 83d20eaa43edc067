// The parts of a multipart answer that say how long they are. Pure.

export interface Part {
  type: string;
  content: Uint8Array<ArrayBuffer>;
}

/** The parts, without copying them; throws where the body ends early. RFC 2046 5.1 */
export function partsOf(body: Uint8Array<ArrayBuffer>): Part[] {
  const found: Part[] = [];
  let at = 0;
  while (at < body.length) {
    const end = headEnd(body, at);
    if (end < 0) break; // what follows the last boundary
    const head = new TextDecoder().decode(body.subarray(at, end));
    const length = Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? Number.NaN);
    const from = end + 4;
    if (Number.isNaN(length) || from + length > body.length) throw new Error("The answer ended early.");
    const type = /^content-type:\s*(.*)$/im.exec(head)?.[1]?.trim() ?? "";
    found.push({ type, content: body.subarray(from, from + length) });
    at = from + length;
  }
  return found;
}

function headEnd(body: Uint8Array, from: number): number {
  for (let at = from; at + 3 < body.length; at++)
    if (body[at] === 13 && body[at + 1] === 10 && body[at + 2] === 13 && body[at + 3] === 10) return at;
  return -1;
}
