// What keys, mouse buttons and fingers do: the standard, and what a user made of it. Actions are named by their
// standard key, so that everything else knows standard keys only. Pure.

export interface Mappings {
  keys: Record<string, string>; // standard key to the user's own; empty: none
  middle: Drive;
  right: Drive;
  wheel: Drive;
  two: Drive; // fingers
  three: Drive;
}
export type Drive = "WindowLevel" | "Pan" | "Zoom" | "StackScroll";

export const DRIVES: [Drive, string][] = [
  ["WindowLevel", "Window"],
  ["Pan", "Pan"],
  ["Zoom", "Zoom"],
  ["StackScroll", "Scroll"],
];
export const GESTURES: ["middle" | "right" | "wheel" | "two" | "three", string, Drive[]][] = [
  ["middle", "Middle button", ["Pan", "Zoom", "WindowLevel", "StackScroll"]],
  ["right", "Right button", ["Zoom", "Pan", "WindowLevel", "StackScroll"]],
  ["wheel", "Wheel", ["StackScroll", "Zoom"]],
  ["two", "Two fingers", ["Zoom", "Pan", "WindowLevel", "StackScroll"]],
  ["three", "Three fingers", ["StackScroll", "Pan", "Zoom", "WindowLevel"]],
];
export const STANDARD: Mappings = {
  keys: {},
  middle: "Pan",
  right: "Zoom",
  wheel: "StackScroll",
  two: "Zoom",
  three: "StackScroll",
};

/** What was kept, as far as it can be used: anything else is the standard. */
export function mappingsFrom(kept: unknown): Mappings {
  const given = (typeof kept === "object" && kept !== null ? kept : {}) as Partial<Record<string, unknown>>;
  const made: Mappings = { ...STANDARD, keys: {} };
  for (const [name, , drives] of GESTURES)
    made[name] = drives.find((each) => each === given[name]) ?? STANDARD[name];
  const keys = (typeof given.keys === "object" && given.keys !== null ? given.keys : {}) as Record<
    string,
    unknown
  >;
  for (const [standard, own] of Object.entries(keys))
    if (typeof own === "string" && own !== standard) made.keys[standard] = own;
  return made;
}

/** The standard key of what a pressed key does; empty where it does nothing any more. */
export function standardKey({ keys }: Mappings, pressed: string): string {
  const own = Object.entries(keys).find(([, key]) => key === pressed);
  if (own) return own[0];
  return pressed in keys ? "" : pressed;
}

/** The key that does what a standard key does. */
export const keyFor = ({ keys }: Mappings, standard: string): string => keys[standard] ?? standard;

/** Let a key do something; what it did before has none then. */
export function assigned(given: Mappings, standard: string, key: string): Mappings {
  const before = standardKey(given, key);
  const keys = { ...given.keys };
  if (before && before !== standard && key) keys[before] = "";
  if (key === standard) delete keys[standard];
  else keys[standard] = key;
  return { ...given, keys };
}
