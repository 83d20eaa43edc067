// Addresses and names that say what a window shows. Nothing here touches the page.

export interface Link {
  series: string;
  image: { sopInstanceUid: string; frame: number } | null;
  measurement: string;
}

/** What the address names after its #: `image=UID:frame`, `measurement=ID`, or a Series Instance UID. */
export function linkOf(hash: string): Link {
  const text = hash.replace(/^#/, "");
  if (!text.includes("=")) return { series: text, image: null, measurement: "" };
  const given = new URLSearchParams(text);
  const image = /^([0-9.]{1,64})(?::([1-9]\d{0,5}))?$/.exec(given.get("image") ?? "");
  return {
    series: given.get("series") ?? "",
    image: image ? { sopInstanceUid: image[1] ?? "", frame: Number(image[2] ?? 1) } : null,
    measurement: given.get("measurement") ?? "",
  };
}

/** The screen's number and its group, from the name of a window that was opened here; null for a main window. */
export function screenOf(name: string): { screen: number; group: string } | null {
  const found = /^isocenter-screen-(\d)-([a-z0-9]+)$/.exec(name);
  return found ? { screen: Number(found[1]), group: found[2] ?? "" } : null;
}
