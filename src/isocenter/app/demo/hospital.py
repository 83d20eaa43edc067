"""The demonstration hospital's day: what happens when, the usual mishaps among it.

One object per role, each with an identity of its own and connected only by the product's sockets.
After the opening a slow trickle goes on, so that a visitor can take over.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import Dataset

from isocenter.app.demo import cast, images, state
from isocenter.app.demo.crew import Crew
from isocenter.app.demo.ehr import Ehr
from isocenter.app.demo.modality import Called, Modality
from isocenter.app.demo.narrator import Narrator
from isocenter.app.demo.radiologist import Radiologist
from isocenter.infra.clock import Clock

_MODALITIES = {"DEMO_CT": "CT", "DEMO_MR": "MR", "DEMO_DX": "DX", "DEMO_US": "US"}
_TELLS_NO_STEPS = "DEMO_US"  # an older scanner
_DOWN_S = 60.0
_TRICKLE_S = 45.0
_FIRST_LEDGER_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Surroundings:
    """Where the product is, and what the hospital may use.

    Attributes:
        called: the product's DICOM address.
        hl7: the product's HL7 address.
        base_url: the product's HTTP address.
        ehr: where the EHR listens for results.
        images: folder of images to use instead of phantoms.
    """

    called: Called
    hl7: tuple[str, int]
    base_url: str
    ehr: tuple[str, int]
    home: Path
    images: Path | None = None


class Hospital:
    """All roles together.

    Args:
        around: where everything is.
        clock: gives the time.
        narrator: tells the audience.
    """

    def __init__(self, around: Surroundings, *, clock: Clock, narrator: Narrator) -> None:
        self._around, self._clock, self._narrator = around, clock, narrator
        self._state = state.load(around.home)
        self._state.run += 1
        state.save(around.home, self._state)
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._exams: dict[str, cast.Exam] = {}
        self._scanners = Crew(1)  # drawing phantoms is bound by one processor anyway
        self._ehr = Ehr(
            send_to=around.hl7,
            listen_on=around.ehr,
            run=self._state.run,
            clock=clock,
            say=lambda what: self._say("EHR", what),
        )
        self._modalities = {
            title: Modality(
                title,
                kind,
                called=around.called,
                clock=clock,
                say=self._say,
                tells_steps=title != _TELLS_NO_STEPS,
            )
            for title, kind in _MODALITIES.items()
        }
        self._radiologist = Radiologist(
            around.base_url,
            self._state.radiologist_token,
            exams=self._exams,
            is_left=_is_left_for_visitor,
            say=lambda what: self._say("Reader", what),
        )
        self._files = _by_modality(around.images) if around.images else {}

    def run(self, stop: threading.Event) -> None:
        """Play until stopped; raises ``OSError`` when the EHR's port is taken."""
        self._stop = stop
        self._ehr.start()
        reader = threading.Thread(target=self._radiologist.work, args=(self._stop,), daemon=True)
        reader.start()
        try:
            self._opening()
            while not self._stop.wait(_TRICKLE_S):
                self._guarded(self._usual)
        finally:
            self._stop.set()
            self._ehr.stop()

    def _opening(self) -> None:
        """The first minutes: an exam of every kind, and every mishap once."""
        acts: tuple[Callable[[], object], ...] = (
            lambda: self._usual(follow=True),
            lambda: self._usual(order_twice=True),
            self._usual,
            self._mistyped,
            self._merged,
            self._down,
            self._usual,
            self._cancelled,
        )
        for act in acts:
            if self._stop.wait(2.0):
                return
            self._guarded(act)

    def _usual(self, *, order_twice: bool = False, follow: bool = False) -> None:
        exam = self._next()
        self._arrive(exam, order_twice=order_twice)
        self._later(lambda: self._scan(exam, follow=follow))

    def _cancelled(self) -> None:
        exam = self._next()
        self._arrive(exam)
        answer = self._ehr.cancel(exam)
        self._say(
            "Mishap", f"EHR cancels {exam.placer_number} of {exam.patient.name}: {answer.code}"
        )

    def _mistyped(self) -> None:
        exam = self._next()
        self._arrive(exam)
        self._later(lambda: self._scan(exam, mistype=True))

    def _merged(self) -> None:
        """A patient brought in without papers, known later: registered twice, then merged."""
        exam = self._next()
        unknown = replace(
            exam.patient,
            number=exam.patient.number.replace("DEMO", "TEMP"),
            name="Phantom^Unidentified",
            birth_date="",
        )
        known = exam.patient
        exam = replace(exam, patient=unknown)
        self._arrive(exam)

        def scan_then_merge() -> None:
            self._scan(exam)
            self._ehr.register(known)
            answer = self._ehr.merge(known, unknown)
            self._say(
                "Mishap",
                f"EHR merges {unknown.number} into {known.number} {known.name}: {answer.code}",
            )

        self._later(scan_then_merge)

    def _down(self) -> None:
        """The EHR goes down for a minute, once it has seen a result."""

        def act() -> None:
            self._ehr.wait_for_result(1, _FIRST_LEDGER_TIMEOUT_S)
            self._ehr.go_down()
            self._say("Mishap", f"the EHR is down for {_DOWN_S:.0f} s; results have to wait")
            self._stop.wait(_DOWN_S)
            if not self._stop.is_set():
                self._ehr.start()
                self._say("EHR", "is up again")

        threading.Thread(target=self._guarded, args=(act,), daemon=True).start()

    def _arrive(self, exam: cast.Exam, *, order_twice: bool = False) -> None:
        """The patient is registered and the exam ordered."""
        registered = self._ehr.register(exam.patient)
        self._say("EHR", f"registered {exam.patient.number} {exam.patient.name}: {registered.code}")
        ordered = self._ehr.order(exam, twice=order_twice)
        repeated = ", sent twice" if order_twice else ""
        self._say(
            "EHR",
            f"ordered {exam.kind.description} {exam.placer_number}{repeated}: {ordered.code}"
            f" {ordered.text}".rstrip(),
        )

    def _later(self, work: Callable[[], object]) -> None:
        self._scanners.submit(lambda: self._guarded(work))

    def _scan(self, exam: cast.Exam, *, mistype: bool = False, follow: bool = False) -> None:
        """Find the exam on the worklist, make its images, store them."""
        modality = self._modalities[exam.kind.station]
        item = modality.find(exam)
        accession_number = str(item.AccessionNumber)
        self._say(modality.modality, f"found {exam.patient.name} on the worklist")
        identity = images.Identity(
            item=item,
            study_instance_uid=str(item.StudyInstanceUID),
            accession_number=accession_number,
            station=exam.kind.station,
            started_at=self._clock(),
        )
        self._exams[accession_number] = exam
        if follow:
            threading.Thread(target=self._follow, args=(accession_number,), daemon=True).start()
        if mistype:
            identity = images.renamed(
                identity,
                accession_number=f"{accession_number[:-2]}{accession_number[-2:][::-1]}9"[-16:],
                study_instance_uid=cast.uid(f"{identity.study_instance_uid}-typed"),
            )
            self._say(
                "Mishap",
                f"technologist types accession {identity.accession_number} for {accession_number}",
            )
        modality.begin(identity)
        # All images before the first is sent: a study that pauses for long is taken for complete.
        made = list(self._images(exam, identity))
        modality.perform(identity, made, name=exam.patient.name)

    def _images(self, exam: cast.Exam, identity: images.Identity) -> Iterable[Dataset]:
        series = self._files.get(exam.kind.modality)
        if not series:
            return images.study(exam, identity)
        return images.from_folder(series[exam.serial % len(series)], identity)

    def _follow(self, accession_number: str) -> None:
        """Tell when an exam's ledger is complete."""
        deadline = time.monotonic() + _FIRST_LEDGER_TIMEOUT_S
        while time.monotonic() < deadline and not self._stop.wait(0.5):
            if self._radiologist.ledger(accession_number).get("acknowledged"):
                took = time.monotonic() - self._started
                page = f"{self._around.base_url}/exams/{accession_number}"
                self._say("Isocenter", f"first ledger complete after {took:.0f} s: {page}")
                return

    def _next(self) -> cast.Exam:
        serial = self._state.next_serial
        self._state.next_serial += 1
        state.save(self._around.home, self._state)
        return cast.exam(serial, cast.patient(serial), self._clock())

    def _guarded(self, act: Callable[[], object]) -> None:
        """Do one thing; a failure is told and the day goes on."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 the play must go on; the product is judged elsewhere
            if not self._stop.is_set():
                self._say("Mishap", f"unplanned: {type(error).__name__}: {error}")

    def _say(self, who: str, what: str) -> None:
        self._narrator.say(who, what, self._clock())


def _is_left_for_visitor(exam: cast.Exam) -> bool:
    return exam.serial % 4 == 2 and exam.serial > 2


def _by_modality(folder: Path) -> dict[str, list[list[Path]]]:
    """DICOM files of a folder as series, by modality."""
    found: dict[tuple[str, str], list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        header = images.header(file) if file.is_file() else None
        if header is not None:
            key = (str(header.get("Modality", "")), str(header.get("SeriesInstanceUID", "")))
            found.setdefault(key, []).append(file)
    series: dict[str, list[list[Path]]] = {}
    for (modality, _), files in found.items():
        series.setdefault(modality, []).append(files)
    return series
