// Bytes that metadata only point at: frames and bulk data of our own server.

import type { Attribute } from "./dicom.ts";
import { bytesOf } from "./overlayplanes.ts";

const NATIVE = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1';

/** The first part of a multipart answer; the whole of any other. */
export function firstPart(body: Uint8Array, contentType: string): Uint8Array {
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (!/^multipart\//i.test(contentType) || !boundary) return body;
  const start = find(body, new TextEncoder().encode("\r\n\r\n"), 0);
  const end = find(body, new TextEncoder().encode(`\r\n--${boundary}`), start + 4);
  return start < 0 ? body : body.subarray(start + 4, end < 0 ? body.length : end);
}

function find(body: Uint8Array, wanted: Uint8Array, from: number): number {
  outer: for (let at = from; at <= body.length - wanted.length; at++) {
    for (let index = 0; index < wanted.length; index++)
      if (body[at + index] !== wanted[index]) continue outer;
    return at;
  }
  return -1;
}

async function bytesAt(address: string, signal?: AbortSignal): Promise<Uint8Array> {
  const headers = { Accept: NATIVE };
  const answer = await fetch(address, { credentials: "same-origin", headers, signal: signal ?? null });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  return firstPart(new Uint8Array(await answer.arrayBuffer()), answer.headers.get("content-type") ?? "");
}

/** A frame (from 1) of an instance, decoded. */
export const frameBytes = (instance: string, frame: number, signal?: AbortSignal): Promise<Uint8Array> =>
  bytesAt(`${instance}/frames/${frame}`, signal);

/** The value of an attribute, wherever it is; null when it has none. */
export async function valueBytes(attribute: Attribute | undefined): Promise<Uint8Array | null> {
  if (attribute?.InlineBinary) return bytesOf(attribute.InlineBinary);
  return attribute?.BulkDataURI ? bytesAt(attribute.BulkDataURI) : null;
}
