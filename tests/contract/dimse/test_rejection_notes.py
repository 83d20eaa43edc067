"""Rejection notes (IHE IOCM): highdicom's over DCMTK's storescu, and ours read by all of them."""

import os
import shutil
import subprocess
from datetime import UTC
from io import BytesIO

import highdicom
import pydicom
import pytest
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from isocenter.app.noting import NoteWriter
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.gateways.dimse.sending import ImageSender
from isocenter.infra.blobs import open_store
from isocenter.infra.clock import utc_now
from isocenter.infra.outbox import Dispatcher
from isocenter.standards.dicom.key_object import KEY_OBJECT_SELECTION, Title
from tests.contract.dimse.test_sending import Receiver
from tests.dicom_site import SYSTEM, Site, a_file, free_port, until

pytestmark = pytest.mark.peer("pynetdicom")
dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="DCMTK is not installed")
STUDY = "1.2.826.0.1.3680043.9.9999.1"
VIEWER = Viewer.of(SYSTEM, Action.STUDY_READ)
JUDGE = Viewer.of(SYSTEM, Action.STUDY_REJECT)
ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin", "TCP_NODELAY": "1"}


@pytest.fixture
def site(loop, make_database, tmp_path):
    store = open_store((tmp_path / "objects").as_uri())
    table = router(write_note=NoteWriter(store, Actor.system("worker"), UTC))
    site = Site(loop, make_database(router=table), store, tmp_path)
    site.react = Dispatcher(
        site.database, table, clock=utc_now, workers=1, external_workers=1
    ).run_once
    site.start()
    site.add_peer("CT1", 104, "store")
    yield site
    site.close()


def an_object(number: int, **changes) -> bytes:
    values = {
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{STUDY}.1",
        "SOPInstanceUID": f"{STUDY}.1.{number}",
        "AccessionNumber": "A1",
        "PatientName": "Phantom^Ada",
    }
    return a_file(**(values | changes))


def a_note(*objects: bytes, title: Code = codes.DCM.RejectedForQualityReasons, **changes) -> bytes:
    """A Key Object Selection document as highdicom makes it."""
    evidence = [pydicom.dcmread(BytesIO(each)) for each in objects]
    content = KeyObjectSelection(title, evidence, description="moved during the exposure")
    document = KeyObjectSelectionDocument(
        evidence,
        content,
        series_instance_uid=highdicom.UID(),
        series_number=99,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
    )
    for keyword, value in changes.items():
        setattr(document, keyword, value)
    buffer = BytesIO()
    document.save_as(buffer)
    return buffer.getvalue()


def send(site: Site, *objects: bytes) -> None:
    """Over C-STORE, as a modality does."""
    paths = []
    for number, each in enumerate(objects):
        paths.append(site.folder / f"{number}.dcm")
        paths[-1].write_bytes(each)
    command = ["storescu", "-aet", "CT1", "-aec", "ARCHIVE", "127.0.0.1", str(site.port)]
    subprocess.run([*command, *map(str, paths)], env=ENVIRONMENT, check=True, timeout=60)


def shown(site: Site, study: str = STUDY) -> dict[str, str]:
    """SOP classes of the instances that people see, by the end of their UIDs."""
    with site.database.read() as tx:
        found = archive.locate(tx, VIEWER, study)
    return {each.sop_instance_uid: each.sop_class_uid for each in found}


def images(site: Site) -> list[str]:
    return sorted(
        uid.rpartition(".")[2] for uid, kind in shown(site).items() if kind != KEY_OBJECT_SELECTION
    )


def notes(site: Site) -> list[str]:
    return [uid for uid, kind in shown(site).items() if kind == KEY_OBJECT_SELECTION]


def rejections(site: Site):
    with site.database.read() as tx:
        return archive.rejections(tx, JUDGE, STUDY)


def reject(site: Site, *path: str, title: Title = Title.QUALITY, reason: str = "cut off") -> int:
    whole = (STUDY, *path, None, None)[:3]
    with site.database.transaction() as tx:
        return archive.reject(tx, SYSTEM, whole, reason=reason, title=title, now=utc_now())


def restore(site: Site, *path: str) -> int:
    whole = (STUDY, *path, None, None)[:3]
    with site.database.transaction() as tx:
        return archive.restore(
            tx, SYSTEM, site.store, whole, reason="it was right after all", now=utc_now()
        )


def document(site: Site, uid: str) -> pydicom.Dataset:
    with site.database.read() as tx:
        found = archive.note_to_send(tx, VIEWER, uid, key=1)
    return pydicom.dcmread(BytesIO(site.store.read(found.blob_key)))


@dcmtk
@pytest.mark.parametrize(
    ("title", "is_shown"),
    [
        (codes.DCM.RejectedForQualityReasons, True),
        (codes.DCM.RejectedForPatientSafetyReasons, True),
        (codes.DCM.IncorrectModalityWorklistEntry, True),
        (codes.DCM.DataRetentionPolicyExpired, False),
    ],
    ids=lambda each: each.value if isinstance(each, Code) else "",
)
def test_what_a_note_names_is_out_of_use(site, title, is_shown):
    objects = [an_object(number) for number in (1, 2, 3)]
    note = a_note(*objects[:2], title=title)
    send(site, *objects, note)
    assert images(site) == ["3"]
    assert len(notes(site)) == is_shown  # what has expired leaves no trace
    (rejection,) = rejections(site)
    assert (rejection.code, rejection.number_of_instances) == (title.value, 2)
    assert (rejection.reason, rejection.rejected_by) == ("moved during the exposure", "CT1")
    send(site, objects[0], note)  # again: success, and nothing comes back
    assert images(site) == ["3"]
    assert len(rejections(site)) == 1


@dcmtk
def test_notes_may_come_first_and_may_be_wrong(site):
    objects = [an_object(number) for number in (1, 2, 3)]
    elsewhere = an_object(3, SeriesInstanceUID=f"{STUDY}.7")
    other_class = an_object(2, SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    send(site, objects[1], objects[2])
    send(site, a_note(objects[0], other_class, elsewhere))
    assert images(site) == ["2", "3"]  # they are not what the note is about
    (rejection,) = rejections(site)
    assert (rejection.number_awaited, rejection.number_differing) == (1, 2)
    send(site, objects[0], an_object(4))  # the first was rejected before it came
    assert images(site) == ["2", "3", "4"]
    (rejection,) = rejections(site)
    assert (rejection.number_awaited, rejection.number_hidden) == (0, 1)


@dcmtk
def test_a_study_of_nothing_but_notes_is_none(site):
    objects = [an_object(1), an_object(2)]
    send(site, a_note(*objects))
    assert shown(site) == {}
    send(site, *objects, an_object(3))
    assert images(site) == ["3"]


def test_an_instance_that_came_with_its_note_goes_too(site):
    """Both transactions saw nothing of each other: what the worker looks for."""
    content = an_object(1)
    site.admit(an_object(2))
    site.admit(a_note(content))
    with site.database.transaction() as tx:
        held = tx.values("select rejection_key from archive.awaited_rejection")
        tx.run("delete from archive.awaited_rejection")
    site.admit(content)
    with site.database.transaction() as tx:
        tx.run(
            "insert into archive.awaited_rejection (sop_instance_uid, rejection_key)"
            " values (%s, %s)",
            (f"{STUDY}.1.1", *held),
        )
    assert images(site) == ["1", "2"]
    with site.database.transaction() as tx:
        assert archive.settle_awaited(tx, SYSTEM, now=utc_now()) == 1
    assert images(site) == ["2"]
    assert rejections(site)[0].number_hidden == 1


def test_our_note_reaches_who_holds_the_images(site):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_peer("OTHER", free_port())
    site.add_route("all", "PACS", notifies=True)
    for number in (1, 2):
        site.admit(
            an_object(number, PatientName="Phantom^Bj\xf6rk", SpecificCharacterSet="ISO_IR 100")
        )
    site.route(STUDY, complete=True)
    receiver = Receiver(port)
    site.work(ImageSender)
    try:
        until(lambda: [each.state for each in site.deliveries()] == ["acknowledged"] * 2)
        assert reject(site, f"{STUDY}.1", f"{STUDY}.1.1", reason="Łódź") == 1
        site.react()
        until(lambda: [each.state for each in site.deliveries()] == ["acknowledged"] * 4)
    finally:
        receiver.close()
    kinds = {each.kind: each.recipient for each in site.deliveries()}
    assert kinds == {"images": "PACS", "availability": "PACS", "rejection": "PACS"}
    (uid,) = notes(site)
    assert receiver.taken == [f"{STUDY}.1.1", f"{STUDY}.1.2", uid]

    received = receiver.objects[-1]
    assert received.PatientName == "Phantom^Bj\xf6rk"
    read = KeyObjectSelectionDocument.from_dataset(document(site, uid))
    assert read.content[0].name == codes.DCM.RejectedForQualityReasons
    (reference,) = read.content.get_references()
    assert reference.referenced_sop_instance_uid == f"{STUDY}.1.1"
    assert read.resolve_reference(f"{STUDY}.1.1") == (STUDY, f"{STUDY}.1", f"{STUDY}.1.1")
    (text,) = [each for each in received.ContentSequence if each.ValueType == "TEXT"]
    assert text.TextValue == "Łódź"
    told = {
        reference.ReferencedSOPInstanceUID: reference.InstanceAvailability
        for series in receiver.notified[-1].ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert told[f"{STUDY}.1.1"] == "UNAVAILABLE"
    assert told[f"{STUDY}.1.2"] == "ONLINE"


def test_a_peers_note_does_not_go_back_to_it(site):
    for name in ("PACS", "VIEWER"):
        site.add_peer(name, free_port(), "store")
        site.add_route(name, name)
    content = an_object(1)
    site.admit(content)
    site.admit(an_object(2))
    site.route(STUDY)
    with site.database.transaction() as tx:
        tx.run("update distribution.transfer set sent_at = now()")
    site.admit(a_note(content), calling="PACS")
    site.react()
    going = [each.recipient for each in site.deliveries() if each.kind == "rejection"]
    assert going == ["VIEWER"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not installed")
def test_others_find_our_note_valid(site, tmp_path):
    site.admit(an_object(1, PatientSex="O", PatientBirthDate="19700101"))
    site.admit(an_object(2))
    assert reject(site, f"{STUDY}.1", f"{STUDY}.1.1", title=Title.PATIENT_SAFETY) == 1
    site.react()
    path = tmp_path / "note.dcm"
    document(site, *notes(site)).save_as(path)
    verdict = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    said = (verdict.stdout + verdict.stderr).splitlines()
    assert [line for line in said if line.startswith("Error")] == []
    dumped = subprocess.run(["dsrdump", str(path)], capture_output=True, text=True, check=True)
    assert "Rejected for Patient Safety Reasons" in dumped.stdout
    assert "cut off" in dumped.stdout


def test_what_was_rejected_comes_back_and_stays(site):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    objects = [an_object(1), an_object(2)]
    for each in objects:
        site.admit(each)
    before = shown(site)
    assert reject(site) == 2
    site.react()
    assert shown(site) == {}
    (rejection,) = rejections(site)
    assert document(site, rejection.note_sop_instance_uid).Modality == "KO"
    assert restore(site, f"{STUDY}.1", f"{STUDY}.1.2") == 1
    assert images(site) == ["2"]
    assert restore(site) == 1
    site.react()
    assert shown(site) == before  # its notes are out of the way
    with site.database.read() as tx:
        assert (
            tx.values("select object_id from audit.record where action = 'study.restore'")
            == [STUDY] * 2
        )
        written = tx.values("select note_sop_instance_uid from archive.restoration order by 1")
    meanings = [document(site, uid).ConceptNameCodeSequence[0].CodeMeaning for uid in written]
    assert meanings == ["Rejection Revoked"] * 2
    assert [each.kind for each in site.deliveries()] == ["images"]  # on their way again
    with pytest.raises(Exception, match="no rejected image"):
        restore(site)
    site.admit(a_note(an_object(3), an_object(4)))  # rejected before they come
    with site.database.transaction() as tx:
        path = (STUDY, f"{STUDY}.1", f"{STUDY}.1.3")
        assert archive.restore(tx, SYSTEM, site.store, path, reason="no", now=utc_now()) == 0
    site.admit(an_object(3))
    site.admit(an_object(4))
    assert images(site) == ["1", "2", "3"]
