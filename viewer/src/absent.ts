// Stands in for packages that our dependencies import and that the workspace never reaches.
export function convert(): never {
  throw new Error("not part of the workspace");
}
export const create = convert;
