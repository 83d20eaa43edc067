"""What reaches beyond the workspace's page, in a real browser: frames, windows, export, protocols.

The page around the frame is of another site: localhost for the browser, 127.0.0.1 for us.
"""

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image
from pydicom.uid import generate_uid

from isocenter.app.subscriptions import router
from isocenter.gateways.web.web import STATIC
from isocenter.gateways.web.workspace_assets import workspace_assets
from isocenter.infra.db import Database
from tests.e2e.pages.conftest import Site
from tests.e2e.pages.workspace_images import ct, part10
from tests.e2e.pictures import captured
from tests.e2e.product import until
from tests.hospital import PASSWORD, Hospital

AROUND = """<!doctype html><title>EHR</title><body style="margin:0">
<iframe src="%s" style="width:100%%;height:800px;border:0"></iframe>
<script>
  window.heard = [];
  addEventListener("message", (event) => window.heard.push([event.origin, event.data]));
  window.ask = (what) => frames[0].postMessage({ isocenter: 1, ...what }, "*");
</script>"""


class Chart(BaseHTTPRequestHandler):
    """The page of another system with a frame for ours: what follows ``?`` is framed."""

    def do_GET(self) -> None:
        content = (AROUND % self.path.partition("?")[2]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def charts() -> Iterator[list[str]]:
    """The origins of two other systems."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Chart) for _ in range(2)]
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    yield [f"http://localhost:{each.server_port}" for each in servers]
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.fixture(scope="module")
def ward(database_stock, tmp_path_factory, chromium, charts) -> Iterator[tuple[Site, str, str]]:
    """A site with one exam of two series: accession number and Study Instance UID."""
    if workspace_assets(STATIC) is None:
        pytest.skip("the reading workspace is not here: make viewer builds it")
    url = database_stock.take()
    database = Database(url, router=router(), connections_max=8)
    site = Site(Hospital(database, tmp_path_factory.mktemp("outside") / "objects", ehr=charts[0]))
    hospital = site.hospital
    hospital.user("ada")
    accession, study_uid = hospital.order(1), generate_uid()
    images, others = ct(study_uid, accession, count=8), ct(study_uid, accession, count=3)
    for each in others:
        each.SeriesDescription = "Bone"
    parts = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part10(each) + b"\r\n"
        for each in (*images, *others)
    )
    answer = hospital.program("tom").post(
        "/dicomweb/studies",
        content=parts + b"--b--",
        headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    )
    assert answer.status_code == 200, answer.text
    hospital.dispatcher.run_once()
    yield site, accession, study_uid
    site.stop()
    hospital.pool.close()
    database.close()
    database_stock.give_back(url)


@pytest.fixture(scope="module")
def browser(ward, chromium):
    """A browser in which Ada is signed in."""
    site, _, _ = ward
    context = chromium.new_context(base_url=site.url, viewport={"width": 1300, "height": 850})
    context.set_default_timeout(60_000)
    door = context.new_page()
    door.goto("/sign-in")
    door.get_by_label("User name").fill("ada")
    door.get_by_label("Password").fill(PASSWORD)
    door.keyboard.press("Enter")
    door.wait_for_url(f"{site.url}/")
    door.close()
    yield context
    context.close()


@pytest.fixture(scope="module")
def page(ward, browser):
    """Her reading page, opened once: what a test opens over it, it closes."""
    _, accession, _ = ward
    made = browser.new_page()
    made.goto(f"/exams/{accession}/read")
    made.wait_for_selector("html[data-ready=true]")
    return made


def position(page, pane=0):
    return page.evaluate(f"isocenterWorkspace.grid.panes[{pane}].position")


def heard(page, kind):
    return [data for origin, data in page.evaluate("heard") if data["type"] == kind]


def test_an_ehr_shows_the_report_and_images_in_its_frame_and_talks_with_them(
    ward, chromium, charts, shots
):
    site, accession, study_uid = ward
    hospital = site.hospital
    asked = {
        "parameters": {"requestType": "STUDY", "studyUID": study_uid},
        "view": "clinician",
        "frame_origin": charts[0],
        "on_behalf_of": "Dr Phantom",
    }
    launched = hospital.program("ada").post("/api/launch", json=asked).json()["url"]
    address = site.url + launched[launched.index("/launch") :]
    context = chromium.new_context(viewport={"width": 1100, "height": 820})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{charts[0]}/chart?{address}")
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready=true]").wait_for()
    assert frame.get_by_role("heading", name="Report").is_visible()
    assert frame.locator(".pane canvas").first.is_visible()
    assert not frame.get_by_role("button", name="Length").is_visible()
    (cookie,) = context.cookies(site.url)
    assert (cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) == ("None", True, True)
    until(lambda: heard(page, "ready"), what="the frame says that it is ready")
    assert heard(page, "ready")[0]["accession_number"] == accession
    assert {origin for origin, _ in page.evaluate("heard")} == {site.url}
    shots(page, "embedded")
    inner = page.frames[1]
    images = inner.evaluate(
        "isocenterWorkspace.grid.active.set.pictures.map((each) => each.sopInstanceUid)"
    )
    at = (position(inner) + 2) % len(images)
    page.evaluate("what => ask(what)", {"type": "open", "sop_instance_uid": images[at]})
    until(lambda: position(inner) == at, what="the image that was asked for")
    # Another site cannot show it, whatever it holds.
    stranger = context.new_page()
    stranger.goto(f"{charts[1]}/chart?{site.url}/exams/{accession}/embed")
    until(lambda: len(stranger.frames) > 1, what="a frame")
    assert stranger.frame_locator("iframe").locator("#workspace").count() == 0
    context.close()


def test_windows_of_one_desk_stay_in_step_and_close_together(page, browser, shots):
    with browser.expect_page() as more:
        page.keyboard.press("Shift+W")
    second = more.value
    second.wait_for_selector("html[data-ready=true]")
    page.keyboard.press("Home")
    until(lambda: position(second) == position(page) == 0, what="both at the first image")
    page.keyboard.press("ArrowDown")
    until(lambda: position(second) == position(page) == 1, what="both at the second image")
    second.keyboard.press("PageDown")
    until(lambda: position(page) == position(second) > 1, what="the main window follows as well")
    page.keyboard.press("2")
    window = "JSON.stringify(isocenterWorkspace.grid.active.appearance.range())"
    until(lambda: page.evaluate(window) == second.evaluate(window), what="one window for both")
    shots(second, "second")
    with second.expect_event("close"):
        page.keyboard.press("Shift+Q")


def test_an_image_is_linked_saved_printed_and_taken_away(
    ward, page, browser, chromium, tmp_path, shots
):
    site, _, study_uid = ward
    sop = page.evaluate("isocenterWorkspace.grid.active.set.pictures[1].sopInstanceUid")
    page.evaluate("sop => { location.hash = `image=${sop}:1`; }", sop)
    shown = "isocenterWorkspace.grid.active.picture.sopInstanceUid"
    until(lambda: page.evaluate(shown) == sop, what="the image that the address names")
    page.keyboard.press("Shift+E")
    shots(page, "export")
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG").click()
    with Image.open(saved.value.path()) as picture:
        assert picture.width > 200
        assert max(high for _, high in picture.convert("RGB").getextrema()) > 100
    assert site.hospital.audited("study.export_picture")[0][1] == study_uid
    page.keyboard.press("Shift+E")
    with page.expect_download() as saved:
        page.get_by_role("link", name=re.compile("DICOM files")).click()
    with zipfile.ZipFile(io.BytesIO(saved.value.path().read_bytes())) as archive:
        archive.extractall(tmp_path)
    with browser.expect_page() as more:
        page.get_by_role("button", name="Print what is shown").click()
    paper = more.value
    paper.wait_for_load_state()
    assert paper.evaluate("[...document.images].every((each) => each.naturalWidth > 0)")
    shots(paper, "print")
    paper.close()
    alone = chromium.new_context(offline=True, viewport={"width": 900, "height": 650})
    disc = alone.new_page()
    disc.goto((tmp_path / "INDEX.HTM").as_uri())
    until(lambda: disc.evaluate("document.getElementById('image').naturalWidth > 0"), what="image")
    before = disc.locator("#place").inner_text()
    disc.keyboard.press("ArrowDown")
    assert disc.locator("#place").inner_text() != before
    shots(disc, "disc")
    alone.close()


def test_a_protocol_is_made_from_what_is_shown_and_hangs_the_next_time(ward, page, shots):
    site, _, _ = ward
    page.keyboard.press("Shift+H")
    dialog = page.get_by_role("dialog", name="Hanging protocols")
    dialog.get_by_role("button", name="Add to mine").click()
    dialog.get_by_label("Name").fill("Bone first")
    dialog.get_by_label("Columns").select_option("2")
    dialog.get_by_role("group", name="Viewport 1").get_by_label("Series holds").fill("bone")
    dialog.get_by_role("button", name="Add a stage").click()
    dialog.get_by_label("Rows").select_option("4")
    dialog.get_by_label("Columns").select_option("5")
    shots(page, "hanging")
    dialog.get_by_role("button", name="Save").click()
    dialog.wait_for(state="detached")
    (kept,) = site.hospital.program("ada").get("/api/hanging-protocols").json()["mine"]
    assert (kept["name"], kept["columns"], len(kept["stages"][0]["series"])) == (
        "Bone first",
        2,
        20,
    )
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    labels = "JSON.stringify(isocenterWorkspace.grid.panes.map((p) => p.set?.series.label ?? null))"
    assert "Bone" in json.loads(page.evaluate(labels))[0]
    page.keyboard.press("Shift+>")
    until(lambda: page.locator(".pane").count() == 20, what="the second stage")
    shots(page, "stage")


@pytest.fixture
def shots(tmp_path):
    """Keeps what was seen beside the test's files, for people to look at."""
    return lambda page, name: captured(page, tmp_path / f"{name}.png")
