"""What images should say follows patients and orders, in any order of the facts, and goes back."""

from datetime import date

import pytest

from isocenter.domain.access.model import Action, Actor
from isocenter.domain.archive.service import modifications_of
from isocenter.domain.identity import service as identity
from isocenter.domain.reconcile.service.correcting import correct_due_studies
from isocenter.readmodels.study_list import search_studies
from isocenter.standards.dicom.matching_keys import parse_params
from tests.builders import PERSON, viewer
from tests.exam_story import Department, a_patient, an_order
from tests.image_builders import an_instance

NAME, ID, ISSUER, BORN, ACCESSION = 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00080050


@pytest.fixture
def department(database) -> Department:
    return Department(database)


def said(department: Department, study: str = "1.2.3") -> dict[int, str]:
    """What the study's images are made to say."""
    department.drain()
    with department.database.transaction() as tx:
        found = modifications_of(tx, viewer(Action.STUDY_READ), [study])
    return dict(found[study].values) if study in found else {}


def found(department: Department, **params: str) -> list[str]:
    with department.database.transaction() as tx:
        conditions = parse_params(params.items()).conditions
        rows = search_studies(tx, viewer(Action.STUDY_READ), conditions)
    return [row.patient_id or "" for row in rows]


def test_a_merge_reaches_the_images_of_the_prior_patient_and_its_undoing_too(department):
    department.receive(an_instance(patient_id="P-1", accession_number=""))
    department.register(a_patient("P-1"))
    assert said(department) == {}
    survivor = a_patient("P-2", person_name="Phantom^Ada^Beth")
    department.merge(survivor, "P-1")
    assert said(department) == {NAME: "Phantom^Ada^Beth", ID: "P-2", ISSUER: "HOSP"}
    assert found(department, PatientID="P-2") == ["P-2"]
    assert found(department, PatientName="PHANTOM^ADA^B*") == ["P-2"]
    assert found(department, PatientID="P-1") == []
    with department.database.transaction() as tx:
        identity.unmerge(
            tx, PERSON, tx.value("select merge_key from identity.merge"), now=department.now
        )
    assert said(department) == {}
    assert found(department, PatientID="P-1") == ["P-1"]


def test_an_update_reaches_the_images(department):
    department.receive(an_instance(accession_number=""))
    department.register(a_patient("P-1", birth_date=date(1971, 2, 3)))
    assert said(department) == {BORN: "19710203"}
    department.advance(hours=1)
    department.register(a_patient("P-1", person_name="Phantom^Bea", asserted_at=department.now))
    assert said(department) == {NAME: "Phantom^Bea"}


@pytest.mark.parametrize("images_first", [True, False])
def test_an_order_lends_its_accession_number_and_patient(department, images_first):
    images = an_instance(patient_id="", accession_number="WRONG")

    def order() -> None:
        department.order(a_patient("P-9"), an_order("A7", study_instance_uid="1.2.3"))

    if images_first:
        department.receive(images)
        order()
    else:
        order()
        department.receive(images)
    assert said(department) == {ID: "P-9", ISSUER: "HOSP", ACCESSION: "A7"}
    assert found(department, AccessionNumber="A7") == ["P-9"]
    assert found(department, AccessionNumber="WRONG") == []


def test_an_identifier_of_somebody_else_corrects_nothing(department):
    department.receive(
        an_instance(patient_name="Other^Person", patient_birth_date="19500505", accession_number="")
    )
    department.register(a_patient("P-1"))
    assert said(department) == {}


def test_spelling_alone_corrects_nothing(department):
    department.receive(an_instance(patient_name="PHANTOM^ADA^^", accession_number=""))
    department.register(a_patient("P-1"))
    assert said(department) == {}


def test_what_was_matched_before_corrections_were_kept_is_decided_once_more(department):
    department.order(a_patient("P-1", person_name="Phantom^Eva"), an_order("A1"))
    for study in ("1.2.3", "1.2.4"):
        department.receive(an_instance(study=study, series=f"{study}.1", accession_number="A1"))
    expected = [said(department, "1.2.3"), said(department, "1.2.4")]
    assert NAME in expected[0]
    with department.database.transaction() as tx:  # as an installation of before was
        tx.run(
            "update archive.study set corrected_patient_name = null,"
            " corrected_patient_name_normalised = null, corrected_patient_name_phonetic = null,"
            " corrected_at = null"
        )
        tx.run(_THE_MIGRATION)
    taken = []
    while not taken or taken[-1]:
        with department.database.transaction() as tx:
            actor = Actor.system("worker")
            taken.append(correct_due_studies(tx, actor, limit=1, now=department.now))
    assert taken == [1, 1, 0]
    again = [said(department, "1.2.3"), said(department, "1.2.4")]
    assert [each[NAME] for each in again] == [each[NAME] for each in expected]


_THE_MIGRATION = (
    "insert into reconcile.correction_due"
    " select study_instance_uid from reconcile.link join archive.study using (study_instance_uid)"
    "  where corrected_at is null"
)
