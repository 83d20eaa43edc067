"""Images that become sharper while they load, in a real browser.

What is shown before all of an image is there is called a preview, nothing is measured on it, and
at the end every value is the one that was stored.
"""

import base64
import re

import numpy as np
import pytest
from pydicom.uid import generate_uid

from isocenter.app.renditions import ProcessorShare, RenditionMaker
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.service import renditions
from isocenter.infra.blobs.several import SeveralStores
from tests.e2e.pages.test_workspace import canvas_points, expect, go, voxels, ward
from tests.e2e.pages.workspace_images import a_slice, ct, part10
from tests.e2e.product import until

__all__ = ["ward"]  # a fixture
SYSTEM = Actor.system("test")


def make_renditions(hospital, study_uid, count=3):
    now = hospital.clock()
    with hospital.database.transaction() as tx:
        assert renditions.want_renditions(tx, SYSTEM, study_uid, ["CT"], now=now) == 1
    stores = SeveralStores({"main": hospital.blobs})
    share = ProcessorShare(100, lambda _: None)
    maker = RenditionMaker(
        hospital.database, stores, SYSTEM, hospital.clock, ("CT",), share, lambda: False
    )
    assert maker.run() == count


def test_a_preview_is_called_one_and_measured_on_when_the_image_is_whole(ward):
    number, study_uid = ward.hospital.order(3), generate_uid()
    slices = ct(study_uid, number, patient=3, count=3)
    slices[1].PixelRepresentation, slices[1].RescaleIntercept = 1, 0
    slices[1].PixelData = a_slice(2).astype("<i2").tobytes()
    ward.store([part10(each) for each in slices])
    make_renditions(ward.hospital, study_uid)
    page = ward.context.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: ward.complaints.append(str(error)))
    held, released = [], []

    def hold_the_rest(route):
        if begins(route.request) and not released:
            held.append(route)
        else:
            route.continue_()

    page.route("**/frames/*?accept=*", hold_the_rest)
    page.goto(f"/studies/{study_uid}/read", wait_until="commit")
    quality = page.locator(".pane .quality").first
    expect(quality).to_contain_text("Preview", timeout=60_000)
    until(lambda: page.evaluate("1") and held, what="the rest of the image is asked for")
    page.keyboard.press("e")
    draw(page, [(30, 30), (60, 50)])
    assert page.evaluate("isocenterWorkspace.measurements.list.length") == 0

    released.append(True)
    for each in held:
        each.continue_()
    page.wait_for_selector("html[data-ready=true]")
    expect(quality).not_to_contain_text("Preview")
    np.testing.assert_array_equal(voxels(page), a_slice(2))
    draw(page, [(30, 30), (60, 50)])
    expect(page.locator("#measurement-count")).to_have_text("1")
    go(page, 0)
    np.testing.assert_array_equal(voxels(page), a_slice(1))
    page.close()


def begins(request):
    """The first byte that is asked for."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])


def draw(page, indices):
    first, last = canvas_points(page, indices)
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*last, steps=5)
    page.mouse.up()


# What the active viewport shows: its points' red, where its corners are in the image, its window.
SHOWN = """async (byGraphics) => {
  const pane = isocenterWorkspace.grid.active;
  const { viewport } = pane;
  const engine = isocenterWorkspace.engine._implementation;
  const name = "renderViewportUsingCustomOrVtkPipeline";
  const replaced = Object.hasOwn(engine, name);
  const own = engine[name];
  if (byGraphics) delete engine[name]; // the engine's own is under it
  const drawn = new Promise((done) =>
    pane.canvas.addEventListener("CORNERSTONE_IMAGE_RENDERED", done, { once: true }));
  viewport.render();
  await drawn;
  if (byGraphics) engine[name] = own;
  const { canvas } = viewport;
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let red = "";
  for (let at = 0; at < data.length; at += 4) red += String.fromCharCode(data[at]);
  const { imageData } = viewport.getImageData();
  const at = (x, y) =>
    imageData.worldToIndex(viewport.canvasToWorld([x / devicePixelRatio, y / devicePixelRatio]));
  const { voiRange, invert } = viewport.getProperties();
  const corners = [at(0, 0), at(width, 0), at(0, height)];
  return [replaced, width, height, btoa(red), corners, voiRange.lower, voiRange.upper, invert];
}"""


def shown(page, values, *, by_graphics=False):
    """The points that are shown, and what numpy makes of the image for the same view."""
    replaced, width, height, red, corners, lower, upper, inverted = page.evaluate(
        SHOWN, by_graphics
    )
    assert replaced, "plain images are not drawn by the processor here"
    seen = np.frombuffer(base64.b64decode(red), "u1").reshape(height, width)
    first, right, down = (np.array(each[:2]) for each in corners)
    across, along = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    places = first + across[None, :, None] * (right - first) + along[:, None, None] * (down - first)
    rows, columns = values.shape
    inside = ((places >= -0.5) & (places < [columns - 0.5, rows - 0.5])).all(axis=2)
    places = places.clip(0, [columns - 1, rows - 1])
    column, row = (places[..., axis] for axis in (0, 1))
    left, top = (np.floor(each).astype(int) for each in (column, row))
    beside, below = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    upper_line = values[top, left] + (values[top, beside] - values[top, left]) * (column - left)
    lower_line = values[below, left] + (values[below, beside] - values[below, left]) * (
        column - left
    )
    value = upper_line + (lower_line - upper_line) * (row - top)
    grey = ((value - lower) / (upper - lower)).clip(0, 1) * 255
    return seen, np.where(inside, 255 - grey if inverted else grey, 0)


def test_images_drawn_by_the_processor_are_those_of_the_engine_and_of_numpy(ward):
    number, study_uid = ward.hospital.order(5), generate_uid()
    ward.store([part10(each) for each in ct(study_uid, number, patient=5, count=2)])
    page = ward.open(f"/studies/{study_uid}/read")
    values = voxels(page).astype(float)
    views = {
        "as it hangs": "",
        "turned, flipped, inverted": "look.rotate(90); look.flip('flipHorizontal'); look.invert()",
        "aslant and magnified": "look.rotate(30); pane.viewport.setZoom(2.7)",
    }
    for name, change in views.items():
        page.evaluate(
            "() => { const pane = isocenterWorkspace.grid.active; const look = pane.appearance;"
            f" {change} }}"
        )
        seen, wanted = shown(page, values)
        away = np.abs(seen - wanted)
        # At the image's border a point may fall on either side.
        assert np.quantile(away, 0.999) <= 1, name
        assert (away > 1).sum() <= 2 * sum(seen.shape), name
        by_graphics, _ = shown(page, values, by_graphics=True)
        apart = np.abs(seen.astype(int) - by_graphics)
        # The engine's weights between two pixels have eight bits, and its window a thousand steps.
        assert np.quantile(apart, 0.99) <= 3, name
        assert apart.mean() < 0.5, name
    page.close()


LARGE, DEPTH, BESIDE_MM = 512, 16, 0.2
SLOW_LINE = {  # 20 Mbit/s, 30 ms
    "offline": False,
    "latency": 30,
    "downloadThroughput": 2_500_000,
    "uploadThroughput": 2_500_000,
}


def tissue(number):
    """Hounsfield units of a large slice: a bright half, a dark half, and noise that takes long."""
    noise = np.random.default_rng(number).normal(0, 12, (LARGE, LARGE))
    halves = np.where(np.arange(LARGE) < LARGE // 2, 140, -60)
    return (halves + noise).round().astype(np.int16)


def large_ct(study_uid, number):
    slices = ct(study_uid, number, patient=6, count=DEPTH)
    for at, each in enumerate(slices):
        each.Rows = each.Columns = LARGE
        each.PixelSpacing = [BESIDE_MM, BESIDE_MM]
        each.RescaleSlope, each.RescaleIntercept = 2, -1024
        each.PixelData = ((tissue(at) // 2 * 2 + 1024) // 2).astype("<u2").tobytes()
    return slices


# Voxels of the shown volume as the tools count them; how bright the halves of the first plane are.
VOLUME = """() => {
  const { viewport } = isocenterWorkspace.grid.panes[0];
  const values = Int16Array.from(viewport.getImageData().voxelManager.getCompleteScalarDataArray());
  let text = "";
  const bytes = new Uint8Array(values.buffer);
  for (let at = 0; at < bytes.length; at += 32768)
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}"""
HALVES = """() => {
  const { viewport } = isocenterWorkspace.grid.panes[0];
  const [, , z] = viewport.getCamera().focalPoint;
  const pencil = viewport.canvas.getContext("2d");
  return [-30, 20].map((x) => {
    const [left, top] = viewport.worldToCanvas([x, 0, z]).map((at) => at * devicePixelRatio);
    const { data } = pencil.getImageData(left - 10, top - 10, 20, 20);
    return data.filter((_, at) => at % 4 === 0).reduce((sum, each) => sum + each, 0) / 400;
  });
}"""
RECTANGLE = """async ([study, first, last]) => {
  const { viewport, set } = isocenterWorkspace.grid.panes[0];
  const { imageData } = viewport.getImageData();
  const k = Math.round(imageData.worldToIndex(viewport.getCamera().focalPoint)[2]);
  const at = (i, j) => imageData.indexToWorld([i, j, k]);
  const [left, right] = [first, last];
  const body = {
    series_instance_uid: set.series.seriesInstanceUid,
    sop_instance_uid: set.pictures[k].sopInstanceUid,
    frame_number: 1, tool: "RectangleROI", label: "region",
    content: {
      points: [at(left, left), at(right, left), at(left, right), at(right, right)],
      frame_of_reference_uid: set.frameOfReferenceUid, statistics: [],
      view_plane_normal: viewport.getCamera().viewPlaneNormal, view_up: viewport.getCamera().viewUp,
    },
  };
  const path = `/api/studies/${study}/measurements/${crypto.randomUUID()}`;
  const headers = { "Content-Type": "application/json" };
  await fetch(path, { method: "PUT", headers, body: JSON.stringify(body) });
  await isocenterWorkspace.measurements.load(study);
  viewport.render();
  return k;
}"""


def test_a_volume_is_shown_from_previews_and_measured_when_every_voxel_is_there(ward):
    number, study_uid = ward.hospital.order(6), generate_uid()
    slices = large_ct(study_uid, number)
    ward.store([part10(each) for each in slices])
    make_renditions(ward.hospital, study_uid, DEPTH)
    page = ward.context.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: ward.complaints.append(str(error)))
    held, released = [], []

    def hold_the_rest(route):
        if route.request.headers.get("range", "-").endswith("-") and not released:
            held.append(route)
        else:
            route.continue_()

    page.route("**/frames/*?accept=*", hold_the_rest)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW_LINE)
    page.goto(f"/studies/{study_uid}/read", wait_until="commit")
    quality = page.locator(".pane .quality").first
    expect(quality).to_contain_text("Preview", timeout=60_000)

    # Within a range nothing is painted on previews.
    page.evaluate(
        "isocenterWorkspace.tool('Brush'); isocenterWorkspace.brush.set({ range: [0, null] })"
    )
    draw(page, [(50, 50), (60, 60)])  # of the smaller image that a preview is
    expect(page.locator("#status")).to_contain_text("Preview: painting within a range waits")

    # The planes are drawn from previews, as bright as they will be, and say what they are.
    page.keyboard.press("m")
    expect(quality).to_contain_text(f"Preview, 0 of {DEPTH} images whole")
    expect(page.locator(".pane .message").first).to_be_hidden()
    shades = [(value + 160) / 400 * 255 for value in (140, -60)]
    until(lambda: np.allclose(page.evaluate(HALVES), shades, atol=6), what="planes of previews")

    # What was measured before has no numbers from previews, and nothing new is drawn.
    k = page.evaluate(RECTANGLE, [study_uid, 100.5, 149.5])
    words = page.locator(".pane").first.locator("svg text")
    expect(words).to_have_text(re.compile("Preview"))
    page.keyboard.press("e")
    for index in range(3):
        box = page.locator(".pane").nth(index).bounding_box()
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
        page.mouse.up()
    assert page.evaluate("isocenterWorkspace.measurements.list.length") == 1
    kept = ward.api(f"/api/studies/{study_uid}/measurements")
    assert [each["content"]["statistics"] for each in kept] == [[]]

    released.append(True)
    for each in held:
        each.continue_()
    expect(quality).not_to_contain_text("Preview", timeout=60_000)
    found = np.frombuffer(base64.b64decode(page.evaluate(VOLUME)), "<i2")
    stored = np.stack([tissue(at) // 2 * 2 for at in range(DEPTH)])
    np.testing.assert_array_equal(found.reshape(stored.shape), stored)
    until(lambda: np.allclose(page.evaluate(HALVES), shades, atol=6), what="planes of all voxels")
    region = stored[k, 101:150, 101:150]
    expect(words).to_contain_text(f"Mean {region.mean():.1f} HU")
    path = f"/api/studies/{study_uid}/measurements"
    until(lambda: ward.api(path)[0]["content"]["statistics"], what="the region's numbers are kept")
    told = {each["name"]: each["value"] for each in ward.api(path)[0]["content"]["statistics"]}
    assert told["Mean"] == pytest.approx(region.mean(), abs=1e-9)
    assert (told["Min"], told["Max"]) == (region.min(), region.max())
    page.close()
