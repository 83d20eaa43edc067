"""The archive's tables made again from the objects alone, compared with what was there before."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom.data
import pytest

from isocenter.app.following import SplitFollower
from isocenter.app.noting import NoteWriter
from isocenter.app.rebuilding import Rebuilder, RebuildReport
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive.model import ReceivedInstance
from isocenter.domain.archive.model_splits import Split
from isocenter.domain.archive.service import undo_split, write_due_records
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.correction import modifications
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.archive.service.placing import place_study
from isocenter.domain.archive.service.rejection import reject
from isocenter.domain.archive.service.restoration import restore
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.service import SplitWish
from isocenter.infra.blobs import open_store
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from isocenter.infra.ids import new_uid
from isocenter.infra.outbox import Dispatcher
from isocenter.standards.dicom.key_object import (
    KEY_OBJECT_SELECTION,
    Note,
    NoteIdentity,
    Reference,
    Title,
    write_note,
)
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta
from isocenter.standards.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.standards.dicom.values import DataSet, encode_dataset
from tests.conftest import Stock
from tests.exam_story import Department, a_patient, an_order
from tests.hospital import a_slice

CONSOLE = Actor.system("console:test")
REAL = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "rtplan.dcm", "image_dfl.dcm")

# All that the objects can say. Not compared: surrogate keys; the moments of completion; the senders
# of objects that we did not write the file meta information of; moments below a millisecond.
STUDIES = """
select study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_name_normalised,
       patient_name_phonetic, patient_birth_date, patient_sex, accession_number,
       issuer_of_accession_number, study_id, study_date, study_time, study_description,
       referring_physician_name, referring_physician_normalised, modalities, sop_classes,
       number_of_series, number_of_instances, disagreements
  from archive.study order by 1
"""
SERIES = """
select study_instance_uid, series_instance_uid, modality, series_number, series_description,
       series_date, series_time, body_part_examined, laterality, station_name, manufacturer,
       manufacturer_model_name, protocol_name, performed_procedure_step_start_date,
       performed_procedure_step_start_time, series.number_of_instances
  from archive.series join archive.study using (study_key) order by 1, 2
"""
INSTANCES = """
select series_instance_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number,
       rows, columns, bits_allocated, number_of_frames, blob_key, size_bytes, sha256,
       dataset_offset, pixel_data_offset, frame_ranges
  from archive.instance join archive.series using (series_key) order by 2
"""
CONFLICTS = """
select sop_instance_uid, study_instance_uid, asserted_study_instance_uid,
       asserted_series_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size_bytes,
       sha256, dataset_offset, rejection_key is not null as is_rejected
  from archive.conflicting_instance order by 1, 7
"""
# Who rejected in person is lost: the note says why, not who.
REJECTIONS = """
select study_instance_uid, code, reason, note_sop_instance_uid,
       number_of_instances, number_awaited, number_differing,
       array(select sop_instance_uid from archive.conflicting_instance held
              where held.rejection_key = rejection.rejection_key order by 1) as hidden,
       array(select sop_instance_uid from archive.awaited_rejection awaited
              where awaited.rejection_key = rejection.rejection_key order by 1) as awaited
  from archive.rejection order by note_sop_instance_uid
"""
RESTORATIONS = """
select study_instance_uid, sop_instance_uids, reason, note_sop_instance_uid
  from archive.restoration order by note_sop_instance_uid
"""
PLACEMENTS = "select study_instance_uid, store from archive.placement order by 1"
COPIES = "select blob_key, store, copy_blob_key from archive.object_copy order by 1, 2"
TABLES = (
    STUDIES,
    SERIES,
    INSTANCES,
    CONFLICTS,
    COPIES,
    REJECTIONS,
    RESTORATIONS,
    PLACEMENTS,
)


def tables(database: Database) -> list[list[Any]]:
    with database.read() as tx:
        return [tx.values(f"select to_jsonb(row) from ({statement}) row") for statement in TABLES]


def open_stores(folder: Path) -> SeveralStores:
    return SeveralStores({
        name: open_store(f"file://{folder}/{name}") for name in ("main", "second", "third")
    })


def receive(
    database: Database, blobs: SeveralStores, content: bytes, *, store: str = "main"
) -> ReceivedInstance:
    writer = blobs.writer_in(store)
    writer.write(content)
    received = describe_file(blobs, writer.commit(), calling_ae_title="CT1", received_at=utc_now())
    with database.transaction() as tx:
        admit(tx, CONSOLE, [received], now=utc_now())
    time.sleep(0.002)  # the order of arrival is known to the millisecond
    return received


def slice_of(study: int, index: int, *, name: str = "Phantom^Ada") -> bytes:
    return a_slice(f"A{study}", study, index, name=name, study_uid=f"2.25.{study}")


def by_c_store(content: bytes) -> bytes:
    """The object as our C-STORE writes it: behind file meta information of our own."""
    meta = parse_file_meta(content)
    head = encode_file_meta(
        sop_class_uid=meta.media_storage_sop_class_uid,
        sop_instance_uid=meta.media_storage_sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        source_ae_title="SCANNER7",
    )
    return head + content[meta.dataset_offset :]


def rebuilder(database: Database, blobs: SeveralStores) -> Rebuilder:
    return Rebuilder(
        database,
        blobs,
        CONSOLE,
        utc_now,
        last_store="third",
        on_progress=lambda report: None,
        on_refused=lambda key, reason: None,
    )


@pytest.fixture
def lost_and_new(database_stock: Stock):
    """Two databases: one to be lost, and an empty one."""
    urls = [database_stock.take(), database_stock.take()]
    made = [Database(url, router=router(), connections_max=6) for url in urls]
    yield made
    for each, url in zip(made, urls, strict=True):
        each.close()
        database_stock.give_back(url)


def test_the_tables_are_the_same_after_a_rebuild(lost_and_new: list[Database], tmp_path: Path):
    lost, new = lost_and_new
    blobs = open_stores(tmp_path)
    for name in REAL:
        path = Path(str(pydicom.data.get_testdata_file(name, download=False)))
        receive(lost, blobs, path.read_bytes())
    for index in range(1, 4):
        receive(lost, blobs, slice_of(1, index))
    receive(lost, blobs, slice_of(1, 4, name="Phantom^Eva"))  # the study disagrees with itself
    receive(lost, blobs, slice_of(1, 1, name="Phantom^Ida"))  # other bytes under a known UID
    elsewhere = receive(lost, blobs, by_c_store(slice_of(2, 1)), store="second")
    with lost.transaction() as tx:
        place_study(tx, CONSOLE, "2.25.2", "second", now=utc_now())
    copied = receive(lost, blobs, slice_of(3, 1))
    writer = blobs.writer_in("third")
    writer.write(blobs.read(copied.blob_key))
    copy = writer.commit().key
    with lost.transaction() as tx:
        tx.run(
            "insert into archive.object_copy (blob_key, store, copy_blob_key, copied_at)"
            " values (%s, 'third', %s, now())",
            (copied.blob_key, copy),
        )
    derived = blobs.put(b'[{"00080018": {"vr": "UI"}}]')
    damaged = blobs.put(slice_of(1, 5)[:200])
    before = tables(lost)
    files = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}

    report = rebuilder(new, blobs).rebuild()

    assert [key for key, _ in report.refused] == [damaged.key]
    assert (report.derived, report.duplicates, report.conflicting) == (1, 1, 1)
    assert tables(new) == before
    assert len(before[2]) == len(REAL) + 6
    assert len(before[3]) == 1
    assert len(before[4]) == 1
    # Not a byte was copied, moved or removed.
    assert files == {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    assert derived.key in set(blobs.keys())
    with new.read() as tx:
        key = (elsewhere.blob_key,)
        sender = tx.value("select calling_ae_title from archive.instance where blob_key = %s", key)
        at = tx.value("select received_at from archive.instance where blob_key = %s", key)
        first = tx.value(
            "select first_received_at from archive.study where study_instance_uid = '2.25.1'"
        )
    assert sender == "SCANNER7"  # we had written it into the object
    assert abs(at - elsewhere.received_at) < timedelta(seconds=2)
    assert first < at < utc_now()
    # The stages above hear of every study, as if its images had just come.
    with new.read() as tx:
        announced = set(
            tx.values("select subject from outbox.event where name = 'archive.instances_admitted'")
        )
    assert {"study/2.25.1", "study/2.25.2", "study/2.25.3"} <= announced
    again = rebuilder(new, blobs).rebuild()
    assert (again.stored, again.known) == (0, report.seen - 2)


def a_note(*objects: bytes) -> bytes:
    """What a modality says of images that it has sent, or sends later."""
    named = [pydicom.dcmread(BytesIO(each)) for each in objects]
    note = Note(
        Title.QUALITY,
        tuple(
            Reference(e.StudyInstanceUID, e.SeriesInstanceUID, e.SOPClassUID, e.SOPInstanceUID)
            for e in named
        ),
        "moved",
    )
    identity = NoteIdentity(
        series_instance_uid=new_uid(), sop_instance_uid=new_uid(), written_at=utc_now()
    )
    document = write_note(note, about=DataSet(), identity=identity)
    head = encode_file_meta(
        sop_class_uid=KEY_OBJECT_SELECTION,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
    )
    return head + encode_dataset(document, EXPLICIT_VR_LITTLE_ENDIAN)


# What every way out shows, whatever of it is a correction and what the study's own.
SERVED = """
select study_instance_uid, series_instance_uid, sop_instance_uid, modality, blob_key,
       study.number_of_series, study.number_of_instances, disagreements, study_description,
       coalesce(corrected_patient_id, patient_id) as patient_id,
       coalesce(corrected_patient_name, patient_name) as patient_name,
       coalesce(corrected_patient_birth_date, patient_birth_date) as patient_birth_date,
       coalesce(corrected_accession_number, accession_number) as accession_number
  from archive.instance join archive.series using (series_key) join archive.study using (study_key)
 order by sop_instance_uid
"""
SPLITS = """
select study_instance_uid, to_study_instance_uid, joins, reason, split_by, split_at, undone_by,
       undone_at,
       (select jsonb_agg(to_jsonb(row) - 'split_key' order by series_instance_uid)
          from archive.split_series row where row.split_key = split.split_key) as series,
       (select jsonb_agg(to_jsonb(row) - 'split_key' order by sop_instance_uid)
          from archive.split_instance row where row.split_key = split.split_key) as instances
  from archive.split order by split_at
"""


def served(database: Database) -> dict[str, Any]:
    """What is shown, what images are told to say, and which splits hold."""
    viewer = Viewer.of(CONSOLE, Action.STUDY_READ)
    with database.read() as tx:
        shown = tx.values(f"select to_jsonb(row) from ({SERVED}) row")
        studies = {each["study_instance_uid"] for each in shown}
        said = modifications(tx, viewer, studies).instances
        return {
            "shown": shown,
            "said": {uid: said[uid].values for uid in sorted(said)},
            "splits": tx.values(f"select to_jsonb(row) from ({SPLITS}) row"),
        }


def another_series(content: bytes, number: int) -> bytes:
    """The same images as of a second series of their study."""
    dataset = pydicom.dcmread(BytesIO(content))
    dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.{number}"
    dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{dataset.InstanceNumber}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@dataclass
class Splitting:
    """A department whose worker follows splits, and writes notes and records."""

    department: Department
    blobs: SeveralStores

    def __post_init__(self) -> None:
        table = router(
            write_note=NoteWriter(self.blobs, CONSOLE, UTC),
            follow_split=SplitFollower(self.blobs, CONSOLE),
        )
        self.database = self.department.database
        self.department.router = self.database.router = table

    def split(self, **wish: Any) -> Split:
        """Split, and have everything happen that follows."""
        with self.database.transaction() as tx:
            made = reconcile.split(
                tx, CONSOLE, self.blobs, SplitWish(**wish), reason="not changed", now=utc_now()
            )
        self.settle()
        return made

    def undo(self, split_key: int) -> None:
        """Take a split back."""
        with self.database.transaction() as tx:
            reconcile.undo_split(
                tx, CONSOLE, self.blobs, split_key, reason="it was right", now=utc_now()
            )
        self.settle()

    def settle(self) -> None:
        """What the worker does."""
        Dispatcher(
            self.database, self.department.router, clock=utc_now, workers=1, external_workers=1
        ).run_once()
        with self.database.transaction() as tx:
            write_due_records(tx, CONSOLE, self.blobs, limit=20, now=utc_now())


@pytest.fixture
def splitting(lost_and_new: list[Database], tmp_path: Path) -> Splitting:
    """Study 2.25.1 of PH0001 with three series, the second of which is of PH0009, for B9."""
    made = Splitting(Department(lost_and_new[0]), open_stores(tmp_path))
    eda = a_patient("PH0009", person_name="Phantom^Eda", birth_date=date(1988, 8, 8))
    made.department.order(eda, an_order("B9"))
    for index in range(1, 4):
        content = slice_of(1, index)
        receive(made.database, made.blobs, content)
        receive(made.database, made.blobs, another_series(content, 2))
        receive(made.database, made.blobs, another_series(content, 3))
    made.settle()
    return made


def test_what_was_split_off_is_split_off_again(lost_and_new: list[Database], splitting: Splitting):
    lost, new = lost_and_new
    blobs = splitting.blobs
    of_order = splitting.split(
        study_instance_uid="2.25.1", series_instance_uids=["2.25.1.2"], accession_number="B9"
    )
    waiting = splitting.split(study_instance_uid="2.25.1", sop_instance_uids=["2.25.1.3.1"])
    receive(lost, blobs, another_series(slice_of(1, 4), 2))  # follows its series
    splitting.settle()
    taken_back = splitting.split(study_instance_uid="2.25.1", sop_instance_uids=["2.25.1.3.2"])
    splitting.undo(taken_back.split_key)
    with lost.transaction() as tx:  # an image of a split that nobody is to see
        uid = tx.value(
            "select sop_instance_uid from archive.split_instance"
            " where original_sop_instance_uid = '2.25.1.2.3'"
        )
        path = (of_order.to_study_instance_uid, of_order.series["2.25.1.2"], uid)
        reject(tx, CONSOLE, path, reason="cut off", now=utc_now())
    splitting.settle()
    before = served(lost)

    report = rebuilder(new, blobs).rebuild()

    assert (report.refused, report.splits) == ([], 3)
    assert served(new) == before
    by_study: dict[str, set[str]] = {}
    for each in before["shown"]:
        by_study.setdefault(each["study_instance_uid"], set()).add(each["patient_id"])
    assert by_study[of_order.to_study_instance_uid] == {"PH0009"}
    assert by_study[waiting.to_study_instance_uid] == {"PH0001"}
    assert rebuilder(new, blobs).rebuild().splits == 0
    assert served(new) == before


def test_a_split_that_holds_again_is_of_its_order_and_is_taken_back_like_any(
    lost_and_new: list[Database], splitting: Splitting
):
    lost, new = lost_and_new
    as_it_came = served(lost)["shown"]
    split = splitting.split(
        study_instance_uid="2.25.1", series_instance_uids=["2.25.1.2"], accession_number="B9"
    )
    after = Splitting(Department(new), splitting.blobs)
    rebuilder(new, splitting.blobs).rebuild()
    after.settle()
    # The orders come anew, as from the placer.
    eda = a_patient("PH0009", person_name="Phantom^Eda", birth_date=date(1988, 8, 8))
    after.department.order(eda, an_order("B9"))
    after.settle()
    with new.read() as tx:
        [linked] = tx.values("select study_instance_uid from reconcile.link")
        key = tx.value("select split_key from archive.split")
    assert linked == split.to_study_instance_uid
    with new.transaction() as tx:
        undo_split(tx, CONSOLE, splitting.blobs, key, reason="it was right", now=utc_now())
    after.settle()
    shown = served(new)["shown"]
    notes = [each for each in shown if each["modality"] == "KO"]
    assert len(shown) - len(notes) == len(as_it_came)
    assert {e["sop_instance_uid"] for e in as_it_came} <= {e["sop_instance_uid"] for e in shown}


def test_a_split_whose_note_was_never_written_holds_again_all_the_same(
    lost_and_new: list[Database], splitting: Splitting
):
    lost, new = lost_and_new
    with lost.transaction() as tx:
        wish = SplitWish(study_instance_uid="2.25.1", series_instance_uids=["2.25.1.2"])
        reconcile.split(tx, CONSOLE, splitting.blobs, wish, reason="not changed", now=utc_now())
        write_due_records(tx, CONSOLE, splitting.blobs, limit=20, now=utc_now())
    before = served(lost)
    assert rebuilder(new, splitting.blobs).rebuild().splits == 1
    assert served(new) == before


def test_what_was_rejected_and_restored_stays_so(lost_and_new: list[Database], tmp_path: Path):
    lost, new = lost_and_new
    blobs = open_stores(tmp_path)
    by_note = [slice_of(4, index) for index in range(1, 5)]
    for content in by_note[:3]:
        receive(lost, blobs, content)
    receive(lost, blobs, a_note(by_note[0], by_note[3]))
    receive(lost, blobs, by_note[3])  # rejected before it came
    receive(lost, blobs, a_note(slice_of(4, 9)))  # of one that never came
    for index in (1, 2):
        receive(lost, blobs, slice_of(5, index))
        receive(lost, blobs, slice_of(6, index))
    table = router(write_note=NoteWriter(blobs, CONSOLE, UTC))
    lost.router = table
    with lost.transaction() as tx:
        reject(tx, CONSOLE, ("2.25.5", None, None), reason="another patient", now=utc_now())
        reject(tx, CONSOLE, ("2.25.6", None, None), reason="cut off", now=utc_now())
    Dispatcher(lost, table, clock=utc_now, workers=1, external_workers=1).run_once()
    with lost.read() as tx:
        (one,) = tx.values(
            "select min(sop_instance_uid) from archive.conflicting_instance"
            " where study_instance_uid = '2.25.6' and sop_class_uid <> %s",
            (KEY_OBJECT_SELECTION,),
        )
        series = tx.value(
            "select asserted_series_instance_uid from archive.conflicting_instance"
            " where sop_instance_uid = %s",
            (one,),
        )
    with lost.transaction() as tx:
        path = ("2.25.6", series, one)
        assert restore(tx, CONSOLE, blobs, path, reason="it was not", now=utc_now()) == 1
    Dispatcher(lost, table, clock=utc_now, workers=1, external_workers=1).run_once()
    before = tables(lost)
    department = Department(new)
    ada = a_patient("PH0004", birth_date=date(1961, 3, 4))
    department.order(ada, an_order("A4"))

    report = rebuilder(new, blobs).rebuild()
    department.drain()

    assert report.refused == []
    assert tables(new) == before
    hidden = [(each["code"], len(each["hidden"]), len(each["awaited"])) for each in before[5]]
    # The images, and the notes about them that nobody needs to see.
    assert sorted(hidden) == [
        ("113001", 0, 1),
        ("113001", 2, 0),
        ("113037", 3, 0),
        ("113037", 3, 0),
    ]
    assert len(before[6]) == 1
    with new.read() as tx:  # the order that is known finds its study again
        links = tx.values(
            "select study_instance_uid || ' ' || accession_number from reconcile.link"
        )
    assert links == ["2.25.4 A4"]


def test_a_killed_rebuild_is_repeated(lost_and_new: list[Database], tmp_path: Path):
    lost, new = lost_and_new
    blobs = open_stores(tmp_path)
    contents = [slice_of(1, index) for index in range(1, 301)]
    writers = []
    for content in contents:
        writers.append(blobs.writer())
        writers[-1].write(content)
    received = [
        describe_file(blobs, each, calling_ae_title="CT1", received_at=utc_now())
        for each in blobs.commit_all(writers)
    ]
    with lost.transaction() as tx:
        admit(tx, CONSOLE, received, now=utc_now())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ISOCENTER_")}  # noqa: TID251 - handed to the product
    environment |= {
        "ISOCENTER_HOME": str(tmp_path / "home"),
        "ISOCENTER_DATABASE_URL": new.url,
        "ISOCENTER_STORAGE_URL": (tmp_path / "main").as_uri(),
    }
    command = [sys.executable, "-m", "isocenter", "import", "--from-storage", "--json"]

    def held() -> int:
        with new.read() as tx:
            return tx.value("select count(*) from archive.instance")

    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while held() == 0 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    taken_in = held()
    assert taken_in % 64 in {0, 300 % 64}  # whole batches, whatever was under way
    assert taken_in > 0
    report: RebuildReport = rebuilder(new, blobs).rebuild()
    assert (report.known, report.stored, report.refused) == (taken_in, 300 - taken_in, [])
    assert tables(new) == tables(lost)
