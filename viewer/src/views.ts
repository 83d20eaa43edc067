// Which breast a mammogram shows, and from where: of each image, whatever series it came in. PS3.3 C.8.11.7

import { type DicomJson, functionalGroup, items, TAG, text } from "./dicom.ts";

export interface View {
  laterality: string; // R, L, B; empty where it is not stated
  position: string; // CC, MLO, …; empty where it is not stated
}

const T = {
  viewCode: "00540220",
  codeValue: "00080100",
  seriesLaterality: "00200060",
  frameAnatomy: "00209071",
  frameLaterality: "00209072",
} as const;

// Of CID 4014, in the codes of today and in those before them.
const POSITIONS: Record<string, string> = {
  "399162004": "CC",
  "R-10242": "CC",
  "399368009": "MLO",
  "R-10226": "MLO",
  "399260004": "ML",
  "R-10224": "ML",
  "399352003": "LM",
  "R-10228": "LM",
  "399099002": "LMO",
  "R-10230": "LMO",
  "399188001": "SIO",
  "R-102D0": "SIO",
  "441555000": "ISO",
  "R-40AAA": "ISO",
  "399196006": "FB",
  "R-10244": "FB",
  "399192008": "XCCL",
  "R-1024A": "XCCL",
  "399101009": "XCCM",
  "R-1024B": "XCCM",
};

/** The breast and the projection of a mammogram. */
export function viewOf(data: DicomJson): View {
  const anatomy = functionalGroup(data, 0, T.frameAnatomy);
  const coded = POSITIONS[text(items(data, T.viewCode)[0], T.codeValue)];
  return {
    laterality:
      text(data, TAG.laterality) || text(anatomy, T.frameLaterality) || text(data, T.seriesLaterality),
    position: coded ?? text(data, TAG.viewPosition).toUpperCase(),
  };
}

/** The images in groups of one view each, in the order in which the views come; one group where none is known. */
export function byView<Each>(given: readonly Each[], dataOf: (each: Each) => DicomJson): Map<string, Each[]> {
  const groups = new Map<string, Each[]>();
  for (const each of given) {
    const { laterality, position } = viewOf(dataOf(each));
    const name = `${laterality} ${position}`.trim();
    groups.set(name, [...(groups.get(name) ?? []), each]);
  }
  return groups;
}
