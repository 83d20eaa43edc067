"""Where the cases are played: the simulated systems, and what each case asks of them.

Every case has patients, numbers and UIDs of its own, so that cases neither know nor disturb each
other and a run may follow a run. Patients are synthetic and have an assigning authority of their
own.
"""

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from pydicom import Dataset

from isocenter.app.conformance import messages as hl7
from isocenter.app.conformance.scanner import Scanner
from isocenter.app.conformance.surface import Row, Surface
from isocenter.app.conformance.verdicts import (
    Failed,
    Installation,
    NotPossible,
    expect,
    until,
)
from isocenter.app.demo.dicom_client import AssociationRefused
from isocenter.app.demo.hl7_messages import acknowledgement
from isocenter.app.demo.hl7_text import field_of
from isocenter.app.demo.mllp_peer import Listener, NoAcknowledgement, Sender
from isocenter.infra.clock import Clock

T = TypeVar("T")

# Names have no digits.
_SPELLED = str.maketrans("0123456789", "abcdefghij")
_NUMBER_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRSTVWXYZ"


class Stage:
    """All simulated systems together; a context manager that ends their connections."""

    def __init__(self, installation: Installation, clock: Clock) -> None:
        self.clock = clock
        self.installation = installation
        self.run = _numbered(int(clock().timestamp()))
        self.envelope = hl7.Envelope(installation.application, installation.receiver, self.run)
        self.scanner = Scanner(installation.called, clock)
        self.product = Surface(installation.url, installation.token)
        self.results: list[str] = []
        self._sender = Sender(installation.called.host, installation.hl7_port)
        self._listener = Listener(*installation.results, self._take_result)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._unheard = ""

    def __enter__(self) -> "Stage":
        try:
            self._listener.start()
        except OSError as error:
            self._unheard = f"the bench cannot listen for results: {error}"
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()
        self._sender.close()
        self.product.close()

    def check(self) -> list[str]:
        """What keeps cases from being played; empty when everything is there."""
        missing: list[str] = []
        for look in (self._look_at_api, self._look_at_dicom, self._look_at_hl7):
            try:
                look()
            except (NotPossible, Failed) as error:
                missing.append(str(error))
        return missing

    def person(self, name: str = "Phantom^Ada", prefix: str = "C") -> hl7.Person:
        """Somebody new, of a name that nobody else has."""
        number = self._next()
        return hl7.Person(f"{prefix}{number}", f"{name}{number.translate(_SPELLED)}")

    def order(self, person: hl7.Person) -> hl7.Order:
        """A new order for somebody, not yet sent. It is for now, on the bench's scanner."""
        number = self._next()
        return hl7.Order(
            person=person,
            placer_number=f"P{number}",
            accession_number=f"A{number}",
            study_instance_uid=self.uid(),
            start_at=self.clock().astimezone().replace(microsecond=0),
            station=self.scanner.ae_title,
        )

    def uid(self) -> str:
        """A new UID of the bench.

        Standard: PS3.5 B.2
        """
        return f"2.25.{int(self.clock().timestamp())}{next(self._numbers):06d}"

    def say(self, message: str) -> str:
        """What is answered to a message."""
        try:
            answer = self._sender.send(message)
        except NoAcknowledgement as error:
            raise NotPossible(
                f"no answer on the HL7 port ({error.__cause__}); is the bench a peer there? "
                f"isocenter peer add hl7 {self.installation.application} --application "
                f"{self.installation.application} --host <here> --port "
                f"{self.installation.results[1]} --send oru --receive adt,orm,siu"
            ) from error
        expect("MSA-2", field_of(answer, "MSA", 2), field_of(message, "MSH", 10))
        return answer

    def accepted(self, message: str) -> str:
        """The answer to a message that must be accepted."""
        answer = self.say(message)
        if field_of(answer, "MSA", 1) != "AA":
            told = field_of(answer, "ERR", 8) or field_of(answer, "MSA", 3)
            said = f"{field_of(answer, 'MSA', 1)} {field_of(answer, 'ERR', 3)} {told}"
            raise Failed(f"{field_of(message, 'MSH', 9)} was answered {said}")
        return answer

    def refused(self, message: str, *, location: str, error: str) -> None:
        """A message must be refused: AE or AR, with this place and code in ERR-2 and ERR-3."""
        answer = self.say(message)
        code = field_of(answer, "MSA", 1)
        if code not in {"AE", "AR"}:
            raise Failed(f"{field_of(message, 'MSH', 9)} was answered {code}")
        expect("ERR-2", field_of(answer, "ERR", 2), location)
        expect("ERR-3", field_of(answer, "ERR", 3).partition("^")[0], error)

    def register(self, *people: hl7.Person, event: str = "A04") -> None:
        """Have people registered."""
        for person in people:
            self.accepted(hl7.registration(self.envelope, event, person, self.now()))

    def known(self, person: hl7.Person) -> Row:
        """The patient's record; waits until people can find it."""
        return self.until(lambda: self.product.patient(person), "the patient can be found")

    def merge(self, survivor: hl7.Person, prior: hl7.Person) -> None:
        """Have one patient's number become the other's."""
        self.accepted(hl7.merge(self.envelope, survivor, prior, self.now()))

    def tell(self, order: hl7.Order, **wish: str) -> str:
        """Send an order message that must be accepted; gives the answer."""
        return self.accepted(self.written(order, **wish))

    def written(self, order: hl7.Order, **wish: str) -> str:
        """An order message, not yet sent."""
        return hl7.order(self.envelope, order, hl7.Wish(**wish), self.now())

    def scheduled(self, person: hl7.Person | None = None) -> tuple[hl7.Order, Dataset]:
        """A new order with all its numbers, and its item on the worklist."""
        order = self.order(person or self.person())
        self.tell(order)
        return order, self.on_worklist(order)

    def now(self) -> datetime:
        """The time, in the zone of the bench."""
        return self.clock().astimezone()

    def on_worklist(self, order: hl7.Order, **wanted: str) -> Dataset:
        """The worklist's item of an order; waits for it."""
        keys = {"AccessionNumber": order.accession_number, **wanted}
        found = self.until(lambda: self._asked(**keys), "the exam is on the worklist")
        return found[0]

    def off_worklist(self, order: hl7.Order) -> None:
        """Wait until an order's exam is offered no more."""
        keys = {"AccessionNumber": order.accession_number}
        self.until(lambda: not self._asked(**keys), "the exam has left the worklist")

    def shown(self, study_instance_uid: str, **wanted: str) -> None:
        """Wait until the study says these values in C-FIND."""
        last: dict[str, str] = {}

        def said() -> bool:
            found = self.scanner.studies(StudyInstanceUID=study_instance_uid)
            for keyword in wanted:
                last[keyword] = str(found[0].get(keyword, "")) if found else "(no study)"
            return last == wanted

        try:
            self.until(said, f"the study says {wanted}")
        except Failed as error:
            raise Failed(f"{error}; it says {last}") from None

    def stored(self, *images: Dataset) -> str:
        """Store images; gives their study's UID."""
        self.scanner.store(images)
        return str(images[0].StudyInstanceUID)

    def has_cases(self, study_instance_uid: str, *kinds: str) -> None:
        """Wait until exactly these kinds of cases of a study are open."""
        last: list[list[str]] = [[]]

        def open_now() -> bool:
            last[0] = self.product.cases(study_instance_uid)
            return last[0] == sorted(kinds)

        try:
            self.until(open_now, f"open cases {list(kinds)}")
        except Failed as error:
            raise Failed(f"{error}; open are {last[0]}") from None

    def linked(self, study_instance_uid: str, accession_number: str) -> str:
        """Wait until a study is an exam's and asks nobody; gives how it was matched."""

        def method() -> str:
            studies = self.product.exam(accession_number).get("studies", [])
            mine = [s for s in studies if s["study_instance_uid"] == study_instance_uid]
            return str(mine[0]["method"] or "") if mine else ""

        return self.until(method, f"the study is matched with {accession_number}")

    def done(self, accession_number: str, hop: str) -> None:
        """Wait until a hop of an exam is done."""
        found = lambda: self.product.hop(accession_number, hop) == "done"  # noqa: E731
        self.until(found, f"{hop} of {accession_number} is done")

    def until(self, condition: Callable[[], T], what: str) -> T:
        """The first true value of a condition, within the installation's time."""
        return until(condition, what, timeout_s=self.installation.timeout_s)

    def results_about(self, accession_number: str) -> list[str]:
        """The results that came for an exam."""
        if self._unheard:
            raise NotPossible(self._unheard)
        with self._lock:
            return [each for each in self.results if accession_number in each]

    def _asked(self, **keys: str) -> list[Dataset]:
        try:
            return self.scanner.worklist(**keys)
        except AssociationRefused as error:
            raise NotPossible(self._unknown_scanner(error)) from error

    def _unknown_scanner(self, error: AssociationRefused) -> str:
        title = self.scanner.ae_title
        return (
            f"the DICOM port does not serve {title}: {error}; isocenter peer add dicom {title} "
            f"--ae-title {title} --host <here> --port 104 --allow store,find,worklist,mpps"
        )

    def _look_at_api(self) -> None:
        self.product.who()

    def _look_at_dicom(self) -> None:
        try:
            self.scanner.echo()
        except AssociationRefused as error:
            raise NotPossible(self._unknown_scanner(error)) from error

    def _look_at_hl7(self) -> None:
        self.register(self.person("Phantom^Probe"))

    def _take_result(self, message: str) -> str:
        with self._lock:
            self.results.append(message)
        return acknowledgement(message, f"{self.run}R{next(self._numbers):04d}", self.clock())

    def _next(self) -> str:
        return f"{self.run}{next(self._numbers):03d}"


def later(order: hl7.Order, **by: float) -> hl7.Order:
    """The order with another start."""
    return replace(order, start_at=order.start_at + timedelta(**by))


def _numbered(value: int) -> str:
    """A number in few characters that people do not mix up."""
    written = ""
    while value:
        value, rest = divmod(value, len(_NUMBER_CHARACTERS))
        written = _NUMBER_CHARACTERS[rest] + written
    return written
