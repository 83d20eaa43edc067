"""SWF.b, the part of modality and receiver of results: worklist, steps, images, reports.

Standard: RAD TF-2 4.5, 4.6, 4.7, 4.8, 4.10, 4.14, 4.28
"""

from typing import Final

from pydicom import Dataset

from isocenter.app.conformance.scanner import unscheduled
from isocenter.app.conformance.stage import Stage
from isocenter.app.conformance.verdicts import Case, Failed, NotPossible, expect
from isocenter.app.demo.dicom_client import AssociationRefused
from isocenter.app.demo.hl7_text import field_of

_OUT_OF_TIME = ("110513", "DCM", "Discontinued for unspecified reason")
_REPORT = "Findings: none.\nImpression: normal & complete | 5^6."


def _asked(stage: Stage) -> None:
    order, _ = stage.scheduled()
    today = f"{order.start_at:%Y%m%d}"
    mine = {"PatientID": order.person.number}
    matching: tuple[dict[str, str], ...] = (
        mine,
        mine | {"PatientName": "Phan*"},
        mine | {"Modality": "CT", "ScheduledStationAETitle": order.station},
        mine | {"ScheduledProcedureStepStartDate": f"{today}-{today}"},
        {"AccessionNumber": order.accession_number},
        {"RequestedProcedureID": order.procedure_id},
    )
    for keys in matching:
        expect(f"items for {keys}", len(stage.scanner.worklist(**keys)), 1)
    for other in ({"Modality": "MR"}, {"PatientName": "Nobody*"}, {"PatientID": "NOBODY"}):
        expect(f"items for {mine | other}", len(stage.scanner.worklist(**(mine | other))), 0)


def _returned(stage: Stage) -> None:
    _, item = stage.scheduled()
    for keyword in (
        "AccessionNumber",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "RequestedProcedureID",
        "RequestedProcedureDescription",
    ):
        _valued(item, keyword)
    for keyword in (
        "Modality",
        "ScheduledStationAETitle",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "ScheduledProcedureStepID",
    ):
        _valued(item.ScheduledProcedureStepSequence[0], keyword)


def _valued(item: Dataset, keyword: str) -> None:
    if not str(item.get(keyword, "")):
        raise Failed(f"{keyword} has no value")


def _simple(stage: Stage) -> None:
    order, item = stage.scheduled()
    uid = stage.scanner.begin(item)
    stage.done(order.accession_number, "started")
    images = stage.scanner.images(item, 3)
    stage.stored(*images)
    stage.scanner.end(uid, images)
    stage.off_worklist(order)
    stage.done(order.accession_number, "complete")
    stage.linked(order.study_instance_uid, order.accession_number)
    steps = stage.product.exam(order.accession_number)["performed_steps"]
    expect("expected and received", [(s["expected"], s["received"]) for s in steps], [(3, 3)])


def _appended(stage: Stage) -> None:
    order, item = stage.scheduled()
    for _ in range(2):
        uid = stage.scanner.begin(item)
        images = stage.scanner.images(item)
        stage.stored(*images)
        stage.scanner.end(uid, images)

    def steps() -> list[str]:
        found = stage.product.exam(order.accession_number)["performed_steps"]
        return [each["status"] for each in found]

    stage.until(lambda: steps() == ["COMPLETED", "COMPLETED"], "two performed steps of one exam")


def _grouped(stage: Stage) -> None:
    person = stage.person()
    both = [stage.scheduled(person) for _ in range(2)]
    stage.scanner.begin(*(item for _, item in both))
    for order, _ in both:
        stage.done(order.accession_number, "started")


def _nobody_asked(stage: Stage) -> None:
    person = stage.person()
    said = {"PatientID": person.number, "PatientName": person.name}
    item = unscheduled(stage.uid(), stage.now(), **said)
    uid = stage.scanner.begin(item)
    images = stage.scanner.images(item)
    study = stage.stored(*images)
    stage.scanner.end(uid, images)
    stage.has_cases(study, "unmatched")
    known = {str(each["sop_instance_uid"]) for each in stage.product.unscheduled_steps()}
    expect("the step is listed as unscheduled", uid in known, True)


def _broken_off(stage: Stage) -> None:
    order, item = stage.scheduled()
    uid = stage.scanner.begin(item)
    stage.scanner.end(uid, [], status="DISCONTINUED", reason=_OUT_OF_TIME)

    def told() -> list[str]:
        found = stage.product.exam(order.accession_number)["performed_steps"]
        return [each["status"] for each in found if each["discontinuation_reason"]]

    stage.until(lambda: told() == ["DISCONTINUED"], "the exam says that and why it was broken off")


def _ended_stays(stage: Stage) -> None:
    _, item = stage.scheduled()
    uid = stage.scanner.begin(item)
    images = stage.scanner.images(item)
    stage.scanner.end(uid, images)
    try:
        stage.scanner.end(uid, images)
    except AssociationRefused as error:
        expect("status", str(error)[-4:], "0110")
        return
    raise Failed("a step that has ended was set again (PS3.4 F.7.2.2.2)")


def _committed(stage: Stage) -> None:
    _, item = stage.scheduled()
    images = stage.scanner.images(item, 3)
    stage.stored(*images[:2])
    done, failed = stage.scanner.commit(images)
    expect("committed", done, {str(each.SOPInstanceUID) for each in images[:2]})
    expect("not committed", failed, {str(images[2].SOPInstanceUID)})


def _again(stage: Stage) -> None:
    order, item = stage.scheduled()
    images = stage.scanner.images(item)
    study = stage.stored(*images)
    stage.stored(*images)
    stage.shown(study, NumberOfStudyRelatedInstances="2", AccessionNumber=order.accession_number)


def _found(stage: Stage) -> None:
    order, item = stage.scheduled()
    study = stage.stored(*stage.scanner.images(item))
    said = {
        "PatientID": order.person.number,
        "PatientName": order.person.name,
        "AccessionNumber": order.accession_number,
        "NumberOfStudyRelatedInstances": "2",
    }
    stage.shown(study, **said)
    by_number = stage.scanner.studies(AccessionNumber=order.accession_number)
    expect("studies", [str(each.StudyInstanceUID) for each in by_number], [study])


def _reported(stage: Stage) -> None:
    order, item = stage.scheduled()
    number = order.accession_number
    images = stage.scanner.images(item)
    uid = stage.scanner.begin(item)
    stage.stored(*images)
    stage.scanner.end(uid, images)
    stage.linked(order.study_instance_uid, number)
    stage.product.report(number, _REPORT)
    application = stage.installation.application
    to = stage.until(lambda: stage.product.deliveries(number), "the report is on its way")
    if application not in {each["recipient"] for each in to}:
        raise NotPossible(f"the installation sends no results to a peer named {application}")
    came = stage.until(lambda: stage.results_about(number), "the result arrives")
    expect("results", len(came), 1)
    expect("MSH-9", field_of(came[0], "MSH", 9)[:7], "ORU^R01")
    expect("OBR-25", field_of(came[0], "OBR", 25), "F")
    if order.study_instance_uid not in came[0]:
        raise Failed("the result does not say the Study Instance UID")
    if "normal \\T\\ complete \\F\\ 5\\S\\6." not in came[0]:
        raise Failed("the text of the report is not in the result")

    def acknowledged() -> bool:
        found = stage.product.deliveries(number)
        states = [each["state"] for each in found if each["recipient"] == application]
        return states == ["acknowledged"]

    stage.until(acknowledged, "the installation knows that the result was acknowledged")


CASES: Final[tuple[Case[Stage], ...]] = (
    Case("RAD-5 matching", "each matching key finds the exam and nothing else", _asked),
    Case("RAD-5 return", "every required return key has a value", _returned),
    Case("RAD-6/7 simple", "one step: begun, all images here, complete", _simple),
    Case("RAD-6/7 append", "two performed steps for one that was scheduled", _appended),
    Case("RAD-6 group", "one performed step for two orders", _grouped),
    Case("RAD-6/7 unscheduled", "what nobody ordered waits for a person", _nobody_asked),
    Case("RAD-7 discontinued", "the exam says that and why it was broken off", _broken_off),
    Case("RAD-7 twice", "a step that has ended is not changed", _ended_stays),
    Case("RAD-8 again", "the same images again are the same images", _again),
    Case("RAD-10", "what is stored is committed, what is not is said to be missing", _committed),
    Case("RAD-14", "a stored study is found with its order's identity", _found),
    Case("RAD-28", "a signed report arrives once, complete, and is known to have", _reported),
)
