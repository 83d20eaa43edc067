"""The day itself: every deed in its minute, reactions, senders and alarms as the clock moves.

A sender of messages or images that gets no answer sends the same again, as real ones do.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Actor, ActorKind, Role, Viewer, actions_of
from isocenter.domain.archive import model as archived
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import ReceivedInstance
from isocenter.domain.distribution import service as distribution
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reporting import service as reporting
from isocenter.domain.reporting.model import ReportIsSigned
from isocenter.infra.db import Database, Tx
from isocenter.infra.outbox import Dispatcher
from isocenter.readmodels import exam_ledger, reconciliation
from isocenter.readmodels.exam_ledger import ExamState
from isocenter.standards.hl7v2.ack import parse_ack
from tools.chaos_day import wording
from tools.chaos_day.clock import MovedClock
from tools.chaos_day.interfaces import Listening, Loop, Sending
from tools.chaos_day.mortal import Fate, Killed, MortalDatabase
from tools.chaos_day.plan import Act, Deed, deeds, drawn
from tools.chaos_day.receivers import Receiver
from tools.chaos_day.visibility import Watch

TICK_S: Final = 15.0
_IMAGES, _LATE_IMAGES = 3, 1
_ACK_TIMEOUT_S = 0.1
_LOOK_S = 0.01
_OUTAGES_A_DAY = 4  # of each receiver, for up to half an hour
# Longer than a study waits for more images, shorter than anybody waits for an alarm.
_QUIET = timedelta(seconds=75)
# What is not finished so long after the last deed never will be: it is found to be lost.
_PATIENCE = timedelta(hours=12)
_SYSTEM = Actor.system("chaos")
_SCANNER = Actor.dicom_peer("ct1", "127.0.0.1", ["store"])
_PERSON = Actor(
    ActorKind.USER, "reader", actions_of([Role.RADIOLOGIST, Role.ADMINISTRATOR]), "127.0.0.1"
)
_EHR = Hl7Peer("EHR_IN", "127.0.0.1", receive=frozenset({"adt", "orm"}), assigning_authority="H")

_UNFINISHED: Final = """
select exists (select from distribution.delivery where state <> 'acknowledged')
    or exists (select from archive.study as s
                where not exists (select from reconcile.link
                                   where link.study_instance_uid = s.study_instance_uid))
"""


class Hospital:
    """One hospital on one database.

    Args:
        url: of an empty, migrated database.
        seed: everything that is by chance follows from it, but for the order of threads.
        chance: of a process to die at a commit.
        tick_s: how often reactions run, people look and alarms are settled.
    """

    def __init__(
        self, url: str, *, seed: int, chance: float, begins: datetime, tick_s: float = TICK_S
    ) -> None:
        self.clock = MovedClock(begins)
        self.tick_s = tick_s
        self.rng = drawn(seed)
        self.fate = Fate(drawn(seed + 1), chance)
        self.table = router()
        self.url = url
        self.plain = Database(url, router=self.table, connections_max=4)
        self.receivers = [
            Receiver(name, drawn(seed + place), late_s=2 * _ACK_TIMEOUT_S)
            for place, name in enumerate(("EHR", "GP"), 2)
        ]
        self.said: dict[str, str] = {}
        self.names: dict[int, str] = {}
        self.ordered: set[int] = set()
        self.cancelled: set[int] = set()
        self.images: Counter[int] = Counter()
        self.reported: dict[int, str] = {}
        self.repeated = 0
        self.misdirected = 0
        self.deaths: Counter[str] = Counter()
        self.watch = Watch()
        self._loop = Loop()
        self._later: list[Deed] = []
        self._ups: list[tuple[datetime, Receiver]] = []

    def play(self, hours: float, beds: int) -> None:
        """The day, and the quiet hours after it in which everything comes right."""
        for each in self.receivers:
            each.open()
        self._add_peers()
        begins = self.clock()
        plan = deeds(begins, hours, beds, self.rng)
        self._listening = Listening(self._mortal, self._loop, self.clock)
        self._sending = Sending(self._mortal, self._loop, self.clock)
        self._worker, self._web = self._mortal(), self._mortal()
        try:
            ends = max([each.at for each in plan], default=begins) + _QUIET
            place = 0
            while self.clock() < ends + _PATIENCE:
                unfinished = self._unfinished()
                if not unfinished and self.clock() >= ends:
                    return
                self._pass(unfinished, plan[place].at if place < len(plan) else ends)
                while place < len(plan) and plan[place].at <= self.clock():
                    self._do(plan[place])
                    place += 1
                self._misbehave(calm=place == len(plan))
                self._tick()
        finally:
            self._close()

    def _pass(self, unfinished: bool, next_at: datetime) -> None:
        """Move the clock: by a tick while something is on its way, else to the next deed."""
        tick, now = timedelta(seconds=self.tick_s), self.clock()
        self.clock.now += tick if unfinished else max(tick, min(next_at - now, _QUIET))

    def _close(self) -> None:
        self._listening.close()
        self._sending.close()
        self._worker.close()
        self._web.close()
        self._loop.close()
        for each in self.receivers:
            each.close()

    def _mortal(self) -> MortalDatabase:
        return MortalDatabase(self.url, self.fate, self.table)

    def _add_peers(self) -> None:
        with self.plain.transaction() as tx:
            peers.add_hl7_peer(tx, _SYSTEM, _EHR, now=self.clock())
            for each in self.receivers:
                peer = Hl7Peer(
                    each.name,
                    "127.0.0.1",
                    each.port,
                    send=frozenset({"oru"}),
                    application=each.name,
                    ack_timeout_s=_ACK_TIMEOUT_S,
                )
                peers.add_hl7_peer(tx, _SYSTEM, peer, now=self.clock())

    def _do(self, deed: Deed) -> None:
        match deed.act:
            case Act.REGISTER:
                self.names[deed.number] = deed.name
                self._say(wording.registration(deed.number, deed.name, len(self.said), deed.at))
            case Act.ORDER:
                self.ordered.add(deed.number)
                self._say(wording.order(deed.number, "NW", len(self.said), deed.at))
            case Act.CANCEL:
                self.cancelled.add(deed.number)
                self._say(wording.order(deed.number, "CA", len(self.said), deed.at))
            case Act.SCAN:
                self._scan(deed.number, _IMAGES, mistyped=deed.mistyped)
            case Act.SCAN_LATE:
                self._scan(deed.number, _LATE_IMAGES, mistyped=deed.mistyped)
            case Act.REPORT:
                self._later.append(deed)

    def _say(self, message: bytes) -> None:
        """Send until it is answered; the answer must be to this message."""
        control_id = message.split(b"\r", 1)[0].split(b"|")[9].decode()
        while (reply := self._listening.say(message, _EHR)) is None:
            self.deaths["listener"] += 1
            self.repeated += 1
        answered = parse_ack(reply.acknowledgement)
        self.misdirected += answered.control_id != control_id
        self.said[control_id] = answered.code.value

    def _scan(self, number: int, count: int, *, mistyped: bool) -> None:
        first = self.images[number]
        made = [_instance(number, first + n, self.clock(), mistyped) for n in range(count)]
        self.images[number] += count
        self._surely("archive", lambda tx: archive.admit(tx, _SCANNER, made, now=self.clock()))

    def _surely(self, who: str, work: Callable[[Tx], object]) -> None:
        """Do it again until the process survives it: whoever asked got no answer."""
        while True:
            try:
                with self._web.transaction() as tx:
                    work(tx)
            except Killed:
                self.deaths[who] += 1
                self.repeated += 1
                self._web.close()
                self._web = self._mortal()
            else:
                return

    def _misbehave(self, *, calm: bool) -> None:
        """Receivers go down for a while and come back."""
        now = self.clock()
        for due, receiver in [each for each in self._ups if calm or each[0] <= now]:
            receiver.open()
            self._ups.remove((due, receiver))
        for receiver in self.receivers:
            if (
                not calm
                and receiver.is_open
                and self.rng.random() < _OUTAGES_A_DAY * self.tick_s / 86_400
            ):
                receiver.close()
                self._ups.append((now + timedelta(minutes=self.rng.uniform(0.5, 30)), receiver))

    def _tick(self) -> None:
        self._react()
        if self._report():
            self._react()
        self._send()
        with self.plain.transaction() as tx:
            self._alarm(tx)
            self.watch.look(tx, now=self.clock())
        self._mend()

    def _react(self) -> None:
        """What the worker does: quiet studies, then every reaction that is due."""
        while True:
            try:
                with self._worker.transaction() as tx:
                    archive.complete_quiet_studies(tx, _SYSTEM, quiet_s=60, now=self.clock())
                Dispatcher(self._worker, self.table, clock=self.clock, workers=1).run_once()
            except Killed:
                self.deaths["worker"] += 1
                self._worker.close()
                self._worker = self._mortal()
            else:
                return

    def _report(self) -> bool:
        """Report the exams that are due and can be, others wait; whether there was one."""
        before = len(self.reported)
        due = [each for each in self._later if each.at <= self.clock()]
        for deed in due:
            number = wording.accession(deed.number)
            with self.plain.read() as tx:
                viewer = Viewer.of(_PERSON, Action.EXAM_READ)
                ledger = exam_ledger.exam(tx, viewer, number, now=self.clock())
            if ledger is None or ledger.state is not ExamState.TO_READ:
                continue
            text = f"Exam {deed.number} is normal."

            def report(tx: Tx, number: str = number, text: str = text) -> None:
                drafted = reporting.draft(tx, _PERSON, number, text, now=self.clock())
                reporting.sign(tx, _PERSON, drafted.report_id, now=self.clock())

            with suppress(ReportIsSigned):  # it was, before the process died
                self._surely("web", report)
            self.reported[deed.number] = text
            self._later.remove(deed)
        return len(self.reported) > before

    def _send(self) -> None:
        """Let the sender work until nothing is due; one that died is replaced a tick later."""
        while self._sending.look():
            with self.plain.read() as tx:
                if not distribution.recipients_due(tx, now=self.clock()):
                    return
            time.sleep(_LOOK_S)
        self.deaths["sender"] += 1

    def _alarm(self, tx: Tx) -> None:
        viewer = Viewer.of(_PERSON, Action.EXAM_READ)
        late = exam_ledger.late_hops(tx, viewer, now=self.clock())
        monitoring.settle_alarms(tx, late, now=self.clock())

    def _mend(self) -> None:
        """A person looks about every ten minutes: matches, replays, lets destinations go on."""
        if self.rng.random() > self.tick_s / 600:
            return
        now = self.clock()
        studies, deliveries = (
            Viewer.of(_PERSON, action) for action in (Action.STUDY_READ, Action.DELIVERY_READ)
        )
        with self.plain.transaction() as tx:
            for case in reconciliation.open_cases(tx, studies):
                number = case.study_instance_uid.rpartition(".")[2]
                if int(number) in self.ordered:
                    reconcile.match_by_person(
                        tx,
                        _PERSON,
                        case.study_instance_uid,
                        wording.accession(int(number)),
                        reason="typed wrongly",
                        now=now,
                    )
            for each in distribution.deliveries(tx, deliveries, state="refused"):
                distribution.replay(tx, _PERSON, each.delivery_key, now=now)

    def _unfinished(self) -> bool:
        """Whether something is still on its way."""
        with self.plain.read() as tx:
            return bool(self._later or tx.value(_UNFINISHED))


def _instance(number: int, place: int, now: datetime, mistyped: bool) -> ReceivedInstance:
    study = wording.study_uid(number)
    sop = f"{study}.1.{place + 1}"
    said: Sequence[tuple[int, str]] = (
        (archived.SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.2"),
        (archived.SOP_INSTANCE_UID, sop),
        (archived.STUDY_INSTANCE_UID, study),
        (archived.SERIES_INSTANCE_UID, f"{study}.1"),
        (archived.PATIENT_ID, wording.patient(number)),
        (archived.PATIENT_NAME, wording.exam_name(number)),
        (archived.PATIENT_BIRTH_DATE, "19700101"),
        (archived.ACCESSION_NUMBER, f"X{number}X" if mistyped else wording.accession(number)),
        (archived.STUDY_DATE, f"{now:%Y%m%d}"),
        (archived.MODALITY, "CT"),
    )
    return ReceivedInstance(
        blob_key=f"chaos/{sop}",
        size_bytes=1000,
        sha256=hashlib.sha256(sop.encode()).digest(),
        dataset_offset=300,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae_title="CT1",
        received_at=now,
        attributes=dict(said),
    )
