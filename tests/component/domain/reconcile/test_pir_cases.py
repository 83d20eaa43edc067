"""The cases of patient information reconciliation, each from its facts to what is shown.

Standard: IHE RAD TF-1 4 (Patient Information Reconciliation)
"""

from datetime import date, timedelta

import pytest

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.service import modifications_of
from isocenter.domain.identity import service as identity
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import accession_key
from isocenter.domain.worklist.model import PerformedStatus, ScheduledReference
from isocenter.readmodels import reconciliation
from tests.builders import PERSON, viewer
from tests.exam_story import (
    WRONG_ENTRY,
    Department,
    a_patient,
    a_step_end,
    a_step_start,
    an_order,
)
from tests.image_builders import NOW, an_instance

ID, NAME, ACCESSION = 0x00100020, 0x00100010, 0x00080050
STUDY = "1.2.3"


@pytest.fixture
def department(database) -> Department:
    return Department(database)


def link(department: Department, study: str = STUDY) -> tuple[str, str] | None:
    """Accession number and method of the study's link."""
    department.drain()
    with department.database.transaction() as tx:
        found = tx.values(
            "select accession_number || ' ' || method from reconcile.link"
            " where study_instance_uid = %s",
            (study,),
        )
    return tuple(found[0].split()) if found else None


def cases(department: Department, study: str = STUDY) -> list[str]:
    department.drain()
    with department.database.transaction() as tx:
        found = reconciliation.open_cases(tx, viewer(Action.STUDY_READ), study_instance_uid=study)
    return [each.kind for each in found]


def said(department: Department, study: str = STUDY) -> dict[int, str]:
    department.drain()
    with department.database.transaction() as tx:
        found = modifications_of(tx, viewer(Action.STUDY_READ), [study])
    return dict(found[study].values) if study in found else {}


def best(department: Department, study: str = STUDY) -> list[str]:
    with department.database.transaction() as tx:
        found = reconcile.proposals(tx, Viewer.of(PERSON, Action.STUDY_READ), study)
    return [each.order.accession_number for each in found]


def test_1_unidentified_at_admission_and_merged_later(department):
    unknown = a_patient("TMP-1", person_name="Doe^John", birth_date=None, sex=None)
    department.order(unknown, an_order("A1", study_instance_uid=STUDY))
    department.receive(
        an_instance(patient_id="TMP-1", patient_name="Doe^John", patient_birth_date="")
    )
    assert link(department) == ("A1", "study_instance_uid")
    department.advance(hours=1)
    department.merge(a_patient("P-1", asserted_at=department.now), "TMP-1")
    assert link(department) == ("A1", "study_instance_uid")
    assert said(department)[ID] == "P-1"
    assert said(department)[NAME] == "Phantom^Ada"


def test_2_unidentified_at_the_modality_and_no_order(department):
    department.receive(
        an_instance(
            patient_id="", patient_name="UNKNOWN^MALE", patient_birth_date="", accession_number=""
        )
    )
    assert link(department) is None
    assert cases(department) == ["unidentified_patient"]
    department.register(a_patient("P-1"))
    with department.database.transaction() as tx:
        patient = identity.find(tx, "P-1")
        reconcile.move_to_patient(
            tx, PERSON, STUDY, patient.patient_key, reason="relatives came", now=department.now
        )
    assert said(department)[ID] == "P-1"
    assert cases(department) == ["unmatched"]
    department.order(a_patient("P-1"), an_order("A7", study_instance_uid=STUDY))
    assert link(department) == ("A7", "study_instance_uid")
    assert cases(department) == []


def test_3_a_temporary_id_at_the_order_filler(department):
    """The scheduler registers under an ID of its own, and the merge makes it the patient's."""
    temporary = a_patient("RIS-77", person_name="Phantom^Ada")
    department.order(temporary, an_order("A1"))
    department.receive(an_instance(patient_id="P-1", accession_number="A1"))
    department.register(a_patient("P-1"))
    assert cases(department) == ["patient_mismatch"]
    department.merge(a_patient("P-1", asserted_at=NOW), "RIS-77")
    assert link(department) == ("A1", "accession_number_and_patient")
    assert cases(department) == []


def test_4_images_before_their_order(department):
    department.receive(an_instance(accession_number="A001"))
    assert cases(department) == ["unmatched"]
    department.order(a_patient("P-1"), an_order("A1"))
    assert link(department) == ("A1", "accession_number_and_patient")
    assert cases(department) == []


def test_5_the_order_is_cancelled_and_the_exam_done_on_another(department):
    department.order(a_patient("P-1"), an_order("A1", study_instance_uid=STUDY))
    department.cancel("A1")
    department.receive(an_instance(accession_number="A1"))
    department.order(a_patient("P-1"), an_order("A2"))
    assert link(department) == ("A1", "study_instance_uid")
    assert cases(department) == ["order_cancelled"]
    assert best(department)[0] in {"A1", "A2"}
    with department.database.transaction() as tx:
        reconcile.match_by_person(tx, PERSON, STUDY, "A2", reason="called", now=department.now)
    assert link(department) == ("A2", "person")
    assert said(department)[ACCESSION] == "A2"
    assert cases(department) == []


def test_6_the_wrong_worklist_item_was_picked(department):
    department.order(a_patient("P-1"), an_order("A1", study_instance_uid=STUDY))
    department.order(a_patient("P-2", person_name="Phantom^Bea"), an_order("A2"))
    department.start(a_step_start("2.9", ScheduledReference(STUDY, "A1", "RP1")))
    department.receive(an_instance(accession_number="A1"))
    made = {"1.2.3.1": ["1.2.3.1.1"]}
    department.update(
        "2.9", a_step_end(PerformedStatus.DISCONTINUED, reason=WRONG_ENTRY, series=made)
    )
    assert link(department) is None
    assert cases(department) == ["wrong_worklist_entry"]
    with department.database.transaction() as tx:
        reconcile.match_by_person(tx, PERSON, STUDY, "A2", reason="asked CT1", now=department.now)
    assert link(department) == ("A2", "person")
    assert (said(department)[ID], said(department)[NAME]) == ("P-2", "Phantom^Bea")


def test_7_the_patient_is_updated_during_the_exam(department):
    department.order(a_patient("P-1"), an_order("A1", study_instance_uid=STUDY))
    department.receive(an_instance(series="1.2.3.1"))
    department.drain()
    department.advance(minutes=5)
    department.register(
        a_patient("P-1", asserted_at=department.now, person_name="Phantom^Ada^Beth")
    )
    department.receive(an_instance(series="1.2.3.2"))
    assert link(department) == ("A1", "study_instance_uid")
    assert said(department) == {NAME: "Phantom^Ada^Beth"}
    assert cases(department) == []


def test_8_a_merge_while_the_step_is_in_progress(department):
    department.order(a_patient("Q-1"), an_order("A1", study_instance_uid=STUDY))
    department.start(a_step_start("2.9", ScheduledReference(STUDY, "A1", "RP1"), patient_id="Q-1"))
    department.receive(an_instance(patient_id="Q-1", sop="1.2.3.1.1"))
    department.drain()
    department.advance(minutes=1)
    department.merge(a_patient("P-1", asserted_at=department.now), "Q-1")
    department.receive(an_instance(patient_id="Q-1", sop="1.2.3.1.2"))
    department.update("2.9", a_step_end(series={"1.2.3.1": ["1.2.3.1.1", "1.2.3.1.2"]}))
    assert link(department) == ("A1", "study_instance_uid")
    assert said(department)[ID] == "P-1"
    assert department.statuses("A1")[0] == "completed"


def test_9_merges_that_swap_do_not_swap_the_images(department):
    department.order(a_patient("P-1"), an_order("A1", study_instance_uid=STUDY))
    department.receive(an_instance(patient_id="P-1"))
    department.register(a_patient("P-2", person_name="Phantom^Bea"))
    for survivor, prior in (("P-2", "P-1"), ("P-1", "P-2")):
        department.advance(minutes=1)
        department.merge(a_patient(survivor, asserted_at=department.now), prior)
        assert link(department) == ("A1", "study_instance_uid")
        assert said(department).get(ID, "P-1") == survivor
    assert cases(department) == []


def test_10_an_unmerge_takes_back_what_the_merge_had_joined(department):
    department.order(a_patient("P-2"), an_order("A1"))
    department.receive(an_instance(patient_id="P-1", accession_number="A1"))
    department.merge(a_patient("P-2", asserted_at=NOW), "P-1")
    assert link(department) == ("A1", "accession_number_and_patient")
    with department.database.transaction() as tx:
        key = tx.value("select merge_key from identity.merge")
        identity.unmerge(tx, PERSON, key, now=department.now)
    assert link(department) is None
    assert cases(department) == ["patient_mismatch"]


def test_a_performed_step_brings_images_without_a_number_to_their_order(department):
    department.order(a_patient("P-1"), an_order("A1"))
    department.start(a_step_start("2.9", ScheduledReference(STUDY, "A1", "RP1")))
    department.receive(an_instance(accession_number=""))
    assert link(department) == ("A1", "performed_step")


def test_a_step_and_a_number_that_contradict_each_other_ask_a_person(department):
    department.order(a_patient("P-1"), an_order("A1"))
    department.start(a_step_start("2.9", ScheduledReference(STUDY, "A1", "RP1")))
    department.receive(an_instance(accession_number="B9"))
    assert link(department) is None
    assert cases(department) == ["ambiguous"]


def test_a_number_of_another_issuer_asks_a_person(department):
    department.order(a_patient("P-1"), an_order("A1", accession_issuer="CLINIC"))
    department.receive(an_instance(accession_number="A1"))
    with department.database.transaction() as tx:
        tx.run("update archive.study set issuer_of_accession_number = 'HOSP'")
        reconcile.match(tx, [STUDY], now=department.now)
    assert link(department) is None
    assert cases(department) == ["issuer_conflict"]


def test_a_number_that_several_patients_orders_have_asks_a_person(department):
    department.order(a_patient("P-7", person_name="Phantom^Bea"), an_order("a1"))
    department.order(a_patient("P-8", person_name="Phantom^Eve"), an_order("A1"))
    department.receive(an_instance(accession_number="A1", patient_name="Ghost^Zoe"))
    assert link(department) is None
    assert cases(department) == ["duplicate_accession"]


def test_another_form_of_the_number_needs_a_patient_who_agrees_in_more_than_the_id(department):
    department.order(
        a_patient("P-1", person_name="Ghost^Eve", birth_date=date(1999, 9, 9)),
        an_order("A1", start_at=NOW + timedelta(days=1)),
    )
    department.receive(an_instance(accession_number="A01", patient_birth_date=""))
    assert link(department) is None
    assert cases(department) == ["patient_mismatch"]


def test_a_prefix_of_the_site_settles_what_waited_for_it(department):
    department.order(a_patient("P-1"), an_order("17"))
    department.receive(an_instance(accession_number="RAD-0017"))
    assert cases(department) == ["unmatched"]
    with department.database.transaction() as tx:
        reconcile.add_prefix(tx, PERSON, "rad-", now=department.now)
    assert link(department) == ("17", "accession_number_and_patient")


@pytest.mark.parametrize("number", ["A*", "A?", "*"])
def test_a_wildcard_in_images_matches_nothing(department, number):
    department.order(a_patient("P-1"), an_order("A1"))
    department.receive(an_instance(accession_number=number))
    assert link(department) is None
    assert cases(department) == ["unmatched"]


def test_the_database_and_the_rules_look_numbers_up_alike(department):
    numbers = ["A1", " 00a1 ", "RAD-000123", "2026.01.7", "\uff11\uff12", "0", "000", "1 0 2", "A*"]
    with department.database.transaction() as tx:
        keys = tx.values(
            "select reconcile.accession_key(said)"
            "  from unnest(%s::text[]) with ordinality as n (said, at) order by at",
            (numbers,),
        )
    assert keys == [accession_key(each) for each in numbers]


@pytest.mark.parametrize("images_first", [True, False])
def test_a_performed_step_that_lists_the_series_is_enough(department, images_first):
    """The scanner made a Study Instance UID of its own, and says for which order it did."""
    department.order(a_patient("P-1"), an_order("A1", study_instance_uid="1.9"))

    def images() -> None:
        department.receive(an_instance(accession_number="", sop="1.2.3.1.1"))
        department.drain()

    if images_first:
        images()
    department.start(a_step_start("2.9", ScheduledReference("1.9", "A1", "RP1")))
    department.update("2.9", a_step_end(series={"1.2.3.1": ["1.2.3.1.1"]}))
    department.drain()
    if not images_first:
        images()
    assert link(department) == ("A1", "performed_step")


def test_images_under_a_maiden_name_find_their_order_and_go_out_under_the_present_one(department):
    department.order(a_patient("P-1", aliases=("Maiden^Ada",)), an_order("A1"))
    department.receive(an_instance(patient_id="", patient_name="Maiden^Ada", accession_number="A1"))
    department.drain()
    with department.database.read() as tx:
        assert tx.values("select accession_number from reconcile.link") == ["A1"]
        assert tx.value("select corrected_patient_name from archive.study") == "Phantom^Ada"
