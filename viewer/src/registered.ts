// Brings the registration objects of studies from the archive.

import type { DicomJson } from "./dicom.ts";
import { ask } from "./engine.ts";
import type { Registrations } from "./registration.ts";

const STUDIES_MAX = 50; // that are asked for registrations
const OBJECTS_MAX = 100;
const METADATA_TYPE = { headers: { Accept: "application/dicom+json" } };

/** Learn what the registration objects of these studies say. */
export async function learn(into: Registrations, root: string, studies: readonly string[]): Promise<void> {
  const uids = studies.slice(0, STUDIES_MAX).join(",");
  if (!uids) return;
  const found = await ask<DicomJson[]>(
    `${root}/instances?Modality=REG&StudyInstanceUID=${uids}&limit=${OBJECTS_MAX}`,
    METADATA_TYPE,
  );
  const one = (data: DicomJson, tag: string) => String(data[tag]?.Value?.[0] ?? "");
  for (const each of found) {
    const [study, series, instance] = ["0020000D", "0020000E", "00080018"].map((tag) => one(each, tag));
    const path = `${root}/studies/${study}/series/${series}/instances/${instance}/metadata`;
    for (const data of await ask<DicomJson[]>(path, METADATA_TYPE)) into.add(data);
  }
}
