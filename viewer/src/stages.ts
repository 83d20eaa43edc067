// The stages of the hanging protocol that a case was hung by, and where protocols come from: the reader's own,
// the department's, then those that are shipped.

import type { DicomJson } from "./dicom.ts";
import type { SeriesFacts } from "./displaysets.ts";
import { ask, contentsOf } from "./engine.ts";
import {
  asksMore,
  fill,
  type Hanging,
  hang,
  placeStage,
  type Protocol,
  shipped,
  type Surroundings,
  type ViewedSet,
} from "./hanging.ts";
import { seriesOfStudy } from "./nextcase.ts";
import type { Prior } from "./side.ts";
import { viewOf } from "./views.ts";

const VIEWED_SERIES_MAX = 24; // of mammograms, whose images are asked for their views

export interface Kept {
  mine: Protocol[];
  site: Protocol[];
  may_change_site: boolean;
}

export interface Layout {
  rows: number;
  columns: number;
}

/** Under what name the layout that a user chose for such series is remembered. */
export const layoutName = (series: readonly SeriesFacts[]): string =>
  `layout.${series.find((each) => each.modality)?.modality || "other"}`;

/** How a case opens: by a protocol of the reader or the department, the remembered layout, or a shipped protocol. */
export async function opening(
  stages: Stages,
  series: readonly SeriesFacts[],
  preferences: Record<string, unknown>,
): Promise<Hanging> {
  const hanging = await stages.first(series);
  const remembered = preferences[layoutName(series)] as Layout | undefined;
  const chosen = stages.own ? undefined : remembered;
  if (!chosen) return hanging;
  const { rows, columns } = chosen;
  if (rows * columns === hanging.series.length) return { ...hanging, rows, columns };
  return { ...hanging, rows, columns, series: fill(series, rows * columns), sets: [] };
}

export const protocolsKept = (): Promise<Kept> =>
  ask<Kept>("/api/hanging-protocols").catch(() => ({ mine: [], site: [], may_change_site: false }));

export class Stages {
  protocol: Protocol | null = null;
  at = 0;
  own = false; // made by the reader or the department: it goes before a remembered layout
  prior = ""; // the study that its prior viewports are from
  private more: Surroundings = { priors: 0, prior: [], bodyParts: new Map(), lateralities: new Map() };
  private series: readonly SeriesFacts[] = [];

  constructor(private readonly root: string) {}

  /** How a case is hung when it opens. */
  async first(series: readonly SeriesFacts[]): Promise<Hanging> {
    const kept = await protocolsKept();
    const made = [...kept.mine, ...kept.site];
    this.series = series;
    if (asksMore(made)) this.more = await this.surroundings(series).catch(() => this.more);
    else this.more = { ...this.more, views: await this.views(series) };
    return this.use(hang(series, [...made, ...shipped], this.more), made);
  }

  private use(hanging: Hanging, made: readonly Protocol[]): Hanging {
    this.protocol = hanging.protocol;
    this.own = hanging.protocol !== null && made.includes(hanging.protocol);
    this.at = 0;
    return hanging;
  }

  /** Hang the case by one protocol, whatever it is for; null where a series that it needs is missing. */
  async by(protocol: Protocol, series: readonly SeriesFacts[]): Promise<Hanging | null> {
    this.series = series;
    if (asksMore([protocol])) this.more = await this.surroundings(series);
    else this.more = { ...this.more, views: await this.views(series) };
    const placed = placeStage(series, protocol, this.more);
    return placed && this.use({ ...placed, name: protocol.name, protocol }, [protocol]);
  }

  private async surroundings(series: readonly SeriesFacts[]): Promise<Surroundings> {
    const study = series[0]?.studyInstanceUid ?? "";
    const priors = await ask<Prior[]>(`/api/studies/${study}/priors`);
    this.prior = priors[0]?.study_instance_uid ?? "";
    const prior = this.prior ? await seriesOfStudy(this.root, this.prior) : [];
    const bodyParts = new Map<string, string>();
    const lateralities = new Map<string, string>();
    for (const uid of new Set([...series, ...prior].map((each) => each.studyInstanceUid))) {
      const found = await ask<DicomJson[]>(
        `${this.root}/studies/${uid}/series?includefield=00180015,00200060`,
        {
          headers: { Accept: "application/dicom+json" },
        },
      );
      for (const each of found) {
        const value = (tag: string) => String(each[tag]?.Value?.[0] ?? "");
        bodyParts.set(value("0020000E"), value("00180015"));
        lateralities.set(value("0020000E"), value("00200060"));
      }
    }
    const views = await this.views([...series, ...prior]);
    return { priors: priors.length, prior, bodyParts, lateralities, views };
  }

  /** What the images of mammograms show; nothing of a series that cannot be read. */
  private async views(series: readonly SeriesFacts[]): Promise<Map<string, ViewedSet[]>> {
    const asked = series.filter((each) => each.modality === "MG").slice(0, VIEWED_SERIES_MAX);
    const found = await Promise.all(
      asked.map(async (each): Promise<[string, ViewedSet[]]> => {
        const contents = await contentsOf(this.root, each).catch(() => null);
        const sets = (contents?.sets ?? []).map(({ id, pictures }) => ({
          id,
          ...viewOf(pictures[0]?.data ?? {}),
        }));
        return [each.seriesInstanceUid, sets];
      }),
    );
    return new Map(found);
  }

  get count(): number {
    return 1 + (this.protocol?.stages?.length ?? 0);
  }

  /** The next stage or the one before; null when there is none, or when the study lacks what it asks for. */
  step(by: number): Hanging | null {
    const { protocol } = this;
    const to = this.at + by;
    const stage = to === 0 ? protocol : protocol?.stages?.[to - 1];
    const placed = protocol && stage ? placeStage(this.series, stage, this.more) : null;
    if (!placed || !protocol) return null;
    this.at = to;
    return { ...placed, name: stage?.name || `Stage ${to + 1}`, protocol };
  }
}
