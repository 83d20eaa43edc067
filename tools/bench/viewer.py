"""The reading workspace beside OHIF 3.13.2, on the same server and study.

Headless Chromium, drawing by the processor: how soon an image is there, how it scrolls, and what
the page keeps in memory.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page
from pydicom.filereader import dcmread  # pyright: ignore[reportUnknownVariableType] untyped there
from pydicom.uid import generate_uid

from tools.bench.ohif import OhifSite, ohif
from tools.reading_room import (
    WAIT_MS,
    Room,
    Scan,
    chromium,
    heap_bytes,
    reading_room,
    scan_files,
    signed_in,
)

# Whether there is an image. What looks at it is in the processor's memory: else each look would
# have the graphics process draw as well, for which the page would wait.
_LIT: Final = """() => [...document.querySelectorAll("canvas")].some((canvas) => {
  if (canvas.width < 200 || canvas.height < 200) return false;
  const small = (window.benchSmall ??= document.createElement("canvas"));
  [small.width, small.height] = [50, 50];
  const pencil = small.getContext("2d", { willReadFrequently: true });
  pencil.drawImage(canvas, 0, 0, 50, 50);
  const { data } = pencil.getImageData(0, 0, 50, 50);
  let bright = 0;
  for (let at = 0; at < data.length; at += 4) bright += data[at] > 60;
  return bright > 100;
})"""
_SCROLL: Final = """async (count) => {
  const pane = isocenterWorkspace.grid.active;
  const times = [];
  for (let step = 0; step < count; step++) {
    const wanted = (pane.position + 1) % pane.slices;
    const started = performance.now();
    await pane.go(wanted);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - started);
  }
  return times;
}"""
_LOADED: Final = """() => {
  const bar = document.querySelector(".progress[data-loaded]")?.dataset.loaded ?? "0/1";
  const [done, all] = bar.split("/").map(Number);
  return done >= all;
}"""
_CACHED: Final = "() => isocenterWorkspace.cached()"
# A series is chosen: its number of images, after how many milliseconds there is something of each,
# and all of it; and how many bytes came.
_IN_STEPS: Final = """async () => {
  const { strip, grid } = isocenterWorkspace;
  const series = strip.series.reduce((a, b) => (a.numberOfInstances > b.numberOfInstances ? a : b));
  performance.clearResourceTimings();
  performance.setResourceTimingBufferSize(10 * series.numberOfInstances + 1000);
  const bytes = () =>
    performance.getEntriesByType("resource").reduce((sum, each) => sum + each.transferSize, 0);
  const started = performance.now();
  isocenterWorkspace.open(series);
  let coarse = 0;
  for (;;) {
    await new Promise((done) => setTimeout(done, 20));
    const { set } = grid.active;
    if (set?.series !== series) continue;
    const there = set.pictures.map(({ imageId }) => isocenterWorkspace.qualityOf(imageId) ?? 0);
    if (!coarse && there.every(Boolean)) coarse = performance.now() - started;
    if (there.every((quality) => quality === 8))
      return [set.pictures.length, coarse, performance.now() - started, bytes()];
  }
}"""
# Images far from the shown one are gone to: after how many milliseconds there is something of each.
_JUMPS: Final = """async (count) => {
  const pane = isocenterWorkspace.grid.active;
  const times = [];
  for (let jump = 1; jump <= count; jump++) {
    const wanted = Math.floor((pane.slices * (2 * jump - 1)) / (2 * count));
    const { imageId } = pane.set.pictures[wanted];
    if (isocenterWorkspace.qualityOf(imageId)) continue;
    const started = performance.now();
    pane.go(wanted);
    const late = () => performance.now() - started > 30_000;
    while (pane.stack.getCornerstoneImage()?.imageId !== imageId && !late())
      await new Promise((done) => setTimeout(done, 5));
    times.push(performance.now() - started);
  }
  return times;
}"""
# 70 slices of a head in JPEG-LS, beside the repository like all data of others.
_DATA: Final = Path(
    os.environ.get("ISOCENTER_TESTDATA", Path(__file__).parents[3] / "shared/testdata")
)
_SCANNED: Final = _DATA / "dicom/ct_head_philips_2mm_jpegls"
_RENDITIONS_S: Final = 600.0  # they are made at a quarter of a processor
_SLOW_LINE: Final = {  # 20 Mbit/s, 30 ms
    "offline": False,
    "latency": 30,
    "downloadThroughput": 2_500_000,
    "uploadThroughput": 2_500_000,
}


@dataclass(frozen=True, slots=True)
class ViewerRun:
    """What is measured. Slices are of CT images of 512 x 512."""

    slices: int = 500
    many_slices: int = 2000
    stepped_slices: int = 64
    scrolled: int = 200
    jumps: int = 20
    repeats: int = 3


@dataclass(slots=True)
class InSteps:
    """A series opened on a line of 20 Mbit/s and 30 ms, in seconds.

    Attributes:
        coarse_s: until there is something of every slice.
        complete_s: until all of them are complete.
        line_s: what the bytes that came take on that line at the least.
    """

    slices: int = 0
    coarse_s: list[float] = field(default_factory=list[float])
    complete_s: list[float] = field(default_factory=list[float])
    line_s: list[float] = field(default_factory=list[float])


@dataclass(slots=True)
class ViewerResult:
    """Times in seconds, scrolling in milliseconds for a slice, memory in MB.

    Attributes:
        made_up: the series of the bench's own scan.
        scanned: a CT of a real scanner, where there is one.
        jump_ms: until there is something of an image of which there was nothing.
    """

    cold_s: list[float] = field(default_factory=list[float])
    peer_cold_s: list[float] = field(default_factory=list[float])
    next_case_s: list[float] = field(default_factory=list[float])
    made_up: InSteps = field(default_factory=InSteps)
    scanned: InSteps = field(default_factory=InSteps)
    jump_ms: list[float] = field(default_factory=list[float])
    scroll_ms: list[float] = field(default_factory=list[float])
    loaded_mb: float = 0.0
    many_loaded_mb: float = 0.0
    many_heap_mb: float = 0.0

    @property
    def cold_ratio(self) -> float | None:
        """Our cold first image to OHIF's; None where that is not there."""
        if not self.peer_cold_s:
            return None
        return median(self.cold_s) / median(self.peer_cold_s)


def measure(run: ViewerRun, *, folder: Path) -> ViewerResult:
    """Fill an archive, open it in both viewers, and say what was seen."""
    result = ViewerResult()
    with (
        ohif() as peer,
        reading_room(folder / "viewer", **_origins(peer)) as room,
        chromium() as browser,
    ):
        study, cases = _fill(room, run)
        if peer is not None:
            peer.point_at(f"{room.url}/dicomweb", room.token)
        # The server's first answer about a study is no viewer's: neither is to pay for it.
        room.ask(f"/dicomweb/studies/{study}/metadata")
        _wait_for_renditions(room, study, 1)  # whoever makes them would take part in what follows
        for _ in range(run.repeats):
            result.cold_s.append(_cold(browser, room, study))
            if peer is not None:
                result.peer_cold_s.append(_peer_cold(browser, peer, study))
        with signed_in(browser, room) as context:
            _jumps(context, study, run, result)
        with signed_in(browser, room) as context:
            result.next_case_s = _next_cases(context, cases)
            _scroll(context, study, run, result)
        for stepped, opened in ((_fill_stepped(room, run), result.made_up), _scanned(room, result)):
            for _ in range(run.repeats if stepped else 0):
                with signed_in(browser, room) as context:
                    _in_steps(context, stepped, opened)
        many = Scan(generate_uid(), "MANY", "Phantom^Many", slices=run.many_slices, size=512)
        room.store(scan_files(many))
        with signed_in(browser, room) as context:
            _many(context, many.study_instance_uid, result)
    return result


def _origins(peer: OhifSite | None) -> dict[str, str]:
    return {} if peer is None else {"ISOCENTER_CROSS_ORIGINS": peer.url}


def _fill(room: Room, run: ViewerRun) -> tuple[str, list[str]]:
    """Store the study and the cases of the reading list: the study's UID, accession numbers."""
    large = Scan(generate_uid(), "LARGE", "Phantom^Large", slices=run.slices, size=512)
    room.store(scan_files(large))
    cases: list[str] = []
    for number in range(run.repeats + 1):
        patient, name, accession = f"CASE{number}", f"Phantom^Case{number}", f"CASE{number:04d}"
        room.order(patient, name, accession)
        room.store(scan_files(Scan(generate_uid(), patient, name, accession, slices=60, size=512)))
        cases.append(accession)
    deadline = time.monotonic() + WAIT_MS / 1000
    while len(room.ask("/api/reading-list")) < len(cases) and time.monotonic() < deadline:
        time.sleep(0.5)
    return large.study_instance_uid, cases


def _until_lit(page: Page, started: float) -> float:
    page.wait_for_function(_LIT, polling=20)
    return time.perf_counter() - started


def _cold(browser: Browser, room: Room, study: str) -> float:
    """From the address to the first image, with nothing in the browser's cache."""
    with signed_in(browser, room) as context:
        page = context.new_page()
        started = time.perf_counter()
        page.goto(f"/studies/{study}/read", wait_until="commit")
        return _until_lit(page, started)


def _peer_cold(browser: Browser, peer: OhifSite, study: str) -> float:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
    started = time.perf_counter()
    page.goto(f"{peer.url}/viewer?StudyInstanceUIDs={study}", wait_until="commit")
    seconds = _until_lit(page, started)
    context.close()
    return seconds


def _next_cases(context: BrowserContext, cases: list[str]) -> list[float]:
    """From the key to the next case's image, which was fetched meanwhile."""
    page = context.new_page()
    page.goto(f"/exams/{cases[0]}/read")
    seconds: list[float] = []
    for _ in cases[1:]:
        page.wait_for_selector("html[data-ready=true]")
        page.locator("#next-case[data-loaded]").wait_for()
        page.wait_for_load_state("networkidle")
        page.locator(".pane").first.focus()
        before = page.url
        started = time.perf_counter()
        page.keyboard.press("Shift+N")
        page.wait_for_url(lambda url, before=before: url != before, wait_until="commit")
        seconds.append(_until_lit(page, started))
    page.close()
    return seconds


def _fill_stepped(room: Room, run: ViewerRun) -> str:
    """A study of a small and a large series that are kept in HTJ2K as well: its UID."""
    study = generate_uid()
    for slices in (2, run.stepped_slices):
        scan = Scan(study, "STEPS", "Phantom^Steps", slices=slices, size=512)
        room.store(scan_files(scan))
    _wait_for_renditions(room, study, 2)
    return study


def _scanned(room: Room, result: ViewerResult) -> tuple[str, InSteps]:
    """The study of a real CT with a small series beside it: its UID; empty where there is none."""
    files = sorted(_SCANNED.glob("*.dcm"))
    if not files:
        return "", result.scanned
    first = dcmread(files[0], stop_before_pixels=True)
    study = str(first.StudyInstanceUID)
    small = Scan(study, str(first.PatientID), str(first.PatientName), slices=2, size=512)
    room.store(scan_files(small))
    room.store(path.read_bytes() for path in files)
    _wait_for_renditions(room, study, 2)
    return study, result.scanned


def _wait_for_renditions(room: Room, study: str, count: int) -> None:
    deadline = time.monotonic() + _RENDITIONS_S
    while len(room.ask(f"/api/studies/{study}/renditions")["series"]) < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the study has no renditions")
        time.sleep(0.5)


def _jumps(context: BrowserContext, study: str, run: ViewerRun, result: ViewerResult) -> None:
    """Go to images that are not there yet, while the others are loaded."""
    page = context.new_page()
    page.goto(f"/studies/{study}/read")
    page.wait_for_selector("html[data-ready=true]")
    result.jump_ms = page.evaluate(_JUMPS, run.jumps)
    page.close()


def _in_steps(context: BrowserContext, study: str, opened: InSteps) -> None:
    """Open the large series on a slow line, the workspace being there."""
    page = context.new_page()
    page.goto(f"/studies/{study}/read")
    page.wait_for_selector("html[data-ready=true]")
    session: Any = context.new_cdp_session(page)  # its answers have no types
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", _SLOW_LINE)
    opened.slices, coarse_ms, complete_ms, line_bytes = page.evaluate(_IN_STEPS)
    opened.coarse_s.append(coarse_ms / 1000)
    opened.complete_s.append(complete_ms / 1000)
    opened.line_s.append(line_bytes / _SLOW_LINE["downloadThroughput"])
    page.close()


def _scroll(context: BrowserContext, study: str, run: ViewerRun, result: ViewerResult) -> None:
    page = context.new_page()
    page.goto(f"/studies/{study}/read")
    page.wait_for_selector("html[data-ready=true]")
    page.wait_for_function(_LOADED)
    result.scroll_ms = page.evaluate(_SCROLL, run.scrolled)
    result.loaded_mb = page.evaluate(_CACHED) / 1e6
    page.close()


def _many(context: BrowserContext, study: str, result: ViewerResult) -> None:
    """Scroll through more images than the budget holds: the oldest go, the page stays."""
    page = context.new_page()
    page.goto(f"/studies/{study}/read")
    page.wait_for_selector("html[data-ready=true]")
    page.evaluate(
        """async () => {
          const pane = isocenterWorkspace.grid.active;
          for (let at = 0; at < pane.slices; at++) await pane.go(at);
        }"""
    )
    result.many_loaded_mb = page.evaluate(_CACHED) / 1e6
    result.many_heap_mb = heap_bytes(page) / 1e6
    page.close()
