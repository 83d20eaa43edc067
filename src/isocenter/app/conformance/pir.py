"""PIR: the ten cases in which images, orders and patients do not fit at first.

Standard: RAD TF-1 4 (Patient Information Reconciliation)
"""

from dataclasses import replace
from typing import Final

from isocenter.app.conformance.scanner import WRONG_ENTRY, unscheduled
from isocenter.app.conformance.stage import Stage
from isocenter.app.conformance.verdicts import Case, expect


def _unidentified_at_admission(stage: Stage) -> None:
    unknown = replace(stage.person("Doe^John", "TMP"), birth_date="", sex="")
    order, item = stage.scheduled(unknown)
    study = stage.stored(*stage.scanner.images(item))
    stage.linked(study, order.accession_number)
    known = stage.person("Phantom^Clara")
    stage.register(known)
    stage.merge(known, unknown)
    stage.shown(study, PatientID=known.number, PatientName=known.name)
    expect("patient", stage.product.exam(order.accession_number)["patient_id"], known.number)


def _unidentified_at_the_scanner(stage: Stage) -> None:
    item = unscheduled(stage.uid(), stage.now(), PatientName="UNKNOWN^MALE")
    study = stage.stored(*stage.scanner.images(item))
    stage.has_cases(study, "unidentified_patient")
    person = stage.person()
    stage.register(person)
    stage.product.move(study, person.number)
    stage.shown(study, PatientID=person.number, PatientName=person.name)
    stage.has_cases(study, "unmatched")
    order = replace(stage.order(person), study_instance_uid=study)
    stage.tell(order)
    stage.linked(study, order.accession_number)
    stage.has_cases(study)


def _temporary_number_at_the_scheduler(stage: Stage) -> None:
    temporary = stage.person("Phantom^Ada", "RIS")
    order, item = stage.scheduled(temporary)
    known = replace(stage.person(), name=temporary.name)
    stage.register(known)
    images = stage.scanner.images(item, PatientID=known.number, StudyInstanceUID=stage.uid())
    study = stage.stored(*images)
    stage.has_cases(study, "patient_mismatch")
    stage.merge(known, temporary)
    stage.linked(study, order.accession_number)
    stage.has_cases(study)


def _images_before_their_order(stage: Stage) -> None:
    person = stage.person()
    order = stage.order(person)
    said = {"PatientID": person.number, "PatientName": person.name}
    said |= {"PatientBirthDate": person.birth_date, "PatientSex": person.sex}
    said |= {"AccessionNumber": order.accession_number}
    item = unscheduled(stage.uid(), stage.now(), **said)
    study = stage.stored(*stage.scanner.images(item))
    stage.has_cases(study, "unmatched")
    stage.tell(order)
    stage.linked(study, order.accession_number)
    stage.has_cases(study)


def _cancelled_and_done_on_another(stage: Stage) -> None:
    order, item = stage.scheduled()
    stage.tell(order, control="CA")
    stage.off_worklist(order)
    study = stage.stored(*stage.scanner.images(item))
    stage.has_cases(study, "order_cancelled")
    other, _ = stage.scheduled(order.person)
    stage.product.match(study, other.accession_number)
    stage.shown(study, AccessionNumber=other.accession_number)
    stage.has_cases(study)


def _wrong_worklist_entry(stage: Stage) -> None:
    order, item = stage.scheduled()
    other, _ = stage.scheduled(stage.person("Phantom^Bea"))
    images = stage.scanner.images(item)
    uid = stage.scanner.begin(item)
    study = stage.stored(*images)
    stage.scanner.end(uid, images, status="DISCONTINUED", reason=WRONG_ENTRY)
    stage.has_cases(study, "wrong_worklist_entry")
    stage.product.match(study, other.accession_number)
    said = {"PatientID": other.person.number, "PatientName": other.person.name}
    stage.shown(study, AccessionNumber=other.accession_number, **said)
    stage.has_cases(study)
    stage.on_worklist(order)


def _updated_during_the_exam(stage: Stage) -> None:
    order, item = stage.scheduled()
    stage.scanner.begin(item)
    study = stage.stored(*stage.scanner.images(item))
    person = replace(order.person, name=f"{order.person.name}^Beth")
    stage.register(person, event="A08")
    stage.stored(*stage.scanner.images(item))
    stage.shown(study, PatientName=person.name, NumberOfStudyRelatedInstances="4")
    stage.linked(study, order.accession_number)
    stage.has_cases(study)


def _merged_during_the_exam(stage: Stage) -> None:
    order, item = stage.scheduled()
    survivor = stage.person("Phantom^Clara")
    uid = stage.scanner.begin(item)
    first = stage.scanner.images(item)
    study = stage.stored(*first)
    stage.register(survivor)
    stage.merge(survivor, order.person)
    late = stage.scanner.images(item)
    stage.stored(*late)
    stage.scanner.end(uid, [*first, *late])
    stage.done(order.accession_number, "complete")
    stage.shown(study, PatientID=survivor.number, NumberOfStudyRelatedInstances="4")
    stage.has_cases(study)


def _merges_that_swap(stage: Stage) -> None:
    order, item = stage.scheduled()
    one, other = order.person, stage.person("Phantom^Bea")
    study = stage.stored(*stage.scanner.images(item))
    stage.register(other)
    for survivor, prior in ((other, one), (one, other)):
        stage.merge(survivor, prior)
        stage.shown(study, PatientID=survivor.number)
        stage.linked(study, order.accession_number)
    stage.has_cases(study)


def _unmerged(stage: Stage) -> None:
    one = stage.person()
    other = replace(stage.person(), name=one.name)
    stage.register(one)
    order, item = stage.scheduled(other)
    images = stage.scanner.images(item, PatientID=one.number, StudyInstanceUID=stage.uid())
    study = stage.stored(*images)
    stage.has_cases(study, "patient_mismatch")
    stage.merge(other, one)
    stage.linked(study, order.accession_number)
    stage.product.unmerge(stage.known(other))
    stage.has_cases(study, "patient_mismatch")
    stage.shown(study, PatientID=one.number)


CASES: Final[tuple[Case[Stage], ...]] = (
    Case("PIR 1", "unidentified at admission, merged later", _unidentified_at_admission),
    Case("PIR 2", "unidentified at the scanner, and no order", _unidentified_at_the_scanner),
    Case("PIR 3", "a temporary number at the scheduler", _temporary_number_at_the_scheduler),
    Case("PIR 4", "images before their order", _images_before_their_order),
    Case("PIR 5", "order cancelled, exam done on another", _cancelled_and_done_on_another),
    Case("PIR 6", "wrong worklist entry selected", _wrong_worklist_entry),
    Case("PIR 7", "patient updated during the exam", _updated_during_the_exam),
    Case("PIR 8", "merge while the step is in progress", _merged_during_the_exam),
    Case("PIR 9", "merges that swap", _merges_that_swap),
    Case("PIR 10", "an unmerge takes back what the merge had joined", _unmerged),
)
