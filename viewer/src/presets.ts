// Windows that reading rooms use, by modality. Centre and width in the modality's units (CT: Hounsfield,
// PT: SUV body weight). PS3.3 C.11.2.1.2

export interface Preset {
  label: string;
  centre: number;
  width: number;
}

const PRESETS: Record<string, Preset[]> = {
  CT: [
    { label: "Soft tissue", centre: 40, width: 400 },
    { label: "Lung", centre: -600, width: 1500 },
    { label: "Bone", centre: 480, width: 2500 },
    { label: "Brain", centre: 40, width: 80 },
    { label: "Liver", centre: 60, width: 160 },
    { label: "Mediastinum", centre: 50, width: 350 },
    { label: "Stroke", centre: 35, width: 40 },
    { label: "Subdural", centre: 75, width: 215 },
    { label: "Angiography", centre: 300, width: 600 },
  ],
  PT: [
    { label: "SUV 0–5", centre: 2.5, width: 5 },
    { label: "SUV 0–7", centre: 3.5, width: 7 },
    { label: "SUV 0–10", centre: 5, width: 10 },
    { label: "SUV 0–15", centre: 7.5, width: 15 },
  ],
};

// What is read first in a region of the body stands first; the others follow in their order.
const FIRST: [RegExp, string[]][] = [
  [/HEAD|BRAIN|SKULL|IAC|ORBIT|SINUS/, ["Brain", "Stroke", "Subdural", "Bone"]],
  [/CHEST|THORAX|LUNG/, ["Lung", "Mediastinum", "Bone"]],
  [/SPINE|EXTREMITY|KNEE|HIP|SHOULDER|FOOT|ANKLE|HAND|WRIST|ELBOW/, ["Bone", "Soft tissue"]],
  [/HEART|CORONARY|AORTA|ANGIO/, ["Angiography", "Mediastinum"]],
  [/LIVER|ABDOMEN|PELVIS/, ["Soft tissue", "Liver", "Bone"]],
];

/** The presets for images of a modality; none where the scanner's own window is the only one with meaning. */
export function presetsFor(modality: string, bodyPart = ""): Preset[] {
  const all = PRESETS[modality] ?? [];
  const named = FIRST.find(([pattern]) => pattern.test(bodyPart.toUpperCase()))?.[1] ?? [];
  const first = named.flatMap((label) => all.filter((each) => each.label === label));
  return [...first, ...all.filter((each) => !first.includes(each))];
}
