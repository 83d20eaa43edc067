// Reading of objects that are no images, against numbers from elsewhere.
import { describe, expect, it } from "vitest";
import { firstPart } from "../src/bulk.ts";
import { contourLiesOn, onPlane, structures } from "../src/contours.ts";
import type { DicomJson } from "../src/dicom.ts";
import type { Picture } from "../src/displaysets.ts";
import { scaleOf, waveforms } from "../src/ecg.ts";
import { familyOf } from "../src/objects.ts";
import { bitAt, overlayPlanes } from "../src/overlayplanes.ts";
import { directionsOf, names, stateOf, turnOf } from "../src/presentation.ts";
import { liesOn, placeOn, rgbOf, segmentation } from "../src/segments.ts";
import { reportLines, selectedImages } from "../src/srtree.ts";

const sq = (...Value: DicomJson[]) => ({ vr: "SQ", Value });
const cs = (...Value: unknown[]) => ({ vr: "CS", Value });
const code = (meaning: string, value = "X") => sq({ "00080100": cs(value), "00080104": cs(meaning) });

function picture(z = 5, uid = "1.2.3"): Picture {
  const plane = {
    position: [-10, -20, z] as const,
    row: [1, 0, 0] as const,
    column: [0, 1, 0] as const,
    spacing: [0.5, 0.25] as const,
    rows: 100,
    columns: 200,
  };
  return { imageId: `wadors:${uid}`, sopInstanceUid: uid, frame: 1, data: {}, plane };
}

describe("structured reports", () => {
  const image = { "0040A040": cs("IMAGE"), "00081199": sq({ "00081155": cs("1.2.3"), "00081160": cs(4) }) };
  const report: DicomJson = {
    "0040A040": cs("CONTAINER"),
    "0040A043": code("Report"),
    "0040A730": sq(
      {
        "0040A040": cs("NUM"),
        "0040A043": code("Mean"),
        "0040A300": sq({ "0040A30A": cs("41.41421356237"), "004008EA": code("Hounsfield unit", "[hnsf'U]") }),
        "0040A730": sq({
          "0040A040": cs("SCOORD"),
          "00700023": cs("POLYLINE"),
          "00700022": cs(1, 2, 3, 4),
          "0040A730": sq(image),
        }),
      },
      {
        "0040A040": cs("PNAME"),
        "0040A043": code("Observer"),
        "0040A123": { vr: "PN", Value: [{ Alphabetic: "Phantom^Ada" }] },
      },
      { "0040A040": cs("DATETIME"), "0040A043": code("When"), "0040A120": cs("20260302101500.5+0100") },
      { "0040A040": cs("NUM"), "0040A043": code("Unmeasured"), "0040A301": code("Not a number") },
    ),
  };
  it("are lines in the order of the tree, whoever wrote them", () => {
    expect(reportLines(report).map((each) => [each.depth, each.name, each.value])).toEqual([
      [0, "Report", ""],
      [1, "Mean", "41.4142 HU"],
      [2, "Drawn as", "polyline, 2 points"],
      [3, "", "image"],
      [1, "Observer", "Phantom, Ada"],
      [1, "When", "2026-03-02 10:15:00"],
      [1, "Unmeasured", "Not a number"],
    ]);
    expect(reportLines(report)[3]?.image).toEqual({ sopInstanceUid: "1.2.3", frame: 4 });
  });
  it("name a segment as what was measured, which is no image to jump to", () => {
    const segment = { "00081155": cs("1.2.9"), "0062000B": cs(2) };
    const group: DicomJson = {
      "0040A040": cs("CONTAINER"),
      "0040A043": code("Measurement Group"),
      "0040A730": sq(
        { "0040A040": cs("IMAGE"), "0040A043": code("Referenced Segment"), "00081199": sq(segment) },
        {
          "0040A040": cs("NUM"),
          "0040A043": code("Volume"),
          "0040A300": sq({ "0040A30A": cs("1.536"), "004008EA": code("cubic centimeter", "cm3") }),
        },
      ),
    };
    expect(reportLines(group).map((each) => [each.name, each.value, each.image])).toEqual([
      ["Measurement Group", "", null],
      ["Referenced Segment", "segment 2", null],
      ["Volume", "1.536 cm³", null],
    ]);
  });
  it("select key images, each once", () => {
    const other = { ...image, "00081199": sq({ "00081155": cs("1.2.4") }) };
    expect(selectedImages({ "0040A730": sq(image, other, image) })).toEqual([
      { sopInstanceUid: "1.2.3", frame: 4 },
      { sopInstanceUid: "1.2.4", frame: 1 },
    ]);
  });
});

it("tells families by SOP class, and video by its encoding", () => {
  const of = (uid: string, syntax = "1.2.840.10008.1.2.1") =>
    familyOf({ "00080016": cs(`1.2.840.10008.5.1.4.1.1.${uid}`), "00083002": cs(syntax) });
  expect(["88.33", "88.59", "11.1", "66.4", "481.3", "104.1", "9.1.1", "2"].map((each) => of(each))).toEqual([
    "report",
    "key",
    "state",
    "segments",
    "structures",
    "document",
    "waveform",
    "",
  ]);
  expect(of("77.1.1.1", "1.2.840.10008.1.2.4.102")).toBe("video");
});

describe("presentation states", () => {
  it("turn and flip as the standard orders them: eight ways, each back from its directions", () => {
    for (const rotation of [0, 90, 180, 270])
      for (const flipped of [false, true]) {
        const { right, down } = directionsOf(rotation, flipped);
        expect(turnOf(right, down)).toEqual({ rotation, flipped });
      }
    // Turned clockwise by 90°, the image's left column is its top row: up in the image is right on the screen.
    expect(directionsOf(90, false).right).toEqual([0, -1]);
  });
  it("say window, area, drawings and shutters of the images that they name", () => {
    const state = stateOf({
      "00081115": sq({ "00081140": sq({ "00081155": cs("1.2.3"), "00081160": cs(2) }) }),
      "00283110": sq({ "00281050": cs(60.5), "00281051": cs(160.25) }),
      "20500020": cs("INVERSE"),
      "00700042": cs(90),
      "00700041": cs("Y"),
      "0070005A": sq({ "00700052": cs(1, 1), "00700053": cs(128, 64) }),
      "00700001": sq({
        "00700009": sq({ "00700005": cs("PIXEL"), "00700023": cs("POLYLINE"), "00700022": cs(1, 2, 3, 4) }),
        "00700008": sq({ "00700006": cs("here"), "00700014": cs(5, 6), "00700004": cs("PIXEL") }),
      }),
      "00181600": cs("CIRCULAR"),
      "00181610": cs(50, 60),
      "00181612": cs(20),
    });
    expect(state.view).toEqual({
      window: [60.5, 160.25],
      inverted: true,
      rotation: 90,
      flipped: true,
      area: [
        [1, 1],
        [128, 64],
      ],
    });
    expect(state.graphics[0]?.graphics[0]?.points).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(state.graphics[0]?.words[0]).toEqual({ text: "here", at: [5, 6], ofDisplay: false });
    expect(state.shutters[0]?.points).toEqual([
      [59.5, 49.5],
      [79.5, 49.5],
    ]);
    expect(names(state.images, { sopInstanceUid: "1.2.3", frame: 2 })).toBe(true);
    expect(names(state.images, { sopInstanceUid: "1.2.3", frame: 1 })).toBe(false);
  });
});

describe("segmentations", () => {
  it("have the colours that their maker recommends", () => {
    // D50 white and the sRGB primaries, as ICC's reference transforms give them
    expect(rgbOf([65535, 32896, 32896])).toEqual([255, 255, 255]);
    const red = [54.29, 80.81, 69.89];
    const scaled = red.map((each, axis) =>
      Math.round(axis ? ((each + 128) * 65535) / 255 : (each * 65535) / 100),
    );
    const [r, g, b] = rgbOf(scaled) ?? [0, 0, 0];
    expect(Math.abs(r - 255) + g + b).toBeLessThan(6);
    expect(rgbOf([])).toBeNull();
  });
  it("lie where their planes are, with pixels of their own size", () => {
    const facts = segmentation({
      "00280008": cs(1),
      "00280010": cs(50),
      "00280011": cs(50),
      "00620001": cs("BINARY"),
      "00620002": sq({ "00620004": cs(1), "00620005": cs("Liver") }),
      "52009229": sq({
        "00289110": sq({ "00280030": cs(1, 0.5) }),
        "00209116": sq({ "00200037": cs(1, 0, 0, 0, 1, 0) }),
        "0062000A": sq({ "0062000B": cs(1) }),
      }),
      "52009230": sq({ "00209113": sq({ "00200032": cs(-5, -10, 5.2) }) }),
    });
    const [frame] = facts.frames;
    if (!frame) throw new Error("no frame");
    expect([facts.segments[0]?.label, frame.segment]).toEqual(["Liver", 1]);
    expect(liesOn(frame, picture(5))).toBe(true);
    expect(liesOn(frame, picture(6))).toBe(false);
    // 5 mm to the right of the first pixel's centre are 20 columns; its pixels are twice as large there
    expect(placeOn(frame, picture(5))).toEqual({ at: [19.5, 19.5], scale: [2, 2] });
  });
});

it("puts contours on the image of their plane", () => {
  const [heart] = structures({
    "30060020": sq({ "30060022": cs(7), "30060026": cs("Heart") }),
    "30060039": sq({
      "30060084": cs(7),
      "3006002A": cs(255, 0, 0),
      "30060040": sq({
        "30060042": cs("CLOSED_PLANAR"),
        "30060050": cs(-10, -20, 5, -5, -20, 5, -5, -15, 5),
      }),
    }),
  });
  const contour = heart?.contours[0];
  if (!heart || !contour) throw new Error("no contour");
  expect([heart.name, heart.colour, contour.closed]).toEqual(["Heart", "rgb(255 0 0)", true]);
  expect(contourLiesOn(contour, picture(5))).toBe(true);
  expect(contourLiesOn(contour, picture(8))).toBe(false);
  const { plane } = picture(5);
  if (!plane) throw new Error("no plane");
  expect(contour.points.map((each) => onPlane(plane, each))).toEqual([
    [0.5, 0.5],
    [20.5, 0.5],
    [20.5, 10.5],
  ]);
});

it("reads overlay planes bit by bit", () => {
  const bits = new Uint8Array([0b00000101, 0b1]);
  const inline = btoa(String.fromCharCode(...bits));
  const [plane] = overlayPlanes({
    "60020010": cs(3),
    "60020011": cs(3),
    "60020050": cs(4, 6),
    "60021500": cs("Contour"),
    "60023000": { vr: "OW", InlineBinary: inline },
  });
  expect(plane).toMatchObject({ rows: 3, columns: 3, origin: [4, 6], label: "Contour" });
  const set = Array.from({ length: 9 }, (_, at) => bitAt(plane?.bits ?? new Uint8Array(), at));
  expect(set).toEqual([true, false, true, false, false, false, false, false, true]);
});

it("reads interleaved samples of a waveform, to scale", () => {
  const channel = (label: string, sensitivity: number) => ({
    "003A0203": cs(label),
    "003A0210": cs(sensitivity),
    "003A0213": cs(0),
    "003A0211": code("microvolt", "uV"),
  });
  const group: DicomJson = {
    "003A0005": cs(2),
    "003A0010": cs(3),
    "003A001A": cs(500),
    "54001004": cs(16),
    "54001006": cs("SS"),
    "003A0200": sq(channel("I", 1), channel("II", 2.5)),
  };
  const found = waveforms(group, new Uint8Array(Int16Array.from([0, 10, 1000, -20, 500, 400]).buffer));
  expect(found?.channels.map((each) => [...each.values])).toEqual([
    [0, 1000, 500],
    [25, -50, 1000],
  ]);
  const first = found?.channels[0];
  expect(first && scaleOf(first).mmPerUnit * 1000).toBeCloseTo(10, 12); // 1000 µV are 10 mm
  expect(waveforms(group, new Uint8Array(4))).toBeNull();
});

it("takes the first part out of a multipart answer, and anything else whole", () => {
  const body = new TextEncoder().encode(
    "--b\r\nContent-Type: application/octet-stream\r\n\r\nab\r\ncd\r\n--b--",
  );
  expect(new TextDecoder().decode(firstPart(body, 'multipart/related; boundary="b"'))).toBe("ab\r\ncd");
  expect(firstPart(body, "application/octet-stream")).toBe(body);
});
