"""How well an order fits: terms, their order, and rules made of past decisions."""

from datetime import UTC, date, datetime, timedelta

import pytest

from isocenter.domain.reconcile.model import (
    REQUIRED_TERM,
    Evidence,
    Method,
    OrderEvidence,
    PastChoice,
    PastDecision,
    Rule,
    StudyEvidence,
    TermName,
    Verdict,
    decide,
    offers,
    precision,
    ranked,
    score,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def study(**facts) -> StudyEvidence:
    said = {
        "study_instance_uid": "1.2.3",
        "patient_id": "P1",
        "patient_name": "Phantom^Ada",
        "patient_birth_date": date(1970, 1, 1),
        "modalities": frozenset({"CT"}),
        "station_ae_titles": frozenset({"CT1"}),
        "study_date": NOON.date(),
        "received_at": NOON,
        "description": "CT chest",
        "disagreements": {},
    }
    return StudyEvidence(**said | facts)


def order(key: int = 1, **facts) -> OrderEvidence:
    said = {
        "order_key": key,
        "accession_number": f"A{key}",
        "study_instance_uids": frozenset({f"9.9.{key}"}),
        "cancelled": False,
        "patient_key": key,
        "identifiers": frozenset({("HOSP", "P1")}),
        "person_name": "Phantom^Ada",
        "birth_date": date(1970, 1, 1),
        "modalities": frozenset({"CT"}),
        "station_ae_titles": frozenset({"CT1"}),
        "scheduled_at": NOON,
        "procedure": "CT chest with contrast",
    }
    return OrderEvidence(**said | facts)


BETTER_AND_WORSE = {
    "the study UID": ({}, {"study_instance_uids": frozenset({"1.2.3"})}, {}),
    "the number": ({"accession_number": "A1"}, {}, {"accession_number": "B9"}),
    "the number, zeros left away": (
        {"accession_number": "001"},
        {"accession_number": "1"},
        {"accession_number": "9"},
    ),
    "the modality's word": ({}, {"performed": True}, {}),
    "the patient ID": ({}, {}, {"identifiers": frozenset({("HOSP", "P9")})}),
    "the name": ({}, {}, {"person_name": "Ghost^Eve"}),
    "the birth date": ({}, {}, {"birth_date": date(1999, 9, 9)}),
    "the modality": ({}, {}, {"modalities": frozenset({"MR"})}),
    "the station": ({}, {}, {"station_ae_titles": frozenset({"CT9"})}),
    "the time": ({}, {}, {"scheduled_at": NOON + timedelta(days=9)}),
    "the hour": ({}, {}, {"scheduled_at": NOON + timedelta(hours=3)}),
    "the procedure": ({}, {}, {"procedure": "MR knee"}),
    "the body part": (
        {"description": "", "body_parts": frozenset({"CHEST"})},
        {},
        {"procedure": "CT abdomen"},
    ),
    "the worklist query": ({}, {"given_to": frozenset({"CT1"})}, {}),
    "no images yet": ({}, {}, {"has_images": True}),
    "not cancelled": ({}, {}, {"cancelled": True}),
}


@pytest.mark.parametrize(("said", "good", "bad"), BETTER_AND_WORSE.values(), ids=BETTER_AND_WORSE)
def test_what_speaks_for_an_order_puts_it_first(said, good, bad):
    best, worst = ranked(study(**said), [order(2, **bad), order(1, **good)])
    assert best.order.order_key == 1
    assert best.score.points > worst.score.points


def test_every_term_is_explained_and_the_sum_is_theirs():
    found = score(study(accession_number="A1"), order())
    assert found.points == sum(each.points for each in found.terms)
    for each in found.terms:
        assert bool(each.text) or each.verdict is Verdict.UNKNOWN
    weights = [abs(each.points) for each in found.spoken]
    assert weights == sorted(weights, reverse=True)
    assert found.agreeing >= {"accession_number", "patient_id", "time", "procedure"}


def test_images_of_years_ago_are_far_from_todays_orders():
    old = score(study(study_date=date(2019, 3, 2)), order())
    (time,) = [each for each in old.terms if each.name is TermName.TIME]
    assert time.verdict is Verdict.DIFFERS


def test_no_sum_of_points_links_a_study():
    fits = order(given_to=frozenset({"CT1"}))
    assert score(study(), fits).points > 100
    assert decide(Evidence(study=study(), orders=[fits])).link is None


TERMS = frozenset({"patient_id", "modality", "time"})
RULE = Rule(7, "CT1", TERMS)


def by_rule(*orders, said=None, rules=(RULE,), **more):
    link = decide(Evidence(study=said or study(), orders=orders, rules=rules, **more)).link
    return link and (link.method, link.order_key, link.rule_key)


def test_a_rule_takes_the_only_order_for_which_its_terms_speak():
    late = order(2, scheduled_at=NOON + timedelta(days=3))
    assert by_rule(order(1), late) == (Method.RULE, 1, 7)
    assert by_rule(order(1), late, rules=()) is None


def test_a_rule_does_not_choose_among_two_nor_for_another_station():
    assert by_rule(order(1), order(2)) is None
    assert by_rule(order(1), said=study(station_ae_titles=frozenset({"MR1"}))) is None


@pytest.mark.parametrize(
    "contradicted",
    [
        {"cancelled": True},
        {"birth_date": date(1999, 9, 9)},
        {"person_name": "Ghost^Eve"},
    ],
)
def test_a_rule_never_goes_against_who_the_patient_is(contradicted):
    assert by_rule(order(1, **contradicted)) is None


def test_a_rule_does_not_decide_where_the_number_names_another_patients_order():
    theirs = order(2, accession_number="B2", identifiers=frozenset({("HOSP", "P9")}))
    assert by_rule(order(1), theirs, said=study(accession_number="B2")) is None


def test_a_person_who_undid_it_outweighs_the_rule():
    assert by_rule(order(1), rejected={1}) is None


def past(chosen: int | None, *choices: frozenset[str], station: str = "CT1") -> PastDecision:
    numbered = tuple(PastChoice(key, terms) for key, terms in enumerate(choices, start=1))
    return PastDecision(station, chosen, numbered)


def test_precision_is_measured_over_the_decisions_that_the_rule_would_have_made():
    right, wrong = past(1, TERMS, frozenset()), past(2, TERMS, frozenset())
    undone, silent = past(None, TERMS), past(1, TERMS, TERMS)
    other = past(1, TERMS, station="MR1")
    measured = precision("CT1", TERMS, [right] * 8 + [wrong, undone, silent, other])
    assert (measured.applied, measured.right) == (10, 8)
    assert measured.share == pytest.approx(0.8)
    assert precision("XX", TERMS, [right]).share == 0


def test_a_rule_is_offered_when_people_decide_the_same_again_and_again():
    again = [past(1, TERMS, frozenset({"modality"})) for _ in range(6)]
    (offer,) = offers(again)
    assert (offer.station_ae_title, offer.precision.right) == ("CT1", 6)
    assert REQUIRED_TERM.value in offer.terms
    assert offers(again[:4]) == []
    assert offers([*again, past(2, TERMS, frozenset({"modality"}))]) == []


def test_nothing_is_offered_that_does_not_say_who_the_patient_is():
    nameless = frozenset({"modality", "time", "station"})
    assert offers([past(1, nameless) for _ in range(9)]) == []


def test_former_names_speak_for_an_order_and_weigh_less_than_the_present_one():
    married = {"person_name": "Phantom^Ada", "other_names": frozenset({"Maiden^Ada"})}
    now, before, never = (
        next(
            each
            for each in score(study(patient_name=name), order(**married)).terms
            if each.name is TermName.PATIENT_NAME
        )
        for name in ("Phantom^Ada", "MAIDEN^ADA", "Other^Ada")
    )
    assert (before.verdict, before.text) == (Verdict.AGREES, "a former or other name")
    assert 0 < before.points < now.points
    assert never.verdict is Verdict.DIFFERS


def test_images_under_a_former_name_find_their_order():
    images = study(patient_id="", patient_name="Maiden^Ada", accession_number="A1")
    known = {"person_name": "Phantom^Ada", "birth_date": date(1970, 1, 1)}
    for names, found in ((frozenset({"Maiden^Ada"}), 1), (frozenset(), 0)):
        decision = decide(Evidence(study=images, orders=[order(**known, other_names=names)]))
        assert bool(decision.link) == bool(found)
