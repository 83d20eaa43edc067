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


def admit(database: Database, familiar: Familiar | None, *batch, now=NOW) -> list[str]:
    with database.transaction() as tx:
        found = archive.admit(tx, CT1, batch, now=now, familiar=familiar)
    return [each.outcome.value for each in found]


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
    again = [first, an_instance(sop="1.9", content="two"), an_instance()]
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
        with database.transaction() as tx:
            archive.admit(tx, actor, [an_instance()], now=NOW, familiar=familiar)
    with database.transaction() as tx:
        actors = tx.values("select actor from audit.record where action = 'study.store' order by 1")
    assert actors == ["ct1", "ct2"]
