"""Series that belong to somebody else: another study on every way out, and back again."""

import io
import zipfile
from datetime import UTC, date

import pydicom
import pytest
from pydicom.dataset import Dataset

from isocenter.app.following import SplitFollower
from isocenter.app.noting import NoteWriter
from isocenter.app.reindexing import Reindexer
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Role, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_attributes import new_attribute
from isocenter.domain.archive.model_splits import NothingToSplit, NotSplittable, UnknownSplit
from isocenter.domain.archive.service import attributes
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.service import SplitWish
from isocenter.domain.scheduling import service as scheduling
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.outbox import Dispatcher
from isocenter.readmodels import exam_ledger
from isocenter.standards.dicomweb.attribute_levels import level_of
from tests.builders import PERSON
from tests.contract.dicomweb.test_clients import FILES, a_file
from tests.contract.dicomweb.test_real_files import parts
from tests.dicomweb_server import SYSTEM
from tests.exam_story import EHR, a_patient, an_order

STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
STUDY, SERIES = "1.2.1", "1.2.1.1"
VIEWER = Viewer.of(SYSTEM, Action.STUDY_READ)
EXAMS = Viewer.of(SYSTEM, Action.EXAM_READ)


def make(make_server):
    """An archive whose study 1.2.1 was made for A1 of PH1; its first series shows PH9, for B1."""
    made = make_server(knows_its_url=True)
    table = router(
        write_note=NoteWriter(made.blobs, SYSTEM, UTC),
        follow_split=SplitFollower(made.blobs, SYSTEM),
    )
    made.database.router = table
    made.react = Dispatcher(
        made.database, table, clock=made.clock, workers=1, external_workers=1
    ).run_once
    assert made.store(*FILES.values()).status_code == 200
    with made.database.transaction() as tx:
        ada = a_patient("PH1", birth_date=date(1961, 3, 4))
        scheduling.place_order(tx, EHR, ada, an_order("A1"), now=made.clock())
        eda = a_patient("PH9", person_name="Phantom^Eda", birth_date=date(1988, 8, 8))
        scheduling.place_order(tx, EHR, eda, an_order("B1"), now=made.clock())
    made.react()
    return made


def split(server, **wish):
    with server.database.transaction() as tx:
        made = reconcile.split(
            tx,
            PERSON,
            server.blobs,
            SplitWish(study_instance_uid=STUDY, **wish),
            reason="the patient was not changed at the scanner",
            now=server.clock(),
        )
    server.react()
    return made


def undo(server, split_key: int) -> None:
    with server.database.transaction() as tx:
        reconcile.undo_split(
            tx, PERSON, server.blobs, split_key, reason="it was right", now=server.clock()
        )
    server.react()


def exam_of(server, accession_number: str) -> list[tuple[str, int]]:
    """The studies linked to an exam, by its ledger, with the number of their images."""
    with server.database.read() as tx:
        found = exam_ledger.exam(tx, EXAMS, accession_number, now=server.clock(), expectations={})
    return [
        (each.study_instance_uid, each.number_of_instances) for each in found.studies if each.method
    ]


def uids(server, path: str) -> set[str]:
    return {each["00080018"]["Value"][0] for each in server.get(path).json()}


@pytest.fixture(scope="module")
def server(make_server):
    made = make(make_server)
    with made.database.transaction() as tx:
        wanted = new_attribute("BitsStored", default_level_of=level_of)
        attributes.add_attribute(tx, SYSTEM, wanted, now=made.clock())
    made.split = split(made, series_instance_uids=[SERIES], accession_number="B1")
    stores = SeveralStores({"main": made.blobs})
    Reindexer(made.database, stores, SYSTEM, made.clock, lambda: False).run()
    made.path = f"/studies/{made.split.to_study_instance_uid}"
    return made


def check(server, dataset: Dataset) -> None:
    assert dataset.StudyInstanceUID == server.split.to_study_instance_uid
    assert dataset.SeriesInstanceUID == server.split.series[SERIES]
    assert dataset.SOPInstanceUID not in FILES
    assert (dataset.PatientName, dataset.PatientID) == ("Phantom^Eda", "PH9")
    assert (dataset.AccessionNumber, dataset.PatientBirthDate) == ("B1", "19880808")
    (original,) = dataset.OriginalAttributesSequence
    before = original.ModifiedAttributesSequence[0]
    assert (before.StudyInstanceUID, before.SeriesInstanceUID) == (STUDY, SERIES)
    assert before.SOPInstanceUID in FILES
    assert (before.PatientID, before.AccessionNumber) == ("PH1", "A1")
    assert original.ReasonForTheAttributeModification == "CORRECT"


@pytest.mark.parametrize("accept", [STORED, 'multipart/related; type="application/dicom"'])
def test_files_say_it_and_keep_their_pixels(server, accept):
    sent = [pydicom.dcmread(io.BytesIO(data)) for _, data in parts(server.get(server.path, accept))]
    assert len(sent) == 3
    for each in sent:
        check(server, each)
        assert each.file_meta.MediaStorageSOPInstanceUID == each.SOPInstanceUID
        before = each.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
        original = pydicom.dcmread(io.BytesIO(FILES[before.SOPInstanceUID]))
        assert (each.pixel_array == original.pixel_array).all()


def test_metadata_search_frames_and_zip_say_it(server):
    (row,) = server.get("/studies?PatientID=PH9").json()
    assert row["0020000D"]["Value"] == [server.split.to_study_instance_uid]
    assert (row["00201206"]["Value"], row["00201208"]["Value"]) == ([1], [3])
    models = server.get(f"{server.path}/metadata").json()
    assert {each["00080018"]["Value"][0] for each in models} == uids(
        server, f"{server.path}/instances"
    )
    for model in models:
        check(server, Dataset.from_json(model, lambda *_: b""))
    # What searches know beyond the usual comes from the same metadata.
    assert len(uids(server, f"{server.path}/instances?BitsStored=16")) == 3
    assert uids(server, f"{server.path}/instances?BitsStored=12") == set()
    first = models[0]["00080018"]["Value"][0]
    path = f"{server.path}/series/{server.split.series[SERIES]}/instances/{first}"
    (model,) = server.get(f"{path}/metadata").json()
    assert model == models[0]
    bulk = model["7FE00010"]["BulkDataURI"]
    assert server.path in bulk
    assert server.session.get(bulk, timeout=60).status_code == 200
    assert server.get(f"{path}/frames/1").status_code == 200
    assert server.get(f"{path}/rendered?annotation=patient").status_code == 200
    archived = zipfile.ZipFile(io.BytesIO(server.get(server.path, "application/zip").content))
    check(server, pydicom.dcmread(io.BytesIO(archived.read(archived.namelist()[0]))))
    directory = pydicom.dcmread(io.BytesIO(archived.read("DICOMDIR")))
    assert directory.DirectoryRecordSequence[0].PatientName == "Phantom^Eda"


def test_the_other_images_stay_with_a_note_about_what_left(server):
    assert server.get(f"/studies/{STUDY}/series/{SERIES}/instances").json() == []
    left = server.get(f"/studies/{STUDY}/metadata").json()
    assert sorted(each["00080060"]["Value"][0] for each in left) == ["KO", "SR"]
    notes = [
        pydicom.dcmread(io.BytesIO(data))
        for _, data in parts(server.get(f"/studies/{STUDY}", STORED))
    ]
    (note,) = [each for each in notes if each.Modality == "KO"]
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    assert exam_of(server, "A1") == [(STUDY, 2)]
    assert exam_of(server, "B1") == [(server.split.to_study_instance_uid, 3)]
    (record,) = server.audited("study.split")
    assert (record.actor, record.detail["instances"]) == (PERSON.name, 3)


def test_what_is_sent_again_stays_away(server):
    assert server.store(*(FILES[f"1.2.1.1.{number}"] for number in (1, 2, 3))).status_code == 200
    server.react()
    assert server.get(f"/studies/{STUDY}/series/{SERIES}/instances").json() == []
    with server.database.read() as tx:
        assert archive.conflicts_of(tx, VIEWER, STUDY) == []


def test_late_images_of_the_series_follow_and_others_do_not(make_server):
    server = make(make_server)
    made = split(server, series_instance_uids=[SERIES], accession_number="B1")
    path = f"/studies/{made.to_study_instance_uid}/series/{made.series[SERIES]}/instances"
    assert server.store(a_file(1, 1, 4), a_file(1, 2, 2), a_file(1, 3, 1)).status_code == 200
    server.react()
    assert len(uids(server, path)) == 4
    assert server.get(f"/studies/{STUDY}/series/{SERIES}/instances").json() == []
    assert len(uids(server, f"/studies/{STUDY}/series/1.2.1.3/instances")) == 1
    with server.database.read() as tx:
        assert archive.study(tx, VIEWER, STUDY).disagreements == {}
    undo(server, made.split_key)
    assert len(uids(server, f"/studies/{STUDY}/series/{SERIES}/instances")) == 4


def test_it_is_undone_completely(make_server):
    server = make(make_server)
    before = {
        each["00080018"]["Value"][0]: each
        for each in server.get(f"/studies/{STUDY}/metadata").json()
    }
    # One series of the first patient, and one image of the other: named one by one.
    made = split(server, sop_instance_uids=["1.2.1.1.2"])
    path = f"/studies/{made.to_study_instance_uid}"
    assert len(uids(server, f"{path}/instances")) == 1
    with server.database.read() as tx:
        waiting = reconcile.decisions_of(tx, VIEWER, STUDY)
    assert [each.kind for each in waiting] == ["split"]
    assert exam_of(server, "A1") == [(STUDY, 4)]  # three and a note
    # Nobody brings back by restoring what another study shows.
    restore = f"{server.url}/studies/{STUDY}/restore"
    session = server.session_of(Role.ADMINISTRATOR)
    assert session.post(restore, params={"reason": "test"}, timeout=60).status_code == 404
    with pytest.raises(NotSplittable):
        split_again = SplitWish(
            study_instance_uid=made.to_study_instance_uid,
            series_instance_uids=list(made.series.values()),
        )
        with server.database.transaction() as tx:
            reconcile.split(
                tx, PERSON, server.blobs, split_again, reason="again", now=server.clock()
            )
    undo(server, made.split_key)
    assert server.get(f"{path}/instances").json() == []
    again = {
        each["00080018"]["Value"][0]: each
        for each in server.get(f"/studies/{STUDY}/metadata").json()
    }
    assert {uid: again[uid] for uid in before} == before
    assert exam_of(server, "B1") == []
    with server.database.read() as tx:
        (decision,) = reconcile.decisions_of(tx, VIEWER, STUDY)
    assert decision.undone_by == PERSON.name
    with pytest.raises(UnknownSplit):
        undo(server, made.split_key)
    with pytest.raises(NothingToSplit):
        split(server, series_instance_uids=["9.9"])
    # Once more: under other UIDs, because a note said of the former that they are not to be used.
    second = split(server, series_instance_uids=[SERIES], accession_number="B1")
    assert set(second.series.values()).isdisjoint(made.series.values())
    assert exam_of(server, "B1") == [(second.to_study_instance_uid, 3)]


def test_images_join_the_study_of_their_order(make_server):
    server = make(make_server)
    assert server.store(a_file(2, 2, 1, AccessionNumber="B1", PatientID="PH9",
                               PatientName="Phantom^Eda", StudyInstanceUID="1.2.9",
                               SeriesInstanceUID="1.2.9.1")).status_code == 200  # fmt: skip
    server.react()
    assert exam_of(server, "B1") == [("1.2.9", 1)]
    made = split(server, series_instance_uids=[SERIES], accession_number="B1")
    assert (made.to_study_instance_uid, made.joins) == ("1.2.9", True)
    assert exam_of(server, "B1") == [("1.2.9", 4)]
    models = server.get("/studies/1.2.9/metadata").json()
    for keyword in ("00100010", "00100020", "00080050", "00080020", "00081030"):
        assert len({repr(each.get(keyword)) for each in models}) == 1
    with server.database.read() as tx:
        assert archive.study(tx, VIEWER, "1.2.9").disagreements == {}
    undo(server, made.split_key)
    assert exam_of(server, "B1")[0][0] == "1.2.9"
    assert "1.2.1.1.1" in uids(server, f"/studies/{STUDY}/instances")
