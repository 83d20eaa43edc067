// Starts the workspace on its page. A browser that cannot draw it is sent to the page of rendered images.

import { the } from "./dom.ts";
import { canDraw, start } from "./engine.ts";
import { listenToKeys } from "./keys.ts";
import { bridge, follow } from "./launch.ts";
import { linkOf } from "./links.ts";
import { announce, casePath, fetchAhead, nextCase } from "./nextcase.ts";
import { offerOutside } from "./outside.ts";
import { setPatient } from "./overlay.ts";
import { startTabs } from "./side.ts";
import { askForText } from "./textdialog.ts";
import { arrowText } from "./toolgroups.ts";
import { Windows } from "./windows.ts";
import { type PageFacts, Workspace } from "./workspace.ts";

declare global {
  interface Window {
    isocenterWorkspace?: Workspace; // for diagnosis in the browser's console, and for tests
  }
}

async function main(): Promise<void> {
  const host = the("workspace");
  if (!canDraw()) {
    location.replace(host.dataset.plain ?? "?plain=true");
    return;
  }
  const facts = JSON.parse(the("workspace-facts").textContent ?? "{}") as PageFacts;
  setPatient({ name: facts.patient_name, id: facts.patient_id });
  startTabs();
  arrowText.ask = askForText;
  const workspace = new Workspace(facts, await start());
  window.isocenterWorkspace = workspace;
  let next: string | null = null;
  const goNext = () => {
    if (next) location.assign(casePath(next));
  };
  const windows = new Windows(workspace, goNext);
  listenToKeys(workspace, windows, goNext);
  offerOutside(workspace, windows);
  addEventListener("beforeunload", (event) => {
    if (workspace.measurements.pending) event.preventDefault();
  });
  const link = linkOf(location.hash);
  await workspace.begin(link.series);
  await follow(workspace, link);
  addEventListener("hashchange", () => void follow(workspace, linkOf(location.hash)));
  bridge(workspace, facts.frame_origins);
  document.documentElement.dataset.ready = "true";
  if (!facts.accession_number || !facts.may_measure || windows.screen) return;
  const waiting = await nextCase(facts.accession_number);
  next = waiting?.accession_number ?? null;
  announce(waiting);
  if (waiting) await fetchAhead(waiting, location.origin + facts.dicomweb);
}

main().catch((error: unknown) => {
  const status = the("status");
  status.textContent = `The workspace could not start: ${error instanceof Error ? error.message : error}. `;
  const plain = document.createElement("a");
  plain.href = the("workspace").dataset.plain ?? "?plain=true";
  plain.textContent = "Show rendered images instead";
  status.append(plain);
  status.classList.add("problem");
});
