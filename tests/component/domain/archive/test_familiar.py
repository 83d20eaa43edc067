"""What a sender's memory of its series saves is work, never correctness."""

from datetime import timedelta

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.service import Familiar
from isocenter.infra.db import Database
from tests.image_builders import NOW, an_instance

CT1 = Actor.dicom_peer("ct1", "10.0.0.1", ["store"])
VIEWER = Viewer.of(Actor.system("test"), Action.STUDY_READ)
SOON, LATER = NOW + timedelta(milliseconds=500), NOW + timedelta(seconds=2)


def admit(database: Database, familiar: Familiar, *batch, now=NOW, actor=CT1) -> list[str]:
    with database.statement() as tx:
        more = archive.admit_more(tx, actor, batch, now=now, familiar=familiar)
    rest = [each for each, done in zip(batch, more, strict=True) if done is None]
    with database.transaction() as tx:
        found = iter(archive.admit(tx, actor, rest, now=now, familiar=familiar))
    return [(done or next(found)).outcome.value for done in more]


def events(database: Database) -> int:
    with database.transaction() as tx:
        return tx.value("select count(*) from outbox.event")


def counted(database: Database) -> tuple[int, int]:
    with database.transaction() as tx:
        study = archive.study(tx, VIEWER, "1.2.3")
    return study.number_of_series, study.number_of_instances


def test_more_images_of_a_series_are_counted_and_announced_once_a_second(database):
    familiar = Familiar()
    for now in (NOW, SOON, SOON, LATER):
        assert admit(database, familiar, an_instance(), now=now) == ["stored"]
    assert counted(database) == (1, 4)
    assert events(database) == 2


def test_repeats_and_other_bytes_are_told_apart_all_the_same(database):
    familiar = Familiar()
    first = an_instance(sop="1.9", content="one")
    admit(database, familiar, first)
    again = [
        an_instance(sop="1.9", content="one"),
        an_instance(sop="1.9", content="two"),
        an_instance(),
    ]
    assert admit(database, familiar, *again, now=SOON) == ["duplicate", "conflicting", "stored"]
    assert counted(database) == (1, 2)


def test_an_image_that_contradicts_its_study_is_news(database):
    familiar = Familiar()
    admit(database, familiar, an_instance())
    before = events(database)
    admit(database, familiar, an_instance(patient_id="P-2"), now=SOON)
    assert events(database) == before + 1
    with database.transaction() as tx:
        disagreements = archive.study(tx, VIEWER, "1.2.3").disagreements
    assert disagreements == {"patient_id": ["P-2"]}


def test_a_series_whose_transaction_did_not_happen_is_made_after_all(database):
    familiar = Familiar()
    try:
        with database.transaction() as tx:
            archive.admit(tx, CT1, [an_instance()], now=NOW, familiar=familiar)
            raise ConnectionError
    except ConnectionError:
        assert events(database) == 0
    assert admit(database, familiar, an_instance(), now=SOON) == ["stored"]
    assert counted(database) == (1, 1)
    assert events(database) == 1


def test_two_senders_are_two_records(database):
    familiar = Familiar()
    other = Actor.dicom_peer("ct2", "10.0.0.2", ["store"])
    for actor in (CT1, other, CT1):
        admit(database, familiar, an_instance(), actor=actor)
    with database.transaction() as tx:
        actors = tx.values("select actor from audit.record where action = 'study.store' order by 1")
    assert actors == ["ct1", "ct2"]


def test_one_more_image_costs_one_statement_and_no_transaction_around_it(database):
    familiar = Familiar()
    admit(database, familiar, an_instance())
    with database.statement() as tx:
        done = archive.admit_more(tx, CT1, [an_instance()], now=SOON, familiar=familiar)
        assert [each and each.outcome.value for each in done] == ["stored"]
        with database.transaction() as other:
            assert other.value("select sum(number_of_instances) from archive.study") == 2


def test_a_batch_that_is_repeated_because_its_outcome_was_unknown_keeps_its_blob(database):
    familiar = Familiar()
    first, second = an_instance(), an_instance()
    assert admit(database, familiar, first, second) == ["stored", "stored"]
    assert admit(database, Familiar(), first, second, now=SOON) == ["stored", "stored"]
    assert counted(database) == (1, 2)


def test_the_audit_record_says_in_the_end_how_many_images_came(database):
    familiar = Familiar()
    for now in (NOW, SOON, SOON):
        admit(database, familiar, an_instance(), now=now)
    with database.transaction() as tx:
        worker = Actor.system("worker")
        archive.complete_quiet_studies(tx, worker, quiet_s=60, now=NOW + timedelta(hours=1))
    with database.transaction() as tx:
        details = tx.values(
            "select detail from audit.record where action like 'study.%%' order by record_key"
        )
    assert details == [
        {"instances": 1},
        {"series": 1, "instances": 3, "calling_ae_titles": ["CT1"]},
    ]
