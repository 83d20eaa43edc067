// One page, one case after the other. What belongs to a case is made anew for each: its part of the page, its
// workspace, and what listens for it. The engine, its decoders and the windows beside this one stay.

import * as core from "@cornerstonejs/core";
import * as tools from "@cornerstonejs/tools";
import { the } from "./dom.ts";
import { askChoices } from "./early.ts";
import { forgetAllBut } from "./engine.ts";
import { listenToKeys } from "./keys.ts";
import { bridge, follow } from "./launch.ts";
import { type Keeper, Leaving, placeOf, Way } from "./leaving.ts";
import { caseLife, endCase } from "./life.ts";
import { linkOf } from "./links.ts";
import { announce, casePath, fetchAhead, nextCase } from "./nextcase.ts";
import { offerOutside } from "./outside.ts";
import { setPatient } from "./overlay.ts";
import { startTabs } from "./side.ts";
import { ToolGroups } from "./toolgroups.ts";
import { Windows } from "./windows.ts";
import { type PageFacts, Workspace } from "./workspace.ts";

declare global {
  interface Window {
    isocenterWorkspace?: Workspace; // for diagnosis in the browser's console, and for tests
  }
}

const TOLD_AFTER_MS = 300; // what comes at once needs no words
const PLACE = /\/read$/; // pages whose case is exchanged; all others are gone to as the browser does

export class Desk {
  private readonly groups = new ToolGroups();
  private workspace: Workspace | null = null;
  private windows: Windows | null = null;
  private readonly way = new Way(
    {
      address: () => placeOf(location),
      push: (place) => history.pushState(null, "", place),
      assign: (place) => location.assign(place),
      exchangeable: (place) => PLACE.test(place.pathname) && PLACE.test(location.pathname),
      leaving: () => new Leaving(this.keepers(), (question) => confirm(question)),
      fetch: (place) => {
        const page = pageOf(place);
        askChoices();
        const told = setTimeout(() => this.workspace?.tell("The next case is opened…"), TOLD_AFTER_MS);
        return page.finally(() => clearTimeout(told));
      },
      exchange: (place, page) => this.exchange(place, page),
      stayed: () =>
        this.workspace?.tell(new Error("This case is still shown: not everything in it is saved.")),
    },
    placeOf(location),
  );
  private next: string | null = null;
  private ahead: ReadonlySet<string> = new Set(); // studies of the next case that are being loaded

  constructor(private readonly engine: core.RenderingEngine) {
    addEventListener("popstate", () => this.go(location.href, false));
    addEventListener("beforeunload", (event) => {
      if (this.workspace?.measurements.unkept()) event.preventDefault();
    });
    document.addEventListener("click", (event) => {
      const plain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
      const link =
        event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("#next-case a") : null;
      if (!plain || !link) return;
      event.preventDefault();
      this.go(link.href);
    });
  }

  /** Show the case of which the page tells. */
  async open(): Promise<void> {
    const facts = JSON.parse(the("workspace-facts").textContent ?? "{}") as PageFacts;
    const life = caseLife();
    const go = (address: string) => this.go(address);
    const goNext = () => {
      if (this.next) go(casePath(this.next));
    };
    setPatient({ name: facts.patient_name, id: facts.patient_id });
    startTabs();
    const workspace = new Workspace(facts, this.engine, this.groups);
    window.isocenterWorkspace = this.workspace = workspace;
    if (this.windows) this.windows.show(workspace);
    else this.windows = new Windows(workspace, () => goNext(), go);
    listenToKeys(workspace, this.windows, goNext);
    offerOutside(workspace, this.windows);
    const link = linkOf(location.hash);
    await workspace.begin(link.series);
    await follow(workspace, link);
    if (life.aborted) return;
    addEventListener("hashchange", () => void follow(workspace, linkOf(location.hash)), { signal: life });
    bridge(workspace, facts.frame_origins, go);
    document.documentElement.dataset.ready = "true";
    if (facts.accession_number && facts.may_measure && !this.windows.screen)
      await this.lookAhead(facts, life);
  }

  private async lookAhead(facts: PageFacts, life: AbortSignal): Promise<void> {
    const waiting = await nextCase(facts.accession_number);
    if (life.aborted) return;
    this.next = waiting?.accession_number ?? null;
    announce(waiting);
    if (!waiting) return;
    this.ahead = new Set(waiting.study_instance_uids);
    const { studies, loaded } = await fetchAhead(waiting, location.origin + facts.dicomweb);
    if (life.aborted) return;
    this.ahead = studies;
    await loaded;
    if (life.aborted) return;
    askChoices();
    the("next-case").dataset.loaded = "true";
  }

  /** Go to another case: in this page where that is possible. */
  go(address: string, pushed = true): void {
    void this.way.go({ place: new URL(address, location.href), pushed });
  }

  /** Who has what would be lost with the shown case: its measurements, its report, an open dialog. */
  private keepers(): Keeper[] {
    const keepers = [writtenInDialogs];
    const measurements = this.workspace?.measurements;
    if (measurements)
      keepers.push({
        keep: () => {
          const { activeElement } = document; // a name that is being written is one when its field is left
          if (activeElement instanceof HTMLInputElement) activeElement.blur();
          return measurements.settle();
        },
        lost: () => measurements.unkept(),
        problem: () => measurements.error || "A measurement is not saved.",
      });
    document.dispatchEvent(new CustomEvent("isocenter:leaving", { detail: { keepers } }));
    return keepers;
  }

  private exchange(place: URL, fresh: Document): void {
    this.leave(fresh);
    document.title = fresh.title;
    the("main").replaceChildren(...(fresh.getElementById("main")?.childNodes ?? []));
    document.dispatchEvent(new CustomEvent("isocenter:case", { detail: { path: place.pathname } }));
    this.open().catch((error: unknown) => this.workspace?.tell(error));
    this.workspace?.grid.active?.element.focus({ preventScroll: true });
  }

  /** Take down everything of the shown case, and forget what the one that follows does not need. */
  private leave(fresh: Document): void {
    const panes = this.workspace?.grid.panes ?? [];
    for (const each of panes) if (each.kind !== "empty") tools.cancelActiveManipulations(each.canvas);
    delete document.documentElement.dataset.ready;
    endCase();
    for (const each of panes) each.clear();
    // Dialogs speak of this case; one that is part of the page has a name.
    for (const each of document.querySelectorAll<HTMLDialogElement>("dialog[open]"))
      if (each.id) each.close();
      else each.remove();
    this.groups.choose("WindowLevel");
    this.groups.referenceLines(null);
    tools.annotation.selection.deselectAnnotation();
    tools.annotation.state.removeAllAnnotations();
    // The engine's own history, which nothing here undoes, holds on to what was drawn on.
    const memos = core.utilities.HistoryMemo.DefaultHistoryMemo;
    memos.size = memos.size; // empties it
    const facts = JSON.parse(fresh.getElementById("workspace-facts")?.textContent ?? "{}") as PageFacts;
    forgetAllBut(new Set([...this.ahead, ...facts.studies.map((each) => each.study_instance_uid)]));
    this.next = null;
    this.ahead = new Set();
  }
}

/** What is entered in a dialog that is open is kept nowhere yet. */
const writtenInDialogs: Keeper = {
  keep: () => Promise.resolve(),
  lost: () =>
    [...document.querySelectorAll<HTMLInputElement>("dialog[open] :is(input, select, textarea)")]
      .map((each) => `${each.name}=${each.value}`)
      .join(),
  problem: () => "A dialog is open.",
};

/** The page of a case, as the server gives it to who opens it; null where it is none. */
async function pageOf(place: URL): Promise<Document | null> {
  try {
    const answer = await fetch(place, { credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return null;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    return fresh.getElementById("workspace-facts") ? fresh : null;
  } catch {
    return null;
  }
}
