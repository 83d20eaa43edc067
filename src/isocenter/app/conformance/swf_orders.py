"""SWF.b, the part of ADT source, order placer and scheduler: patients, orders, their changes.

Standard: RAD TF-1 3, RAD TF-2 4.1, 4.2, 4.3, 4.4, 4.12, 4.13, 4.48
"""

from dataclasses import replace
from typing import Final

from isocenter.app.conformance import messages as hl7
from isocenter.app.conformance.stage import Stage, later
from isocenter.app.conformance.verdicts import Case, Failed, expect
from isocenter.app.demo.hl7_text import field_of


def _registered(event: str) -> Case[Stage]:
    def play(stage: Stage) -> None:
        person = stage.person()
        stage.register(person, event=event)
        expect("name", stage.known(person)["person_name"], person.name)

    return Case(f"RAD-1 {event}", "a registered patient is known by name and number", play)


def _no_number(stage: Stage) -> None:
    person = stage.person()
    message = hl7.registration(stage.envelope, "A04", person, stage.now())
    nameless = message.replace(f"{person.number}^^^{hl7.AUTHORITY}^MR", "")
    stage.refused(nameless, location="PID^1^3", error="101")


def _placed(style: str, kind: str) -> Case[Stage]:
    def play(stage: Stage) -> None:
        person = stage.person()
        order = stage.order(person)
        stage.tell(order, style=style)
        found = stage.until(
            lambda: stage.scanner.worklist(PatientID=person.number), "the order is on the worklist"
        )
        expect("items", len(found), 1)
        expect("name", str(found[0].PatientName), person.name)
        for keyword in ("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID"):
            if not str(found[0].get(keyword, "")):
                raise Failed(f"no {keyword} was given to an order that came without")
        number = str(found[0].AccessionNumber)
        expect("patient of the exam", stage.product.exam(number)["patient_id"], person.number)

    return Case(f"RAD-2 {kind}", "an order is an exam on the worklist, with numbers", play)


def _cancelled(stage: Stage) -> None:
    order, _ = stage.scheduled()
    stage.tell(order, control="CA")
    stage.off_worklist(order)
    expect("state", stage.product.exam(order.accession_number)["state"], "cancelled")


def _repeated(stage: Stage) -> None:
    order = stage.order(stage.person())
    message = stage.written(order)
    first, second = stage.accepted(message), stage.accepted(message)
    expect("the answer to the repetition", second, first)
    expect("exams", len(stage.product.exams_of(order.person.number)), 1)


def _unknown_control(stage: Stage) -> None:
    message = stage.written(stage.order(stage.person()), control="ZZ", style="OMI")
    stage.refused(message, location="ORC^1^1", error="103")


def _numbers_wanted(stage: Stage) -> None:
    order = replace(stage.order(stage.person()), placer_number="", accession_number="")
    order = replace(order, filler_number=f"F{order.person.number}")
    answer = stage.tell(order, control="SN", style="ORM")
    expect("message type", field_of(answer, "MSH", 9)[:7], "ORR^O02")
    expect("ORC-1", field_of(answer, "ORC", 1), "NA")
    if not field_of(answer, "ORC", 2):
        raise Failed("no placer order number was assigned")


def _as_scheduled(style: str, kind: str) -> Case[Stage]:
    def play(stage: Stage) -> None:
        order = stage.order(stage.person())
        stage.tell(order, style=style)
        item = stage.on_worklist(order)
        expect("Study Instance UID", str(item.StudyInstanceUID), order.study_instance_uid)
        expect("procedure", str(item.RequestedProcedureID), order.procedure_id)
        step = item.ScheduledProcedureStepSequence[0]
        expect("step", str(step.ScheduledProcedureStepID), f"{order.procedure_id}.1")
        expect("station", str(step.ScheduledStationAETitle), order.station)
        expect("modality", str(step.Modality), order.modality)

    return Case(f"RAD-4 {kind}", "the worklist says what the scheduler said", play)


def _renamed(stage: Stage) -> None:
    order, _ = stage.scheduled()
    person = replace(order.person, name=f"{order.person.name}^Beth")
    stage.register(person, event="A08")

    def name() -> bool:
        found = stage.scanner.worklist(AccessionNumber=order.accession_number)
        return bool(found) and str(found[0].PatientName) == person.name

    stage.until(name, "the worklist says the new name")


def _merged(stage: Stage) -> None:
    prior, survivor = stage.person("Phantom^Unknown"), stage.person()
    order, _ = stage.scheduled(prior)
    stage.register(survivor)
    stage.merge(survivor, prior)
    item = stage.on_worklist(order, PatientID=survivor.number)
    expect("name", str(item.PatientName), survivor.name)
    stage.merge(survivor, prior)


def _self_merged(stage: Stage) -> None:
    person = stage.person()
    stage.register(person)
    message = hl7.merge(stage.envelope, person, person, stage.now())
    stage.refused(message, location="MRG^1^1", error="205")


def _updated(name: str, effect: str, *wishes: tuple[str, str]) -> Case[Stage]:
    """An order that goes through these pairs of ORC-1 and ORC-5."""

    def play(stage: Stage) -> None:
        order = stage.order(stage.person())
        for control, status in wishes:
            stage.tell(order, control=control, status=status)
        if effect == "offered":
            stage.on_worklist(order)
        else:
            stage.off_worklist(order)
            expect("state", stage.product.exam(order.accession_number)["state"], effect)

    return Case(f"RAD-13 {name}", f"the exam is {effect}", play)


def _moved(stage: Stage) -> None:
    order, _ = stage.scheduled()
    moved = later(order, days=1)
    stage.tell(moved, control="XO", status="SC")
    wanted = {"ScheduledProcedureStepStartDate": f"{moved.start_at:%Y%m%d}"}
    stage.on_worklist(order, **wanted)


def _changed_when_done(stage: Stage) -> None:
    order, item = stage.scheduled()
    images = stage.scanner.images(item)
    uid = stage.scanner.begin(item)
    stage.stored(*images)
    stage.scanner.end(uid, images)
    stage.done(order.accession_number, "complete")
    stage.tell(order, control="XO", status="CM")
    stage.off_worklist(order)


def _other_study(stage: Stage) -> None:
    order, item = stage.scheduled()
    stage.scanner.begin(item)
    other = replace(order, study_instance_uid=stage.uid())
    stage.say(stage.written(other, control="XO", status="SC"))
    again = stage.scanner.worklist(AccessionNumber=order.accession_number)
    said = {str(each.StudyInstanceUID) for each in again} | {order.study_instance_uid}
    expect("Study Instance UIDs", said, {order.study_instance_uid})


def _booked(stage: Stage) -> None:
    order, _ = stage.scheduled()
    for event, days in (("S12", 2), ("S13", 3)):
        booked = later(order, days=days)
        stage.accepted(hl7.appointment(stage.envelope, event, booked, stage.now()))
        wanted = {"ScheduledProcedureStepStartDate": f"{booked.start_at:%Y%m%d}"}
        stage.on_worklist(order, **wanted)


CASES: Final[tuple[Case[Stage], ...]] = (
    *(_registered(event) for event in ("A01", "A04", "A05")),
    Case("RAD-1 no number", "a patient without identifier is refused with its place", _no_number),
    _placed("ORM", "ORM^O01"),
    _placed("OMG", "OMG^O19"),
    Case("RAD-2 CA", "a cancelled order leaves the worklist", _cancelled),
    Case("RAD-2 repeated", "the same message again has one effect and one answer", _repeated),
    Case("RAD-2 ORC-1", "an unknown order control is refused with its place", _unknown_control),
    Case("RAD-3 SN", "numbers are assigned and told (NA)", _numbers_wanted),
    _as_scheduled("ZDS", "ORM^O01 ZDS"),
    _as_scheduled("OMI", "OMI^O23"),
    Case("RAD-12 A08", "a new name is on the worklist", _renamed),
    Case("RAD-12 A40", "a merge reaches the worklist, and may be repeated", _merged),
    Case("RAD-12 A40 self", "a patient is not merged into itself", _self_merged),
    _updated("NW_SC", "offered", ("NW", "SC")),
    _updated("NW_IP", "offered", ("NW", "IP")),
    _updated("CA_CA", "cancelled", ("NW", "SC"), ("CA", "CA")),
    _updated("DC_CA", "cancelled", ("NW", "SC"), ("DC", "CA")),
    _updated("HD, RL", "offered", ("NW", "SC"), ("HD", ""), ("RL", "")),
    Case("RAD-13 XO_SC", "a change of the time is on the worklist", _moved),
    Case("RAD-13 XO_CM", "what is done is corrected and offered no more", _changed_when_done),
    Case("RAD-13 UID", "a study that is begun keeps its Study Instance UID", _other_study),
    Case("RAD-48 S12, S13", "an exam takes place when its appointment is", _booked),
)
