"""The rules by which a study finds its order, as a table, and properties of the decision."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.domain.reconcile.model import (
    CaseKind,
    Evidence,
    Method,
    OrderEvidence,
    StudyEvidence,
    WrongEntry,
    decide,
    normalised_accession_number,
)

BORN = date(1970, 1, 1)


def study(**facts) -> StudyEvidence:
    said = {
        "study_instance_uid": "1.2.3",
        "patient_id": "P1",
        "patient_name": "Phantom^Ada",
        "patient_birth_date": BORN,
        "accession_number": "A1",
        "disagreements": {},
    }
    return StudyEvidence(**said | facts)


def order(key: int = 1, **facts) -> OrderEvidence:
    said = {
        "order_key": key,
        "accession_number": f"A{key}",
        "study_instance_uids": frozenset({f"9.9.{key}"}),
        "cancelled": False,
        "identifiers": frozenset({("HOSP", "P1")}),
        "person_name": "Phantom^Ada",
        "birth_date": BORN,
    }
    return OrderEvidence(**said | facts)


SAME_UID = frozenset({"1.2.3"})
OTHER_PERSON = {"identifiers": frozenset({("HOSP", "P9")}), "person_name": "Phantom^Bob"}
BY_UID, BY_NUMBER = Method.STUDY_INSTANCE_UID, Method.ACCESSION_NUMBER_AND_PATIENT

TABLE = {
    "study UID": (study(), [order(2, study_instance_uids=SAME_UID)], BY_UID, 2, None),
    "study UID without patient": (
        study(patient_id=None, patient_name=None, patient_birth_date=None, accession_number=None),
        [order(2, study_instance_uids=SAME_UID)],
        BY_UID,
        2,
        None,
    ),
    "study UID, unknown ID, same name and birth date": (
        study(patient_id="P7"),
        [order(2, study_instance_uids=SAME_UID)],
        BY_UID,
        2,
        None,
    ),
    "study UID, another patient": (
        study(),
        [order(2, study_instance_uids=SAME_UID, **OTHER_PERSON)],
        None,
        None,
        CaseKind.PATIENT_MISMATCH,
    ),
    "the order by UID is another patient's, that by number fits": (
        study(),
        [order(2, study_instance_uids=SAME_UID, **OTHER_PERSON), order(1)],
        BY_NUMBER,
        1,
        None,
    ),
    "study UID before accession number": (
        study(),
        [order(1), order(2, study_instance_uids=SAME_UID)],
        BY_UID,
        2,
        None,
    ),
    "accession number and ID": (study(), [order()], BY_NUMBER, 1, None),
    "padding and case": (study(accession_number=" a1 "), [order()], BY_NUMBER, 1, None),
    "name spelt another way": (
        study(patient_name="ADA PHANTOM"),
        [order()],
        BY_NUMBER,
        1,
        None,
    ),
    "ID agrees, name differs": (study(patient_name="Ghost^Eve"), [order()], BY_NUMBER, 1, None),
    "ID agrees, name and birth date differ": (
        study(patient_name="Ghost^Eve", patient_birth_date=date(1999, 9, 9)),
        [order()],
        None,
        None,
        CaseKind.PATIENT_MISMATCH,
    ),
    "no ID, name and birth date": (study(patient_id=None), [order()], BY_NUMBER, 1, None),
    "no ID, name only": (
        study(patient_id=None, patient_birth_date=None),
        [order()],
        None,
        None,
        CaseKind.PATIENT_MISMATCH,
    ),
    "unknown ID, same name and birth date": (
        study(patient_id="P7"),
        [order()],
        None,
        None,
        CaseKind.PATIENT_MISMATCH,
    ),
    "another patient": (study(), [order(**OTHER_PERSON)], None, None, CaseKind.PATIENT_MISMATCH),
    "ID of the right issuer": (
        study(issuer_of_patient_id="hosp"),
        [order()],
        BY_NUMBER,
        1,
        None,
    ),
    "ID of another issuer": (
        study(issuer_of_patient_id="CLINIC", patient_name="Ghost^Eve"),
        [order()],
        None,
        None,
        CaseKind.PATIENT_MISMATCH,
    ),
    "ID of a merged patient": (
        study(patient_id="P0"),
        [order(identifiers=frozenset({("HOSP", "P1"), ("HOSP", "P0")}))],
        BY_NUMBER,
        1,
        None,
    ),
    "two orders with one number": (
        study(),
        [order(1), order(2, accession_number="A1")],
        None,
        None,
        CaseKind.AMBIGUOUS,
    ),
    "a cancelled order gives way": (
        study(),
        [order(1, cancelled=True), order(2, accession_number="A1")],
        BY_NUMBER,
        2,
        None,
    ),
    "cancelled": (study(), [order(cancelled=True)], BY_NUMBER, 1, CaseKind.ORDER_CANCELLED),
    "nothing fits": (study(), [], None, None, CaseKind.UNMATCHED),
    "no number, no order": (study(accession_number=None), [], None, None, CaseKind.UNMATCHED),
    "a blank number fits no order": (
        study(accession_number="  "),
        [order(accession_number=" ")],
        None,
        None,
        CaseKind.UNMATCHED,
    ),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_decision(case):
    said, orders, method, order_key, kind = case
    decision = decide(Evidence(study=said, orders=orders))
    found = decision.link and (decision.link.method, decision.link.order_key)
    assert found == ((method, order_key) if method else None)
    assert [each.kind for each in decision.findings] == ([kind] if kind else [])
    assert all(each.reason.endswith(".") for each in decision.findings)


def test_what_a_person_chose_stays_and_what_a_person_rejected_stays_away():
    orders = [order(1), order(2, **OTHER_PERSON)]
    chosen = decide(Evidence(study=study(), orders=orders, chosen_by_person=2))
    assert chosen.link is not None
    assert (chosen.link.order_key, chosen.link.method) == (2, Method.PERSON)
    rejected = decide(Evidence(study=study(), orders=[order(1)], rejected={1}))
    assert rejected.link is None
    assert [each.kind for each in rejected.findings] == [CaseKind.UNMATCHED]


def test_what_the_images_say_about_themselves():
    said = study(
        disagreements={"patient_id": ["P2"], "patient_name": ["ADA^PHANTOM"]},
        conflicting_sop_instance_uids=["1.9", "1.9", "1.8"],
    )
    findings = decide(Evidence(study=said, orders=[order()])).findings
    assert [(each.kind, each.reason) for each in findings] == [
        (CaseKind.INCONSISTENT_STUDY, "Images of this study disagree about: patient ID."),
        (
            CaseKind.CONFLICTING_INSTANCE,
            "2 images came again with different content; both contents are kept.",
        ),
    ]
    harmless = study(disagreements={"patient_name": ["PHANTOM^ADA^B"]})
    assert decide(Evidence(study=harmless, orders=[order()])).findings == ()


people = st.sampled_from([("P1", "Phantom^Ada"), ("P2", "Phantom^Bob"), ("P3", "Phantom^Cy")])
some_orders = st.lists(
    st.builds(
        lambda person, number, uid, cancelled: {
            "accession_number": number,
            "study_instance_uids": frozenset({uid}),
            "cancelled": cancelled,
            "identifiers": frozenset({("HOSP", person[0])}),
            "person_name": person[1],
        },
        people,
        st.sampled_from(["A1", "a1", "A2"]),
        st.sampled_from(["1.2.3", "1.2.4"]),
        st.booleans(),
    ),
    max_size=4,
)


@given(orders=some_orders, rejected=st.frozensets(st.integers(0, 3)))
def test_a_decision_is_never_to_nobody_and_never_silent(orders, rejected):
    made = [order(key, **facts) for key, facts in enumerate(orders)]
    decision = decide(Evidence(study=study(), orders=made, rejected=rejected))
    if decision.link is None:
        assert len(decision.findings) == 1
        assert decision.findings[0].kind not in {CaseKind.ORDER_CANCELLED}
        return
    linked = made[decision.link.order_key]
    assert decision.link.order_key not in rejected
    assert ("HOSP", "P1") in linked.identifiers
    assert "1.2.3" in linked.study_instance_uids or (
        normalised_accession_number(linked.accession_number) == "A1"
    )


def mistaken(*, made_objects=True, is_all=True) -> WrongEntry:
    return WrongEntry(
        sop_instance_uid="2.1", station_ae_title="CT1", made_objects=made_objects, is_all=is_all
    )


@pytest.mark.parametrize(
    ("wrong", "chosen", "linked", "kinds"),
    [
        (mistaken(), None, False, ["wrong_worklist_entry"]),
        (mistaken(made_objects=False), None, False, ["wrong_worklist_entry"]),
        (mistaken(), 1, True, []),
        # The right patient came after: both are in one study.
        (mistaken(is_all=False), None, True, ["wrong_worklist_entry"]),
        (mistaken(is_all=False), 1, True, []),
        (mistaken(is_all=False, made_objects=False), None, True, []),
    ],
)
def test_images_of_a_wrong_worklist_entry_wait_for_a_person(wrong, chosen, linked, kinds):
    evidence = Evidence(study=study(wrong_entry=wrong), orders=[order()], chosen_by_person=chosen)
    decision = decide(evidence)
    assert (decision.link is not None) == linked
    assert [each.kind.value for each in decision.findings] == kinds
