// The editor of hanging protocols: the reader's own, the department's where they may, and those that are shipped to
// begin from. Saved protocols are on the server and hang the next case.

import type { Workspace } from "./workspace.ts";
import { h } from "./dom.ts";
import { ask } from "./engine.ts";
import { type Protocol, shipped, type Stage, type Wish } from "./hanging.ts";
import { type Kept, protocolsKept } from "./stages.ts";

const ROWS_MAX = 4;
const COLUMNS_MAX = 5;
const STAGES_MAX = 12;
type Owner = "mine" | "site";

const words = (text: string): string[] =>
  text
    .split(/[\s,]+/)
    .map((each) => each.trim().toUpperCase())
    .filter(Boolean);

const copyOf = (given: Protocol): Protocol => JSON.parse(JSON.stringify(given)) as Protocol;

/** A protocol that hangs a case as it hangs now. */
export function protocolOf(workspace: Workspace): Protocol {
  const { grid, facts } = workspace;
  const own = new Set(facts.studies.map((each) => each.study_instance_uid));
  const shown = grid.panes.map((each) => each.set?.series ?? null);
  const modalities = [...new Set(shown.flatMap((each) => (each ? [each.modality] : [])))].filter(Boolean);
  const series: Wish[] = shown.map((each) =>
    each
      ? {
          label: each.label,
          modality: each.modality ? [each.modality] : [],
          description: each.label.replace(/^\d+\s*/, "").replace(/[.*+?^${}()|[\]\\]/g, "\\$&"),
          study: own.has(each.studyInstanceUid) ? "current" : "prior",
        }
      : {},
  );
  const prior = series.some((each) => each.study === "prior");
  return {
    name: `${modalities.join(" and ") || "New"} protocol`,
    modality: modalities,
    rows: Math.min(ROWS_MAX, grid.rows || 1),
    columns: Math.min(COLUMNS_MAX, grid.columns || 1),
    series: series.slice(0, ROWS_MAX * COLUMNS_MAX),
    link: grid.linked,
    ...(prior ? { priorsAtLeast: 1 } : {}),
  };
}

export async function editHanging(workspace: Workspace): Promise<void> {
  new HangingEditor(workspace, await protocolsKept()).show();
}

class HangingEditor {
  private readonly lists: Record<Owner, Protocol[]>;
  private chosen: { owner: Owner; at: number } | null = null;
  private stage = 0; // 0: the protocol's first
  private readonly changed = new Set<Owner>();
  private readonly side = h("div", { class: "protocols" });
  private readonly form = h("div", { class: "protocol" });
  private readonly problem = h("p", { class: "notice problem", role: "alert", hidden: true });
  private readonly dialog = h("dialog", { class: "hanging", "aria-labelledby": "hanging-title" });

  constructor(
    private readonly workspace: Workspace,
    private readonly kept: Kept,
  ) {
    this.lists = { mine: kept.mine.map(copyOf), site: kept.site.map(copyOf) };
    if (kept.mine.length) this.chosen = { owner: "mine", at: 0 };
  }

  show(): void {
    this.dialog.append(
      h("h2", { id: "hanging-title" }, "Hanging protocols"),
      h("div", { class: "editor" }, this.side, this.form),
      this.problem,
      h(
        "div",
        { class: "row spread" },
        h("button", { type: "button", onclick: () => this.dialog.close() }, "Close"),
        h("button", { type: "button", onclick: () => void this.tryIt() }, "Try on this case"),
        h("button", { type: "button", class: "primary", onclick: () => void this.save() }, "Save"),
      ),
    );
    this.dialog.addEventListener("close", () => this.dialog.remove());
    document.body.append(this.dialog);
    this.render();
    this.dialog.showModal();
  }

  private get protocol(): Protocol | null {
    return this.chosen ? (this.lists[this.chosen.owner][this.chosen.at] ?? null) : null;
  }

  private get current(): Stage | null {
    const { protocol } = this;
    return this.stage === 0 ? protocol : (protocol?.stages?.[this.stage - 1] ?? null);
  }

  private touch(): void {
    if (this.chosen) this.changed.add(this.chosen.owner);
  }

  private render(): void {
    const from = h(
      "select",
      { "aria-label": "Begin from" },
      h("option", { value: "now" }, "what is shown now"),
      ...shipped.map((each, index) => h("option", { value: String(index) }, each.name)),
    );
    const add = (owner: Owner) => {
      const source = shipped[Number(from.value)];
      this.lists[owner].push(source ? copyOf(source) : protocolOf(this.workspace));
      this.choose(owner, this.lists[owner].length - 1);
      this.touch();
    };
    this.side.replaceChildren(
      this.list("mine", "Mine"),
      this.list("site", "The department's"),
      h("label", {}, "New, from ", from),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", onclick: () => add("mine") }, "Add to mine"),
        this.kept.may_change_site
          ? h("button", { type: "button", onclick: () => add("site") }, "Add to the department's")
          : null,
      ),
    );
    this.renderForm();
  }

  private list(owner: Owner, heading: string): HTMLElement {
    const items = this.lists[owner].map((each, at) => {
      const pressed = this.chosen?.owner === owner && this.chosen.at === at;
      return h(
        "li",
        {},
        h(
          "button",
          { type: "button", "aria-pressed": String(pressed), onclick: () => this.choose(owner, at) },
          each.name || "Without a name",
        ),
      );
    });
    const none = h("p", { class: "quiet small" }, "None");
    return h("section", {}, h("h3", {}, heading), items.length ? h("ol", {}, ...items) : none);
  }

  private choose(owner: Owner, at: number): void {
    this.chosen = this.lists[owner][at] ? { owner, at } : null;
    this.stage = 0;
    this.render();
  }

  private renderForm(): void {
    const { protocol, chosen } = this;
    if (!protocol || !chosen) {
      const first = h("p", { class: "quiet" }, "Choose a protocol, or make one from what is shown now.");
      return this.form.replaceChildren(first);
    }
    const fixed = chosen.owner === "site" && !this.kept.may_change_site;
    const move = (by: number) => {
      const list = this.lists[chosen.owner];
      const [one] = list.splice(chosen.at, 1);
      const to = Math.max(0, Math.min(list.length, chosen.at + by));
      if (one) list.splice(to, 0, one);
      this.touch();
      this.choose(chosen.owner, to);
    };
    const remove = () => {
      this.lists[chosen.owner].splice(chosen.at, 1);
      this.touch();
      this.choose(chosen.owner, Math.max(0, chosen.at - 1));
    };
    const set = h(
      "fieldset",
      { disabled: fixed },
      h(
        "div",
        { class: "fields" },
        this.text("Name", protocol.name, (value) => {
          protocol.name = value;
          const listed = this.side.querySelector('button[aria-pressed="true"]');
          if (listed) listed.textContent = value || "Without a name";
        }),
        this.text("Modalities", protocol.modality.join(", "), (value) => {
          protocol.modality = words(value);
        }),
        this.text("Study description holds", protocol.description ?? "", (value) => {
          protocol.description = value;
        }),
        this.text("Body part holds", protocol.bodyPart ?? "", (value) => {
          protocol.bodyPart = value;
        }),
        this.count("Series at least", protocol.seriesAtLeast ?? 0, 100, (value) => {
          protocol.seriesAtLeast = value;
        }),
        this.count("Priors at least", protocol.priorsAtLeast ?? 0, 100, (value) => {
          protocol.priorsAtLeast = value;
        }),
      ),
      this.stages(protocol),
      this.layout(),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", onclick: () => move(-1) }, "Earlier"),
        h("button", { type: "button", onclick: () => move(1) }, "Later"),
        h("button", { type: "button", onclick: remove }, "Delete"),
      ),
    );
    this.form.replaceChildren(
      ...(fixed ? [h("p", { class: "quiet" }, "An administrator changes the department's.")] : []),
      set,
    );
  }

  private text(label: string, value: string, put: (value: string) => void): HTMLElement {
    const input = h("input", { value, maxlength: 200 });
    input.addEventListener("input", () => {
      put(input.value.trim());
      this.touch();
    });
    return h("label", {}, h("span", {}, label), input);
  }

  private count(label: string, value: number, most: number, put: (value: number) => void): HTMLElement {
    const input = h("input", { type: "number", value, min: 0, max: most });
    input.addEventListener("input", () => {
      put(Math.max(0, Math.min(most, Math.trunc(Number(input.value)) || 0)));
      this.touch();
    });
    return h("label", {}, h("span", {}, label), input);
  }

  private stages(protocol: Protocol): HTMLElement {
    const made = protocol.stages ?? [];
    const go = (to: number) => {
      this.stage = to;
      this.renderForm();
    };
    const tabs = [protocol, ...made].map((each, index) =>
      h(
        "button",
        { type: "button", "aria-pressed": String(index === this.stage), onclick: () => go(index) },
        index === 0 ? "Stage 1" : ((each as Stage).name ?? `Stage ${index + 1}`),
      ),
    );
    const add = () => {
      protocol.stages = [...made, { name: `Stage ${made.length + 2}`, rows: 1, columns: 1, series: [{}] }];
      this.touch();
      go(protocol.stages.length);
    };
    const remove = () => {
      protocol.stages = made.filter((_, index) => index !== this.stage - 1);
      this.touch();
      go(Math.max(0, this.stage - 1));
    };
    return h(
      "div",
      { class: "row", role: "group", "aria-label": "Stages" },
      ...tabs,
      h("button", { type: "button", onclick: add, disabled: made.length >= STAGES_MAX }, "Add a stage"),
      this.stage ? h("button", { type: "button", onclick: remove }, "Remove this stage") : null,
    );
  }

  private layout(): HTMLElement {
    const stage = this.current;
    if (!stage) return h("p", {});
    const resize = (rows: number, columns: number) => {
      [stage.rows, stage.columns] = [rows, columns];
      if (stage.series.length) stage.series = cells(stage);
      this.touch();
      this.renderForm();
    };
    const size = (label: string, value: number, most: number, put: (value: number) => void) => {
      const select = h("select", { "aria-label": label });
      for (let at = 1; at <= most; at++) select.append(h("option", { value: at }, String(at)));
      select.value = String(value);
      select.addEventListener("change", () => put(Number(select.value)));
      return select;
    };
    const link = h("input", { type: "checkbox", checked: Boolean(stage.link) });
    link.addEventListener("change", () => {
      stage.link = link.checked;
      this.touch();
    });
    const inOrder = h("input", { type: "checkbox", checked: stage.series.length === 0 });
    inOrder.addEventListener("change", () => {
      stage.series = inOrder.checked ? [] : cells(stage);
      this.touch();
      this.renderForm();
    });
    const grid = h("div", { class: `cells columns-${stage.columns}` });
    stage.series.forEach((wish, index) => grid.append(this.cell(wish, index)));
    return h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row" },
        h("span", {}, "Viewports"),
        size("Rows", stage.rows, ROWS_MAX, (value) => resize(value, stage.columns)),
        "×",
        size("Columns", stage.columns, COLUMNS_MAX, (value) => resize(stage.rows, value)),
        h("label", { class: "row" }, link, " Scroll together"),
        h("label", { class: "row" }, inOrder, " Series in their order"),
      ),
      grid,
    );
  }

  private cell(wish: Wish, index: number): HTMLElement {
    const study = h(
      "select",
      { "aria-label": "Study" },
      h("option", { value: "current" }, "This study"),
      h("option", { value: "prior" }, "Best prior"),
    );
    study.value = wish.study ?? "current";
    study.addEventListener("change", () => {
      wish.study = study.value as "current" | "prior";
      this.touch();
    });
    const side = h(
      "select",
      { "aria-label": "Side" },
      h("option", { value: "" }, "Any side"),
      h("option", { value: "R" }, "Right"),
      h("option", { value: "L" }, "Left"),
    );
    side.value = wish.laterality ?? "";
    side.addEventListener("change", () => {
      wish.laterality = side.value;
      this.touch();
    });
    return h(
      "div",
      { class: "cell", role: "group", "aria-label": `Viewport ${index + 1}` },
      study,
      this.text("Modality", (wish.modality ?? []).join(", "), (value) => {
        wish.modality = words(value);
      }),
      this.text("Series holds", wish.description ?? "", (value) => {
        wish.description = value;
      }),
      this.text("View (CC, MLO)", wish.view ?? "", (value) => {
        wish.view = value.trim().toUpperCase();
      }),
      side,
    );
  }

  private async tryIt(): Promise<void> {
    const { protocol } = this;
    if (!protocol) return;
    if (await this.workspace.hangBy(protocol)) this.dialog.close();
    else this.tell("This case lacks a series that the protocol asks for.");
  }

  private tell(what: string): void {
    this.problem.hidden = !what;
    this.problem.textContent = what;
  }

  private async save(): Promise<void> {
    try {
      for (const owner of this.changed)
        await ask(`/api/hanging-protocols/${owner}`, {
          method: "PUT",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ protocols: this.lists[owner] }),
        });
      this.workspace.tell(this.changed.size ? "The protocols are saved." : "Nothing was changed.");
      this.dialog.close();
    } catch (error) {
      this.tell(error instanceof Error ? error.message : String(error));
    }
  }
}

/** A wish for each viewport of a stage: those that are there, then empty ones. */
export const cells = (stage: Stage): Wish[] =>
  Array.from({ length: stage.rows * stage.columns }, (_, index) => stage.series[index] ?? {});
