"""The rules by which a study finds its order: a pure decision over all that is known at the moment.

A decision looks only at facts, never at the order in which they came or at what was decided before,
except for what a person said. So the same facts always end in the same state.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.domain.reconcile.model.accession import NumberAgreement, compare_accession_numbers
from isocenter.domain.reconcile.model.cases import CaseKind, Finding
from isocenter.domain.reconcile.model.evidence import (
    Decision,
    Evidence,
    Link,
    Method,
    OrderEvidence,
    StudyEvidence,
)
from isocenter.domain.reconcile.model.patient import (
    Agreement,
    compare_patient,
    identifier_agrees,
    is_unidentified,
    name_agrees,
    names_agree,
    same_date,
)
from isocenter.domain.reconcile.model.rules import chosen_by
from isocenter.domain.reconcile.model.score import ranked


def decide(evidence: Evidence) -> Decision:
    """The link that the evidence supports, if any, and all that a person must look at."""
    link, findings = _choose(evidence)
    by_person = link is not None and link.method is Method.PERSON
    if link is not None:
        order = next(each for each in evidence.orders if each.order_key == link.order_key)
        if order.cancelled:
            findings.append(
                Finding(
                    CaseKind.ORDER_CANCELLED,
                    f"order/{order.order_key}",
                    f"Images came for order {order.accession_number}, which was cancelled.",
                )
            )
    mistaken = evidence.study.wrong_entry
    if mistaken and mistaken.made_objects and not mistaken.is_all and not by_person:
        findings.append(mistaken.finding())
    return Decision(link, (*findings, *_findings_within(evidence.study)))


def _choose(evidence: Evidence) -> tuple[Link | None, list[Finding]]:
    for order in evidence.orders:
        if order.order_key == evidence.chosen_by_person:
            return _link(order, Method.PERSON, "matched by a person"), []
    study = evidence.study
    if study.wrong_entry and study.wrong_entry.is_all:
        return None, [study.wrong_entry.finding()]
    doubts: list[_Doubt] = []
    fitting: list[tuple[Link, OrderEvidence]] = []
    for identify in (_by_study_uid, _by_number, _by_performed_step):
        fitting = identify(evidence, doubts)
        if len(fitting) > 1:  # a cancelled order gives way to the one that replaced it
            fitting = [each for each in fitting if not each[1].cancelled] or fitting
        if len(fitting) == 1:
            return fitting[0][0], []
        if fitting:
            break
    by_rule = None if fitting or doubts else _by_rule(evidence)
    if by_rule is not None:
        return by_rule, []
    return None, [_what_is_wrong(evidence, [order for _, order in fitting], doubts)]


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An order that something identifies and something else contradicts."""

    order: OrderEvidence
    grounds: str
    kind: CaseKind = CaseKind.PATIENT_MISMATCH


_Fitting = list[tuple[Link, OrderEvidence]]


def _open_orders(evidence: Evidence) -> list[OrderEvidence]:
    return [each for each in evidence.orders if each.order_key not in evidence.rejected]


def _link(order: OrderEvidence, method: Method, reason: str) -> Link:
    return Link(order.order_key, order.accession_number, method, reason)


def _by_study_uid(evidence: Evidence, doubts: list[_Doubt]) -> _Fitting:
    """The order that names this study, unless it is plainly another patient's."""
    fitting: _Fitting = []
    for order in _open_orders(evidence):
        if evidence.study.study_instance_uid not in order.study_instance_uids:
            continue
        agreement, grounds = compare_patient(evidence.study, order)
        if agreement is Agreement.DIFFERENT:
            doubts.append(_Doubt(order, grounds))
        else:
            reason = f"the order names this study; {grounds}"
            fitting.append((_link(order, Method.STUDY_INSTANCE_UID, reason), order))
    return fitting


def _by_number(evidence: Evidence, doubts: list[_Doubt]) -> _Fitting:
    """The orders with the study's accession number whose patient is the same.

    A number in another form is weaker: the patient must agree in more than the ID alone.
    """
    found: dict[NumberAgreement, _Fitting] = {
        NumberAgreement.SAME: [],
        NumberAgreement.SAME_IN_ANOTHER_FORM: [],
    }
    for order in _open_orders(evidence):
        agreement = _numbers(evidence, order)
        if agreement in {NumberAgreement.DIFFERENT, NumberAgreement.UNKNOWN}:
            continue
        same, grounds = compare_patient(evidence.study, order)
        known = any(each.order is order for each in doubts)
        if agreement is NumberAgreement.OTHER_ISSUER:
            if not known:
                doubts.append(_Doubt(order, _issuers(evidence, order), CaseKind.ISSUER_CONFLICT))
        elif same is Agreement.SAME and (
            agreement is NumberAgreement.SAME or _surely_same(evidence.study, order)
        ):
            form = (
                ""
                if agreement is NumberAgreement.SAME
                else f" in another form ({order.accession_number})"
            )
            reason = f"the accession number agrees{form}; {grounds}"
            link = _link(order, Method.ACCESSION_NUMBER_AND_PATIENT, reason)
            found[agreement].append((link, order))
        elif not known:
            doubts.append(_Doubt(order, grounds))
    return found[NumberAgreement.SAME] or found[NumberAgreement.SAME_IN_ANOTHER_FORM]


def _by_performed_step(evidence: Evidence, doubts: list[_Doubt]) -> _Fitting:
    """The orders for which a modality says that it made this study, when the images allow it."""
    fitting: _Fitting = []
    for order in _open_orders(evidence):
        if not order.performed or any(each.order is order for each in doubts):
            continue
        agreement, grounds = compare_patient(evidence.study, order)
        if agreement is Agreement.DIFFERENT:
            doubts.append(_Doubt(order, grounds))
        elif _numbers(evidence, order) is NumberAgreement.DIFFERENT:
            contradiction = (
                f"the images carry accession number {_said_number(evidence)}, and the modality"
                " says that it made them for this order"
            )
            doubts.append(_Doubt(order, contradiction, CaseKind.AMBIGUOUS))
        elif agreement is Agreement.SAME:
            reason = f"the modality said that it made the images for this order; {grounds}"
            fitting.append((_link(order, Method.PERFORMED_STEP, reason), order))
        else:
            doubts.append(_Doubt(order, grounds))
    return fitting


def _by_rule(evidence: Evidence) -> Link | None:
    """The order that a rule chooses: the only one for which all its terms speak.

    The lowest key wins where several rules choose, so that nothing depends on their order. A rule
    never goes against what contradicts the order.
    """
    study = evidence.study
    proposals = ranked(study, _open_orders(evidence), prefixes=evidence.prefixes)
    for rule in sorted(evidence.rules, key=lambda each: each.rule_key):
        if rule.station_ae_title not in study.station_ae_titles:
            continue
        chosen = chosen_by(rule.terms, proposals)
        if chosen is not None:
            order = chosen.order
            terms = ", ".join(sorted(each.replace("_", " ") for each in rule.terms))
            reason = f"rule {rule.rule_key} ({rule.station_ae_title}): the only order with {terms}"
            return Link(order.order_key, order.accession_number, Method.RULE, reason, rule.rule_key)
    return None


def _numbers(evidence: Evidence, order: OrderEvidence) -> NumberAgreement:
    study = evidence.study
    return compare_accession_numbers(
        study.accession_number,
        order.accession_number,
        issuers=(study.issuer_of_accession_number, order.accession_issuer),
        prefixes=evidence.prefixes,
    )


def _surely_same(study: StudyEvidence, order: OrderEvidence) -> bool:
    """More than the patient ID speaks for the order, and nothing against it."""
    name = name_agrees(study, order)
    born = same_date(study.patient_birth_date, order.birth_date)
    other_modality = bool(
        study.modalities and order.modalities and not study.modalities & order.modalities
    )
    return (
        identifier_agrees(study, order) is True
        and (name is True or born is True)
        and name is not False
        and born is not False
        and not other_modality
    )


def _said_number(evidence: Evidence) -> str:
    return (evidence.study.accession_number or "").strip(" \0")


def _issuers(evidence: Evidence, order: OrderEvidence) -> str:
    return (
        f"its accession number was issued by {order.accession_issuer}, that of the images by"
        f" {(evidence.study.issuer_of_accession_number or '').strip()}"
    )


def _what_is_wrong(
    evidence: Evidence, fitting: Sequence[OrderEvidence], doubts: Sequence[_Doubt]
) -> Finding:
    shown = _said_number(evidence)
    if fitting:
        numbers = ", ".join(each.accession_number for each in fitting)
        text = f"{len(fitting)} orders of this patient fit: {numbers}."
        return Finding(CaseKind.AMBIGUOUS, shown, text)
    if doubts:
        return _of_doubts(shown, doubts)
    if evidence.rejected and any(e.order_key in evidence.rejected for e in evidence.orders):
        text = "A person undid the match of this study, and no other order fits."
    elif shown:
        text = f"No order has accession number {shown}, which the images carry."
    else:
        text = "The images carry no accession number, and no order names this study."
    if is_unidentified(evidence.study):
        text += " They are of a patient whom nobody knew."
        return Finding(CaseKind.UNIDENTIFIED_PATIENT, shown, text)
    return Finding(CaseKind.UNMATCHED, shown, text)


def _of_doubts(shown: str, doubts: Sequence[_Doubt]) -> Finding:
    mismatched = [each.order for each in doubts if each.kind is CaseKind.PATIENT_MISMATCH]
    patients = {each.patient_key for each in mismatched}
    if len(mismatched) > 1 and len(patients) > 1:
        numbers = ", ".join(each.accession_number for each in mismatched)
        text = f"Orders of {len(patients)} patients fit by number ({numbers}), and none by patient."
        return Finding(CaseKind.DUPLICATE_ACCESSION, shown, text)
    first = doubts[0]
    text = f"Order {first.order.accession_number} fits, but {first.grounds}."
    return Finding(first.kind, first.order.accession_number, text)


_SHOWN_NAMES: Final[Mapping[str, str]] = {
    "patient_id": "patient ID",
    "issuer_of_patient_id": "issuer of the patient ID",
    "patient_name": "patient name",
    "patient_birth_date": "birth date",
    "accession_number": "accession number",
}


def _findings_within(study: StudyEvidence) -> list[Finding]:
    findings: list[Finding] = []
    serious = {
        name: sorted(values)
        for name, values in study.disagreements.items()
        if name != "patient_name"
        or any(names_agree(study.patient_name, each) is False for each in values)
    }
    if serious:
        names = ", ".join(_SHOWN_NAMES.get(name, name) for name in sorted(serious))
        findings.append(
            Finding(
                CaseKind.INCONSISTENT_STUDY,
                _fingerprint(repr(sorted(serious.items()))),
                f"Images of this study disagree about: {names}.",
            )
        )
    if study.conflicting_sop_instance_uids:
        count = len(set(study.conflicting_sop_instance_uids))
        what = "1 image" if count == 1 else f"{count} images"
        findings.append(
            Finding(
                CaseKind.CONFLICTING_INSTANCE,
                _fingerprint(repr(sorted(set(study.conflicting_sop_instance_uids)))),
                f"{what} came again with different content; both contents are kept.",
            )
        )
    return findings


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
