"""What people decide: links, new orders, other patients, rest, and taking all of it back; rules."""

from datetime import timedelta

import pytest

from isocenter.domain.access.model import Action, NotAuthorized, Role, Viewer
from isocenter.domain.archive.service import modifications_of
from isocenter.domain.archive.service.rejection import reject
from isocenter.domain.identity import service as identity
from isocenter.domain.orders.model import AccessionFormat
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.service.attention import HoldTooLong
from isocenter.domain.reconcile.service.deciding import PatientUnclear, UnknownDecision
from isocenter.domain.reconcile.service.ruling import RuleNotBorneOut
from isocenter.readmodels import reconciliation
from isocenter.readmodels.reconciliation import QueueQuery
from tests.builders import PERSON, viewer
from tests.exam_story import Department, a_patient, a_user, an_order
from tests.image_builders import an_instance

ID, ACCESSION = 0x00100020, 0x00080050
STUDY = "1.2.3"
READER = Viewer.of(PERSON, Action.STUDY_READ)


@pytest.fixture
def department(database) -> Department:
    return Department(database)


def do(department: Department, verb, *given, **said):
    """Let a person decide, and everything that follows from it happen."""
    with department.database.transaction() as tx:
        done = verb(tx, PERSON, *given, **said, now=department.now)
    department.drain()
    return done


def linked(department: Department, study: str = STUDY) -> list[str]:
    department.drain()
    with department.database.transaction() as tx:
        return tx.values(
            "select accession_number || ' ' || method from reconcile.link"
            " where study_instance_uid = %s",
            (study,),
        )


def said(department: Department, study: str = STUDY) -> dict[int, str]:
    with department.database.transaction() as tx:
        found = modifications_of(tx, viewer(Action.STUDY_READ), [study])
    return dict(found[study].values) if study in found else {}


def queue(department: Department, **query) -> list[str]:
    with department.database.transaction() as tx:
        rows = reconciliation.queue(tx, READER, QueueQuery(**query), now=department.now)
    return [each.study_instance_uid for each in rows]


def decisions(department: Department, study: str = STUDY) -> list[tuple[str, bool]]:
    with department.database.transaction() as tx:
        found = reconcile.decisions_of(tx, READER, study)
    return [(each.kind, each.undone_at is None) for each in found]


def key_of(department: Department, kind: str, study: str = STUDY) -> int:
    with department.database.transaction() as tx:
        found = reconcile.decisions_of(tx, READER, study)
    return next(each.decision_key for each in found if each.kind == kind)


def test_late_images_follow_the_decision(department):
    department.order(a_patient("P-9"), an_order("A9"))
    department.receive(an_instance(accession_number="typo"))
    department.drain()
    do(department, reconcile.match_by_person, STUDY, "A9", reason="called")
    department.advance(hours=1)
    department.receive(an_instance(series="1.2.3.7", accession_number="typo"))
    department.order(a_patient("P-1"), an_order("TYPO"))
    assert linked(department) == ["A9 person"]
    assert said(department)[ACCESSION] == "A9"
    assert queue(department) == []


def test_a_preview_tells_everything_and_changes_nothing(department):
    department.order(a_patient("P-1"), an_order("A1"))
    department.order(a_patient("P-9", person_name="Phantom^Zoe"), an_order("A9"))
    department.receive(an_instance(accession_number="A1"))
    assert linked(department) == ["A1 accession_number_and_patient"]
    with department.database.transaction() as tx:
        before = tx.value("select count(*) from outbox.event")
        seen = reconcile.preview(tx, READER, STUDY, "A9")
        assert tx.value("select count(*) from outbox.event") == before
    assert (seen.leaves, seen.joins) == ("A1", 0)
    changes = {each.attribute: (each.said, each.becomes) for each in seen.changes}
    assert changes["patient_id"] == ("P-1", "P-9")
    assert changes["accession_number"] == ("A1", "A9")
    assert "another patient ID" in seen.warnings
    do(department, reconcile.match_by_person, STUDY, "A9", reason="called")
    assert said(department)[ID] == "P-9"


def test_an_order_is_made_from_the_images_and_taken_back_with_the_match(department):
    department.receive(an_instance(accession_number="OUT-17", study_description="CT head"))
    department.drain()
    link = do(
        department,
        reconcile.order_from_study,
        STUDY,
        reason="came from outside",
        accession_format=AccessionFormat(),
    )
    assert link.accession_number == "OUT-17"
    assert linked(department) == ["OUT-17 person"]
    with department.database.transaction() as tx:
        assert identity.find(tx, "P-1").person_name == "Phantom^Ada"
        assert tx.values("select description from orders.requested_procedure") == ["CT head"]
    assert department.statuses("OUT-17")[0] == "in_progress"
    do(
        department,
        reconcile.undo_decision,
        STUDY,
        key_of(department, "new_order"),
        reason="was a mistake",
    )
    assert linked(department) == []
    assert department.statuses("OUT-17")[0] in {"cancelled", "discontinued"}
    assert queue(department) == [STUDY]
    assert decisions(department) == [("new_order", False)]


def test_an_order_of_a_number_that_is_taken_gets_another(department):
    department.order(a_patient("P-9", person_name="Phantom^Zoe"), an_order("A1"))
    department.receive(an_instance(accession_number="A1"))
    department.drain()
    link = do(
        department,
        reconcile.order_from_study,
        STUDY,
        reason="typed by hand",
        accession_format=AccessionFormat("N", 5),
    )
    assert link.accession_number.startswith("N")
    assert said(department)[ACCESSION] == link.accession_number


def test_no_order_is_made_for_nobody_nor_for_a_known_other(department):
    department.register(a_patient("P-2", person_name="Phantom^Zoe", birth_date=None))
    department.receive(an_instance(study="1.1", patient_id="", accession_number=""))
    department.receive(
        an_instance(study="1.2", patient_id="P-2", patient_birth_date="", accession_number="")
    )
    department.drain()
    for study in ("1.1", "1.2"):
        with pytest.raises(PatientUnclear), department.database.transaction() as tx:
            reconcile.order_from_study(
                tx,
                PERSON,
                study,
                reason="x",
                accession_format=AccessionFormat(),
                now=department.now,
            )


def test_images_move_to_another_patient_and_back(department):
    department.register(a_patient("P-9", person_name="Phantom^Zoe"))
    department.order(a_patient("P-1"), an_order("A1"))
    department.receive(an_instance(accession_number="A1"))
    assert linked(department) == ["A1 accession_number_and_patient"]
    with department.database.transaction() as tx:
        zoe = identity.find(tx, "P-9").patient_key
    do(department, reconcile.move_to_patient, STUDY, zoe, reason="wristbands were swapped")
    assert linked(department) == []
    assert said(department)[ID] == "P-9"
    assert queue(department) == [STUDY]
    zoes = a_patient("P-9", person_name="Phantom^Zoe")
    department.order(zoes, an_order("A9", study_instance_uid=STUDY))
    assert linked(department) == ["A9 study_instance_uid"]
    do(
        department,
        reconcile.undo_decision,
        STUDY,
        key_of(department, "move_patient"),
        reason="were not",
    )
    assert said(department).get(ID, "P-1") == "P-1"
    assert linked(department) == []  # A1 was said to be wrong, and A9 is Zoe's
    with pytest.raises(UnknownDecision):
        do(department, reconcile.undo_move, STUDY, reason="again")


def test_the_last_word_about_the_patient_counts(department):
    department.register(a_patient("P-9", person_name="Phantom^Zoe"))
    department.order(a_patient("P-1"), an_order("A1"))
    department.receive(an_instance(accession_number=""))
    department.drain()
    with department.database.transaction() as tx:
        zoe = identity.find(tx, "P-9").patient_key
    do(department, reconcile.move_to_patient, STUDY, zoe, reason="first thought")
    do(department, reconcile.match_by_person, STUDY, "A1", reason="second thought")
    assert linked(department) == ["A1 person"]
    assert said(department) == {ACCESSION: "A1"}
    assert decisions(department) == [("link", True), ("move_patient", False)]


def test_images_at_rest_wait_for_nobody_until_their_time_is_over(department):
    department.receive(an_instance(accession_number="X1"))
    department.drain()
    until = department.now + timedelta(hours=4)
    do(department, reconcile.hold, STUDY, until=until, reason="order is being typed")
    assert (queue(department), queue(department, held=True)) == ([], [STUDY])
    department.advance(hours=5)
    assert (queue(department), queue(department, held=True)) == ([STUDY], [])
    department.order(a_patient("P-1"), an_order("X1"))
    assert linked(department) == ["X1 accession_number_and_patient"]
    with pytest.raises(HoldTooLong):
        do(department, reconcile.hold, STUDY, until=until + timedelta(days=99), reason="x")


def test_the_queue_is_searched_owned_and_paged(department):
    for number in range(1, 6):
        department.advance(minutes=1)
        department.receive(
            an_instance(
                study=f"1.2.{number}", accession_number=f"X{number}", patient_id=f"N{number}"
            )
        )
        department.drain()
    do(department, reconcile.claim, "1.2.2")
    assert queue(department, owner=PERSON.name) == ["1.2.2"]
    assert queue(department, owner="") == ["1.2.1", "1.2.3", "1.2.4", "1.2.5"]
    assert queue(department, text="x3") == ["1.2.3"]
    assert queue(department, text="n4") == ["1.2.4"]
    assert len(queue(department, text="phantom")) == 5
    assert queue(department, text="100%") == []
    assert queue(department, kind="ambiguous") == []
    with department.database.transaction() as tx:
        first = reconciliation.queue(tx, READER, QueueQuery(limit=2), now=department.now)
        after = (first[-1].opened_at, first[-1].study_instance_uid)
        rest = reconciliation.queue(tx, READER, QueueQuery(after=after), now=department.now)
        counts = reconciliation.counts(
            tx, READER, overdue_since=first[1].opened_at, now=department.now
        )
        assert reconciliation.waiting_count(tx, READER, now=department.now) == 5
    assert [each.study_instance_uid for each in (*first, *rest)] == [
        f"1.2.{n}" for n in range(1, 6)
    ]
    assert (counts.waiting, counts.overdue, counts.kinds) == (5, 1, {"unmatched": 5})


def test_rejected_images_leave_the_queue(department):
    department.receive(an_instance(accession_number="X1"))
    department.drain()
    assert queue(department) == [STUDY]
    do(department, reject, (STUDY, None, None), reason="a phantom")
    assert queue(department) == []


def test_only_those_who_may_decide(department):
    department.receive(an_instance(accession_number="X1"))
    department.drain()
    desk = a_user(Role.FRONT_DESK)
    with department.database.transaction() as tx, pytest.raises(NotAuthorized):
        reconcile.hold(
            tx,
            desk,
            STUDY,
            until=department.now + timedelta(hours=1),
            reason="x",
            now=department.now,
        )


def decide_alike(department: Department, number: int, *, chosen: str = "") -> None:
    """Images without a number of a patient with one order today, matched by a person."""
    study, patient = f"1.9.{number}", f"R{number}"
    department.order(a_patient(patient), an_order(f"R{number}", start_at=department.now))
    department.receive(
        an_instance(
            study=study, patient_id=patient, accession_number="", received_at=department.now
        )
    )
    department.drain()
    if chosen:
        do(department, reconcile.match_by_person, study, chosen, reason="as always")


def offered(department: Department):
    with department.database.transaction() as tx:
        return reconcile.offered_rules(tx, READER)


def test_repeated_decisions_become_a_rule_that_names_itself_and_can_be_undone(department):
    for number in range(1, 6):
        assert offered(department) == []
        decide_alike(department, number, chosen=f"R{number}")
    (offer,) = offered(department)
    assert (offer.station_ae_title, offer.precision.applied, offer.precision.right) == ("CT1", 5, 5)
    assert "patient_id" in offer.terms
    decide_alike(department, 6)  # waits already when the rule is made
    assert linked(department, "1.9.6") == []
    key = do(department, reconcile.make_rule, "CT1", sorted(offer.terms))
    assert linked(department, "1.9.6") == ["R6 rule"]
    decide_alike(department, 7)
    assert linked(department, "1.9.7") == ["R7 rule"]
    with department.database.transaction() as tx:
        (decided,) = reconcile.decisions_of(tx, READER, "1.9.7")
        (rule,) = reconcile.rules(tx, READER)
    assert decided.rule_key == key
    assert f"rule {key}" in decided.reason
    assert (rule.decided, rule.undone, rule.measured.share) == (2, 0, 1.0)
    assert offered(department) == []

    do(department, reconcile.undo_match, "1.9.7", reason="not this one")
    department.receive(an_instance(study="1.9.7", series="1.9.7.2", patient_id="R7"))
    assert linked(department, "1.9.7") == []
    with department.database.transaction() as tx:
        (rule,) = reconcile.rules(tx, READER)
    assert (rule.decided, rule.undone) == (2, 1)
    assert (rule.measured.applied, rule.measured.right) == (6, 5)

    do(department, reconcile.switch_rule, key, enabled=False)
    decide_alike(department, 8)
    assert linked(department, "1.9.8") == []
    department.receive(an_instance(study="1.9.6", series="1.9.6.2", patient_id="R6"))
    assert linked(department, "1.9.6") == ["R6 rule"]  # what it decided stays


def test_a_second_order_takes_the_rules_decision_back(department):
    for number in range(1, 6):
        decide_alike(department, number, chosen=f"R{number}")
    (offer,) = offered(department)
    do(department, reconcile.make_rule, "CT1", sorted(offer.terms))
    decide_alike(department, 6)
    assert linked(department, "1.9.6") == ["R6 rule"]
    department.order(a_patient("R6"), an_order("R6b", start_at=department.now))
    assert linked(department, "1.9.6") == []


def test_only_what_decisions_bear_out_becomes_a_rule(department):
    with pytest.raises(RuleNotBorneOut):
        do(department, reconcile.make_rule, "CT1", ["patient_id", "modality"])
