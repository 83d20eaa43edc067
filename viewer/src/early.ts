// Questions to the server that are asked before the code that needs their answers is there. It imports nothing.

interface Facts {
  dicomweb: string;
  studies: { study_instance_uid: string; series: { series_instance_uid: string; modality: string }[] }[];
}

const NO_IMAGES = new Set(["SR", "PR", "KO", "SEG", "RTSTRUCT", "RTPLAN", "DOC", "REG", "RWV", "ECG"]);
const DICOM_JSON = "application/dicom+json";
const early = new Map<string, Promise<Response>>();

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

/** Ask for what the user chose, which every case begins with. */
export function askChoices(): void {
  ask("/api/hanging-protocols", "application/json");
  ask("/api/preferences", "application/json");
}

function ask(address: string, accept: string): void {
  const answer = fetch(address, { credentials: "same-origin", headers: { Accept: accept } });
  answer.catch(() => undefined); // whoever takes it is told
  early.set(address, answer);
}

/** The answer to what was asked before, once; undefined where it was not. */
export function takeEarly(address: string): Promise<Response> | undefined {
  const answer = early.get(address);
  early.delete(address);
  return answer;
}
