"""Admission through the service, on a real database."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from isocenter.domain.access.model import Action, Actor, NotAuthorized, Viewer
from isocenter.domain.archive import service
from isocenter.domain.archive.model import Outcome, SeriesMetadata
from isocenter.infra.db import Database, Tx
from tests.image_builders import NOW, an_instance

MODALITY = Actor.dicom_peer("ct1", "10.0.0.1", ["store"])
VIEWER = Viewer.of(Actor.system("test"), Action.STUDY_READ)


def outcomes(tx: Tx, *batch) -> list[str]:
    return [each.outcome.value for each in service.admit(tx, MODALITY, batch, now=NOW)]


def committed_events(database: Database) -> list[tuple[str, dict]]:
    with database.transaction() as tx:
        return [(name, data) for name, data in tx.values(_EVENTS)]


_EVENTS = "select jsonb_build_array(name, data) from outbox.event order by id"


def test_new_instances_are_visible_and_counted(database):
    with database.transaction() as tx:
        batch = [an_instance(series="1.2.3.1"), an_instance(series="1.2.3.1")]
        batch += [an_instance(series="1.2.3.2", modality="PR", series_number="2")]
        assert outcomes(tx, *batch) == ["stored"] * 3
    with database.transaction() as tx:
        study = service.study(tx, VIEWER, "1.2.3")
        assert (study.number_of_series, study.number_of_instances) == (2, 3)
        assert study.modalities == ["CT", "PR"]
        assert study.patient_name == "Phantom^Ada"
        assert study.study_time is not None
        assert study.study_time.isoformat() == "08:59:59.500000"
        located = service.locate(tx, VIEWER, "1.2.3")
        assert [each.blob_key for each in located] == [each.blob_key for each in batch]
        one = located[0]
        assert service.locate(tx, VIEWER, "1.2.3", "1.2.3.1", one.sop_instance_uid) == [one]
        assert service.locate(tx, VIEWER, "1.2.3", "1.2.3.2", one.sop_instance_uid) == []
        assert [each.number_of_instances for each in service.series_of(tx, VIEWER, "1.2.3")] == [
            2,
            1,
        ]


def test_one_event_per_series_of_a_batch(database):
    with database.transaction() as tx:
        outcomes(tx, *[an_instance(series=f"1.2.3.{n % 2}") for n in range(10)])
    named = [data for name, data in committed_events(database)]
    assert [(each["series_instance_uid"], each["count"]) for each in named] == [
        ("1.2.3.0", 5),
        ("1.2.3.1", 5),
    ]
    assert all(each["first"] and not each["reopened"] for each in named)


def test_the_same_object_again_is_success_and_changes_nothing(database):
    first, second = (an_instance(sop="1.9", content="one") for _ in range(2))
    with database.transaction() as tx:
        outcomes(tx, first)
    before = committed_events(database)
    with database.transaction() as tx:
        known = service.study(tx, VIEWER, "1.2.3")
        again = service.admit(tx, MODALITY, [second], now=NOW + timedelta(hours=1))
        assert [each.outcome for each in again] == [Outcome.DUPLICATE]
        assert service.study(tx, VIEWER, "1.2.3") == known
    assert committed_events(database) == before


def test_other_bytes_under_a_known_uid_are_kept_beside_the_first(database):
    with database.transaction() as tx:
        assert outcomes(tx, an_instance(sop="1.9", content="one")) == ["stored"]
    other = an_instance(sop="1.9", content="two")
    with database.transaction() as tx:
        assert outcomes(tx, other) == ["conflicting"]
        assert outcomes(tx, other) == ["duplicate"]
        assert [each.sha256 for each in service.conflicts_of(tx, VIEWER, "1.2.3")] == [other.sha256]
        assert service.study(tx, VIEWER, "1.2.3").number_of_instances == 1
    assert [name for name, _ in committed_events(database)] == [
        "archive.instances_admitted",
        "archive.conflicting_instance_kept",
    ]


def test_a_conflict_that_claims_another_study_leaves_no_empty_study(database):
    with database.transaction() as tx:
        outcomes(tx, an_instance(sop="1.9", content="one"))
        assert outcomes(tx, an_instance(study="7.7", series="7.7.1", sop="1.9", content="two")) == [
            "conflicting"
        ]
        assert tx.values("select study_instance_uid from archive.study") == ["1.2.3"]
        assert tx.values("select series_instance_uid from archive.series") == ["1.2.3.1"]


def test_one_uid_twice_in_a_batch(database):
    with database.transaction() as tx:
        first = an_instance(sop="1.9", content="one")
        same = an_instance(sop="1.9", content="one")
        other = an_instance(sop="1.9", content="two")
        assert outcomes(tx, first, same, other) == ["stored", "duplicate", "conflicting"]


def test_a_bad_object_is_refused_and_does_not_fail_the_others(database):
    with database.transaction() as tx:
        bad = an_instance(study_instance_uid="")
        worse = an_instance(sop_instance_uid="not a uid")
        admissions = service.admit(tx, MODALITY, [bad, an_instance(), worse], now=NOW)
        assert [each.outcome.value for each in admissions] == ["refused", "stored", "refused"]
        assert admissions[0].reason == "Study Instance UID is absent"
        assert admissions[2].reason == "SOP Instance UID is not a UID"


def test_a_series_uid_in_two_studies_is_two_series(database):
    with database.transaction() as tx:
        outcomes(tx, an_instance(study="1.1", series="5.5"), an_instance(study="1.2", series="5.5"))
        assert len(service.locate(tx, VIEWER, "1.1", "5.5")) == 1
        assert len(service.locate(tx, VIEWER, "1.2", "5.5")) == 1


def test_values_of_the_first_instance_stay_and_contradictions_are_noted(database):
    with database.transaction() as tx:
        outcomes(tx, an_instance(patient_id="P-1", study_description=""))
    with database.transaction() as tx:
        outcomes(tx, an_instance(patient_id="P-2", study_description="CT neck"))
        study = service.study(tx, VIEWER, "1.2.3")
        assert study.patient_id == "P-1"
        assert study.disagreements == {"patient_id": ["P-2"]}
        assert study.study_description == "CT neck"  # the first instance had said nothing
    assert committed_events(database)[-1][1]["disagreements"] == ["patient_id"]


def test_instances_of_one_batch_may_contradict_each_other(database):
    with database.transaction() as tx:
        batch = [an_instance(accession_number=value) for value in ("A1", "A2", "A1", "A3")]
        outcomes(tx, *batch)
        study = service.study(tx, VIEWER, "1.2.3")
        assert study.accession_number == "A1"
        assert study.disagreements == {"accession_number": ["A2", "A3"]}


def test_hostile_values_stay_out_of_the_index_and_harm_nothing(database):
    with database.transaction() as tx:
        instance = an_instance(
            patient_birth_date="19701341",
            study_time="25",
            rows="99999999999",
            instance_number="1\\2",
            patient_name="Phantom^\0'; drop table archive.study; --",
        )
        assert outcomes(tx, instance) == ["stored"]
        study = service.study(tx, VIEWER, "1.2.3")
        assert (study.patient_birth_date, study.study_time) == (None, None)
        assert study.patient_name == "Phantom^'; drop table archive.study; --"
        assert service.locate(tx, VIEWER, "1.2.3")[0].instance_number == 1


def test_an_actor_without_permission_is_refused(tx):
    with pytest.raises(NotAuthorized):
        service.admit(tx, Actor.dicom_peer("x", "10.0.0.2", ["find"]), [an_instance()], now=NOW)


def test_storing_is_audited_once_per_study_of_a_batch(tx):
    outcomes(tx, an_instance(), an_instance(), an_instance(study="1.5", series="1.5.1"))
    rows = tx.values(
        "select object_id || ' ' || (detail->>'instances') from audit.record order by 1"
    )
    assert rows == ["1.2.3 2", "1.5 1"]


def test_quiet_studies_complete_and_new_images_reopen_them(database):
    system = Actor.system("worker")
    with database.transaction() as tx:
        outcomes(tx, an_instance())
    with database.transaction() as tx:
        soon, late = NOW + timedelta(seconds=59), NOW + timedelta(seconds=61)
        assert service.complete_quiet_studies(tx, system, quiet_s=60, now=soon) == 0
        assert service.complete_quiet_studies(tx, system, quiet_s=60, now=late) == 1
        assert service.complete_quiet_studies(tx, system, quiet_s=60, now=late) == 0
        assert service.study(tx, VIEWER, "1.2.3").completed_at == late
    with database.transaction() as tx:
        outcomes(tx, an_instance())
        assert service.study(tx, VIEWER, "1.2.3").completed_at is None
    names = [(name, data.get("reopened")) for name, data in committed_events(database)]
    assert names == [
        ("archive.instances_admitted", False),
        ("archive.study_completed", None),
        ("archive.instances_admitted", True),
    ]


def test_series_metadata_is_only_replaced_by_newer(tx):
    system = Actor.system("worker")
    outcomes(tx, an_instance(), an_instance())
    name = ("1.2.3", "1.2.3.1")
    assert service.set_series_metadata(tx, system, *name, SeriesMetadata("m2", 2))
    assert not service.set_series_metadata(tx, system, *name, SeriesMetadata("m1", 1))
    series = service.series_of(tx, VIEWER, "1.2.3")[0]
    assert (series.metadata_blob_key, series.metadata_instances) == ("m2", 2)


@pytest.mark.parametrize("shared", [True, False], ids=["same instances", "other instances"])
def test_concurrent_admissions_of_the_same_studies(
    make_database: Callable[..., Database], shared: bool
):
    """Eight threads admit to the same two studies, each in its own order: none fails, all count."""
    database = make_database(connections_max=8)
    threads_count, batches, size = 8, 5, 6
    results: list[str] = []
    failures: list[BaseException] = []

    def instances(thread: int, batch: int):
        owner = 0 if shared else thread
        made = [
            an_instance(
                study=f"9.{n % 2}",
                series=f"9.{n % 2}.{n % 3}",
                sop=f"9.{n % 2}.{owner}.{batch}.{n}",
                modality=("CT", "PR", "SR")[n % 3],
            )
            for n in range(size)
        ]
        return made if thread % 2 else made[::-1]

    def run(thread: int) -> None:
        try:
            for batch in range(batches):
                with database.transaction() as tx:
                    admitted = service.admit(tx, MODALITY, instances(thread, batch), now=NOW)
                results.extend(each.outcome.value for each in admitted)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(threads_count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    expected = batches * size * (1 if shared else threads_count)
    assert results.count("stored") == expected
    assert results.count("duplicate") == batches * size * threads_count - expected
    with database.transaction() as tx:
        counted = tx.values("select number_of_instances from archive.study order by 1")
        held = tx.values("""
            select count(*) from archive.instance join archive.series using (series_key)
             group by study_key order by 1""")
        assert counted == held
        assert sum(counted) == expected
        by_series = tx.value("""
            select count(*) from archive.series
             where number_of_instances <> (select count(*) from archive.instance
                                            where instance.series_key = series.series_key)
            """)
        assert by_series == 0
        assert tx.values("select number_of_series from archive.study") == [3, 3]
        announced = tx.value("select sum((data->>'count')::int) from outbox.event")
        assert announced == expected
