"""``python -m tools.reading_day``: a radiologist's day in a real browser, and what it leaves.

Cases are read from the reading list one after the other on one page, by the key for the next case:
each beside its prior, with two lengths drawn by mouse and a text typed. Then the reports are
signed. The day fails when the browser's console shows an error, when a report or measurement is not
on the server, or when the script's memory grows: its heap after the last case is compared with that
after the third.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.sync_api import BrowserContext, ConsoleMessage, Page
from pydicom.uid import generate_uid

from tools.reading_room import (
    Room,
    Scan,
    chromium,
    heap_bytes,
    reading_room,
    scan_files,
    signed_in,
)

HEAP_RATIO_MAX: Final = 1.3
_COMPARED_AFTER: Final = 3  # cases: by then everything that is loaded once is there
_READY_S: Final = 180.0
_LIST_POLL_S: Final = 1.0


@dataclass(slots=True)
class Day:
    """What happened. Heaps are in bytes, times in seconds, each after a case."""

    heaps: list[int] = field(default_factory=list[int])
    seconds: list[float] = field(default_factory=list[float])
    complaints: list[str] = field(default_factory=list[str])
    unsaved: list[str] = field(default_factory=list[str])

    @property
    def heap_ratio(self) -> float:
        """The heap after the last case to that after the third."""
        return self.heaps[-1] / self.heaps[min(_COMPARED_AFTER, len(self.heaps)) - 1]


@dataclass(frozen=True, slots=True)
class Case:
    """An exam to be read."""

    accession_number: str
    study_instance_uid: str


def book(room: Room, count: int, *, slices: int) -> dict[str, Case]:
    """Order exams, and store their images with a prior for each; cases by accession number."""
    cases: dict[str, Case] = {}
    for number in range(1, count + 1):
        patient, name, accession = f"DAY{number:03d}", f"Phantom^Day{number}", f"DAY{number:04d}"
        room.order(patient, name, accession)
        prior = Scan(generate_uid(), patient, name, study_date="20250101", slices=slices)
        current = Scan(generate_uid(), patient, name, accession, slices=slices)
        room.store(scan_files(prior))
        room.store(scan_files(current))
        cases[accession] = Case(accession, current.study_instance_uid)
    deadline = time.monotonic() + _READY_S
    while len(room.ask("/api/reading-list")) < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the cases are not on the reading list")
        time.sleep(_LIST_POLL_S)
    return cases


def work(room: Room, context: BrowserContext, cases: dict[str, Case]) -> Day:
    """Read all cases in one tab, as the list gives them."""
    day = Day()
    page = context.new_page()
    page.on("pageerror", lambda error: day.complaints.append(str(error)))

    def heard(line: ConsoleMessage) -> None:
        if line.type == "error":
            day.complaints.append(f"{line.text} at {line.location.get('url', '')}")

    page.on("console", heard)
    page.goto(_path(room.ask("/api/reading-list")[0]["accession_number"]))
    unread = dict(cases)
    while unread:
        started = time.monotonic()
        page.wait_for_selector("html[data-ready=true]")
        del unread[page.url.split("/")[4]]
        _read(page)
        day.heaps.append(heap_bytes(page))
        day.seconds.append(time.monotonic() - started)
        if unread:
            _go_on(page)
    for accession_number, case in cases.items():
        page.goto(_path(accession_number))
        page.wait_for_selector("html[data-ready=true]")
        _sign(page)
        if not _is_kept(room, case):
            day.unsaved.append(accession_number)
    return day


def _path(accession_number: str) -> str:
    return f"/exams/{accession_number}/read"


def _go_on(page: Page) -> None:
    path = page.locator("#next-case a").get_attribute("href") or ""
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+N")
    page.wait_for_url(f"**{path}")


def _read(page: Page) -> None:
    page.locator(".pane").first.focus()
    page.keyboard.press("q")
    both = page.locator(".pane .bottom-right", has_text="Image")
    both.nth(1).wait_for()
    page.keyboard.press("PageDown")
    page.keyboard.press("1")
    page.keyboard.press("l")
    box = page.locator(".pane .canvas").first.bounding_box()
    if box is None:
        raise RuntimeError("there is no viewport")
    for step in (0, 1):
        x, y = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * (0.45 + 0.15 * step)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y + 20, steps=4)
        page.mouse.up()
    page.locator("#measurement-count", has_text="2").wait_for()
    page.keyboard.press("r")
    page.keyboard.type("No bleeding. Compared with the prior nothing has changed.")
    page.locator("#draft-state", has_text="Draft saved").wait_for()
    page.wait_for_function("!isocenterWorkspace.measurements.pending")


def _sign(page: Page) -> None:
    page.keyboard.press("r")  # to the text, where the keys for signing are
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name=re.compile("^Sign as")).click()
    page.wait_for_url(re.compile(r".*done=signed.*"))


def _is_kept(room: Room, case: Case) -> bool:
    kept = room.ask(f"/api/studies/{case.study_instance_uid}/measurements")
    reports = room.ask(f"/api/reports?accession_number={case.accession_number}")
    signed = [each for each in reports if each["state"] == "signed"]
    return len(kept) == 2 and len(signed) == 1


def told(day: Day) -> Sequence[str]:
    """What is wrong with the day, in words; nothing when all is well."""
    faults = [f"console: {each}" for each in day.complaints]
    faults += [f"not on the server: {each}" for each in day.unsaved]
    if len(day.heaps) > _COMPARED_AFTER and day.heap_ratio > HEAP_RATIO_MAX:
        faults.append(f"the heap grew to {day.heap_ratio:.2f} of what it was")
    return faults


def main() -> int:
    """Run the day and print it; 1 when something is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m tools.reading_day", description=__doc__)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--slices", type=int, default=24, help="of each study")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="isocenter-day-") as folder,
        reading_room(Path(folder)) as room,
        chromium() as browser,
        signed_in(browser, room) as context,
    ):
        cases = book(room, arguments.cases, slices=arguments.slices)
        day = work(room, context, cases)
    faults = told(day)
    seconds = sorted(day.seconds)
    lines = [
        f"{len(day.heaps)} cases, each with a prior of {arguments.slices} slices: read, measured,"
        f" written in {seconds[len(seconds) // 2]:.1f} s (median)",
        f"heap {day.heaps[0] / 1e6:.1f} MB after the first, {day.heaps[-1] / 1e6:.1f} MB after the"
        f" last: {day.heap_ratio:.2f} of that after {_COMPARED_AFTER}",
        *(faults or ["no error in the console, everything kept"]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
