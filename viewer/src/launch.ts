// Ways into the workspace and out of it for other systems: addresses of an image or a measurement, and messages
// between this page and the page whose frame shows it. Messages go to and come from named origins only.

import { caseLife } from "./life.ts";
import type { Link } from "./links.ts";
import { casePath } from "./nextcase.ts";
import type { Workspace } from "./workspace.ts";

/** Show what a link names. */
export async function follow(workspace: Workspace, link: Link): Promise<void> {
  if (link.measurement) await workspace.jumpTo(link.measurement);
  else if (link.image && !(await workspace.jump(link.image)))
    workspace.tell("The image is not in this case.");
  if (new URLSearchParams(location.search).get("keyImagesOnly") === "true") await workspace.keyImages();
}

/** The address of what the active viewport shows, for somebody who may see it. */
export function linkTo(workspace: Workspace): string {
  const { picture } = workspace.grid.active;
  const address = new URL(location.href);
  address.hash = picture ? `image=${picture.sopInstanceUid}:${picture.frame}` : "";
  return address.href;
}

export async function copyLink(workspace: Workspace): Promise<void> {
  const address = linkTo(workspace);
  try {
    await navigator.clipboard.writeText(address);
    workspace.tell("The address of this image is in the clipboard.");
  } catch {
    history.replaceState(null, "", address); // the address bar has it where the clipboard is closed
    workspace.tell("The address bar names this image now.");
  }
}

// --- Messages with the page around the frame -------------------------------------------------------

const VERSION = 1;
const UID = /^[0-9.]{1,64}$/;

interface Asked {
  isocenter?: unknown;
  type?: unknown;
  study_instance_uid?: unknown;
  accession_number?: unknown;
  sop_instance_uid?: unknown;
  frame_number?: unknown;
  measurement_id?: unknown;
}

/** Talk with the page that shows this one, if that is of one of `origins`. */
export function bridge(workspace: Workspace, origins: readonly string[], go: (path: string) => void): void {
  if (window.parent === window || !origins.length) return;
  const signal = caseLife();
  const around = location.ancestorOrigins?.[0] ?? "";
  let peer = origins.includes(around) ? around : "";
  const send = (type: string, facts: Record<string, unknown> = {}) => {
    if (peer) window.parent.postMessage({ isocenter: VERSION, type, ...facts }, peer);
  };
  const opened = () =>
    send("ready", {
      accession_number: workspace.facts.accession_number,
      study_instance_uids: workspace.facts.studies.map((each) => each.study_instance_uid),
    });

  const hear = (event: MessageEvent<Asked | null>) => {
    const asked = event.data;
    if (event.source !== window.parent || !origins.includes(event.origin)) return;
    if (typeof asked !== "object" || asked?.isocenter !== VERSION) return;
    peer = event.origin;
    if (asked.type === "hello") opened();
    if (asked.type === "open") open(workspace, asked, go).catch((error) => workspace.tell(error));
  };
  addEventListener("message", hear, { signal });

  let known = new Map(workspace.measurements.list.map((each) => [each.measurement_id, JSON.stringify(each)]));
  workspace.measurements.addEventListener("change", () => {
    const now = new Map(
      workspace.measurements.list.map((each) => [each.measurement_id, JSON.stringify(each)]),
    );
    for (const [id, text] of now)
      if (known.get(id) !== text)
        send("measurement", { change: known.has(id) ? "changed" : "made", measurement: JSON.parse(text) });
    for (const id of known.keys())
      if (!now.has(id)) send("measurement", { change: "removed", measurement_id: id });
    known = now;
  });
  document.addEventListener(
    "isocenter:report",
    (event) =>
      send("report", {
        accession_number: workspace.facts.accession_number,
        ...(event as CustomEvent).detail,
      }),
    { signal },
  );
  opened();
}

async function open(workspace: Workspace, asked: Asked, go: (path: string) => void): Promise<void> {
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const study = UID.test(text(asked.study_instance_uid)) ? text(asked.study_instance_uid) : "";
  const accession = text(asked.accession_number);
  const sop = UID.test(text(asked.sop_instance_uid)) ? text(asked.sop_instance_uid) : "";
  const frame = Number.isInteger(asked.frame_number) ? Number(asked.frame_number) : 1;
  const measurement = text(asked.measurement_id);
  const { facts } = workspace;
  const here =
    (!study || facts.studies.some((each) => each.study_instance_uid === study)) &&
    (!accession || accession === facts.accession_number);
  if (here) {
    const image = sop ? { sopInstanceUid: sop, frame } : null;
    return follow(workspace, { series: "", image, measurement });
  }
  const view = location.pathname.endsWith("/embed") ? "embed" : "read";
  const path = accession ? casePath(accession) : `/studies/${study}/read`;
  const tail = measurement
    ? `#measurement=${encodeURIComponent(measurement)}`
    : sop
      ? `#image=${sop}:${frame}`
      : "";
  go(path.replace(/read$/, view) + tail);
}
