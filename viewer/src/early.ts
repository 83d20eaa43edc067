// Questions to the server that are asked before the code that needs their answers is there, or before a case that needs
// them is opened. It imports nothing.

interface Facts {
  dicomweb: string;
  studies: { study_instance_uid: string; series: { series_instance_uid: string; modality: string }[] }[];
}

/** What the server answered, of which nothing is still on its way. */
export interface Answer {
  status: number;
  ok: boolean;
  json(): Promise<unknown>;
}

const NO_IMAGES = new Set(["SR", "PR", "KO", "SEG", "RTSTRUCT", "RTPLAN", "DOC", "REG", "RWV", "ECG"]);
const DICOM_JSON = "application/dicom+json";
const early = new Map<string, Promise<Answer>>();

/** Ask for what the workspace begins with: the user's choices, and the metadata of the series that comes first. */
export function askEarly(): void {
  const text = document.getElementById("workspace-facts")?.textContent;
  if (!text) return;
  const facts = JSON.parse(text) as Facts;
  const [study] = facts.studies;
  askChoices();
  const linked = /series=([0-9.]+)/.exec(location.hash)?.[1];
  const first =
    study?.series.find((each) => each.series_instance_uid === linked) ??
    study?.series.find((each) => !NO_IMAGES.has(each.modality));
  if (!study || !first) return;
  const root = `${location.origin}${facts.dicomweb}/studies/${study.study_instance_uid}`;
  ask(`${root}/series/${first.series_instance_uid}/metadata`, DICOM_JSON);
  ask(`/api/studies/${study.study_instance_uid}/renditions`, "application/json");
}

/** Ask for what the user chose, which every case begins with, unless that is known. */
export function askChoices(): void {
  for (const address of ["/api/hanging-protocols", "/api/preferences"])
    if (!early.has(address)) ask(address, "application/json");
}

/** Have the browser bring what is stored for this site: whoever looks at it first waits for that. */
export function openStorage(): void {
  try {
    void localStorage.length;
  } catch {
    // A frame without storage: whoever uses it finds out.
  }
}

function ask(address: string, accept: string): void {
  const answer = answered(address, accept);
  early.set(address, answer);
  answer.catch(() => early.delete(address)); // whoever has taken it is told
}

async function answered(address: string, accept: string): Promise<Answer> {
  const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: accept } });
  const text = await answer.text();
  return { status: answer.status, ok: answer.ok, json: async () => JSON.parse(text) as unknown };
}

/** The answer to what was asked before, once; undefined where it was not. */
export function takeEarly(address: string): Promise<Answer> | undefined {
  const answer = early.get(address);
  early.delete(address);
  return answer;
}

/** Something below this address is changed: what was asked there before is not so any more. */
export function forgetEarly(changed: string): void {
  for (const address of early.keys()) if (changed.startsWith(address)) early.delete(address);
}
