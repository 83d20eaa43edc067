"""Attributes that were indexed at run time: DCMTK's findscu and HTTP clients match and get them."""

import io
import json
import re
import shutil

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from isocenter.app.reindexing import Reindexer
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_attributes import (
    AttributeKnown,
    AttributeRefused,
    NoReindex,
    ReindexState,
    new_attribute,
)
from isocenter.domain.archive.service import attributes
from isocenter.infra.blobs.several import SeveralStores
from isocenter.standards.dicomweb.attribute_levels import level_of
from tests.builders import NOON
from tests.contract.query_retrieve.conftest import SYSTEM, call
from tests.dicomweb_server import DicomwebServer

pytestmark = [
    pytest.mark.peer("dcmtk"),
    pytest.mark.skipif(shutil.which("findscu") is None, reason="DCMTK is not installed"),
]
SEES = Viewer.of(SYSTEM, Action.SYSTEM_READ)
READS = Viewer.of(SYSTEM, Action.STUDY_READ)
MAKER = "PHANTOM MAKER"


def an_image(study: int, number: int = 1, *, syntax=ExplicitVRLittleEndian, **named) -> bytes:
    """An instance without pixels; ``private`` is ``(creator, block, value)``."""
    private = named.pop("private", None)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.90.{study}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"2.25.90.{study}", f"2.25.90.{study}.1"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.Modality = "Phantom^Ada", f"IX{study}", "CT"
    ds.StudyDate, ds.SeriesNumber, ds.InstanceNumber = "20260302", 1, number
    for name, value in named.items():
        setattr(ds, name, value)
    if private:
        creator, block, value = private
        ds.add_new((0x0009, block), "LO", creator)
        ds.add_new((0x0009, block << 8 | 0x02), "LO", value)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


IMAGES = (
    an_image(1, 1, PatientAge="054Y", KVP="120", AdmittingDate="20260301",
             OperatorsName="Bürger^Jo=", private=(MAKER, 0x10, "alpha one")),
    an_image(1, 2, PatientAge="054Y", KVP="80.0", OperatorsName="Bürger^Jo"),
    an_image(2, 1, PatientAge="007M", KVP="1.2e2", AdmittingDate="20260215",
             syntax=ImplicitVRLittleEndian, private=(MAKER, 0x21, "alpha two")),
    an_image(3, 1, AdmittingDate="20260301", OperatorsName="Klein^Ada",
             private=("ANOTHER MAKER", 0x10, "alpha one")),
)  # fmt: skip
WANTED = (
    ("PatientAge", {}),
    ("KVP", {}),
    ("AdmittingDate", {}),
    ("OperatorsName", {}),
    ("00090002", {"private_creator": MAKER, "vr": "LO", "level": "study"}),
)


@pytest.fixture(scope="module")
def reindexer(archived) -> Reindexer:
    blobs = SeveralStores({"main": archived.blobs})
    return Reindexer(archived.database, blobs, SYSTEM, lambda: NOON, lambda: False)


@pytest.fixture(scope="module")
def indexed(archived, reindexer):
    """The archive, of which the images were there before anybody wanted the attributes."""
    archived.keep(*IMAGES)
    for written, named in WANTED:
        new = new_attribute(written, default_level_of=level_of, **named)
        with archived.database.transaction() as tx:
            attributes.add_attribute(tx, SYSTEM, new, now=NOON)
    reindexer.run()
    return archived


@pytest.fixture(scope="module")
def web(indexed):
    server = DicomwebServer(indexed.database, indexed.blobs)
    yield server
    server.stop()


def studies(web: DicomwebServer, query: str) -> list[str]:
    answer = web.get(f"/studies?{query}")
    assert answer.status_code == 200
    assert "Warning" not in answer.headers
    return sorted(each["0020000D"]["Value"][0] for each in answer.json())


def found(indexed, level: str, *keys: str) -> list[str]:
    pairs = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    code, output = call("findscu", indexed.port, "-S", *pairs)
    assert code == 0, output
    tag = {"STUDY": "0020,000d", "IMAGE": "0008,0018", "SERIES": "0020,000e"}[level]
    return sorted(re.findall(rf"^I: \({tag}\) UI \[([0-9.]+)", output, re.M))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("PatientAge=054Y", [1]),
        ("00101010=00*", []),  # an age knows no wildcards
        ("AdmittingDate=20260301", [1, 3]),
        ("AdmittingDate=20260201-20260228", [2]),
        ("AdmittingDate=20260301&PatientAge=054Y", [1]),
        ('PatientID=IX*&PatientAge=""', [3]),
        (f"00091002=alpha%20one&00090010={MAKER}", [1]),
        (f"00095502=alpha*&00090055={MAKER}", [1, 2]),  # whatever block the client chooses
        ("00091002=alpha%20two", [2]),  # only one private attribute of these is indexed
    ],
)
def test_searches_for_studies_match_them(web: DicomwebServer, query: str, wanted: list[int]):
    assert studies(web, query) == [f"2.25.90.{number}" for number in wanted]


def test_values_come_back_in_their_vr_at_their_level(web: DicomwebServer):
    query = f"PatientID=IX1&includefield=PatientAge&00091102=alpha*&00090011={MAKER}"
    (study,) = web.get(f"/studies?{query}").json()
    assert study["00101010"] == {"vr": "AS", "Value": ["054Y"]}
    assert study["00091102"] == {"vr": "LO", "Value": ["alpha one"]}
    assert study["00090011"] == {"vr": "LO", "Value": [MAKER]}
    (series,) = web.get("/series?OperatorsName=b%C3%BCrger*&includefield=PatientAge").json()
    assert series["00081070"] == {"vr": "PN", "Value": [{"Alphabetic": "Bürger^Jo"}]}
    assert series["00101010"]["Value"] == ["054Y"]
    instances = web.get("/instances?KVP=120&PatientID=IX*").json()
    uids = [each["00080018"]["Value"][0] for each in instances]
    assert sorted(uids) == ["2.25.90.1.1.1", "2.25.90.2.1.1"]
    assert sorted(each["00180060"]["Value"][0] for each in instances) == [120, 120]
    fuzzy = web.get("/series?OperatorsName=burger&fuzzymatching=true").json()
    assert [each["0020000E"]["Value"][0] for each in fuzzy] == ["2.25.90.1.1"]
    # An attribute of instances does not restrict a search for studies, and the client is told.
    assert "00180060" in web.get("/studies?KVP=120").headers["Warning"]


def test_findscu_matches_and_gets_them(indexed):
    assert found(indexed, "STUDY", "StudyInstanceUID", "PatientAge=054Y") == ["2.25.90.1"]
    assert found(indexed, "STUDY", "StudyInstanceUID", "AdmittingDate=20260215-20260228") == [
        "2.25.90.2"
    ]
    path = ("StudyInstanceUID=2.25.90.1", "SeriesInstanceUID=2.25.90.1.1", "SOPInstanceUID")
    assert found(indexed, "IMAGE", *path, "KVP=80") == ["2.25.90.1.1.2"]
    # findscu knows no VR of it and takes the bytes in hexadecimal digits.
    pattern = "\\".join(f"{octet:02x}" for octet in b"alpha*")
    private = (f"0009,0010={MAKER}", f"0009,1002={pattern}")
    assert found(indexed, "STUDY", "StudyInstanceUID", *private) == ["2.25.90.1", "2.25.90.2"]
    _, output = call(
        "findscu", indexed.port, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientAge",
        "-k", f"0009,0010={MAKER}", "-k", "0009,1002", "-k", "StudyInstanceUID=2.25.90.1",
    )  # fmt: skip
    assert "(0010,1010) AS [054Y]" in output
    assert re.search(r"\(0009,1002\) .*(alpha one|61\\6c\\70\\68\\61)", output)
    assert "Matches Are Continuing - Warning" not in output  # all keys are supported


def test_what_comes_later_is_known_once_its_metadata_is_made(indexed, web: DicomwebServer):
    indexed.keep(an_image(4, 1, PatientAge="001D"))
    assert studies(web, "PatientAge=001D") == []
    assert web.get("/studies/2.25.90.4/metadata").status_code == 200
    assert studies(web, "PatientAge=001D") == ["2.25.90.4"]


def test_reading_goes_on_after_it_was_ended_reports_errors_and_can_be_cancelled(
    indexed, web: DicomwebServer, reindexer: Reindexer
):
    broken = an_image(5, 1, AdmittingDate="20260304").replace(b"20260304", b"2026/3/4")
    indexed.keep(broken, an_image(6, 1, AdmittingDate="20260304", AdmittingTime="101010"))
    new = new_attribute("AdmittingTime", default_level_of=level_of)
    with indexed.database.transaction() as tx:
        key = attributes.add_attribute(tx, SYSTEM, new, now=NOON)
    with indexed.database.read() as tx:
        (gone,) = [each for each in archive.locate(tx, READS, "2.25.90.6") if each.sop_instance_uid]
    content = indexed.blobs.read(gone.blob_key)
    indexed.blobs.delete(gone.blob_key)
    # Not ready yet: searches say that they pass it over.
    assert "00380021" in web.get("/studies?AdmittingTime=101010").headers["Warning"]
    once = iter([False, False, False])
    halting = Reindexer(
        indexed.database, reindexer.blobs, SYSTEM, lambda: NOON, lambda: next(once, True)
    )
    assert halting.run() == 2  # the process is to end
    with indexed.database.transaction() as tx:
        attributes.cancel_reindex(tx, SYSTEM, now=NOON)
        with pytest.raises(NoReindex):
            attributes.cancel_reindex(tx, SYSTEM, now=NOON)
    assert reindexer.run() == 0
    with indexed.database.transaction() as tx:
        attributes.resume_reindex(tx, SYSTEM, now=NOON)
    rest = reindexer.run()
    with indexed.database.read() as tx:
        state = attributes.newest_reindex(tx, SEES)
        assert state is not None
        errors = attributes.reindex_errors(tx, SEES, state.reindex_key, limit=10)
    assert state.state is ReindexState.FINISHED
    assert state.series == state.series_total == rest + 2
    assert sorted((each.sop_instance_uid, each.attribute, each.detail) for each in errors) == [
        ("2.25.90.5.1.1", "AdmittingDate", "the value is no date"),
        ("2.25.90.6.1.1", "", "there is no blob of this key"),
    ]
    assert studies(web, "AdmittingTime=101010") == []
    stored = indexed.blobs.put(content)
    with indexed.database.transaction() as tx:
        tx.run(
            "update archive.instance set blob_key = %s where sop_instance_uid = '2.25.90.6.1.1'",
            (stored.key,),
        )
        attributes.begin_reindex(tx, SYSTEM, now=NOON)
    reindexer.run()
    assert studies(web, "AdmittingTime=101000-1011") == ["2.25.90.6"]
    with indexed.database.transaction() as tx:
        attributes.remove_attribute(tx, SYSTEM, key, now=NOON)
        left = "select count(*) from archive.attribute_value where attribute_key = %s"
        assert tx.value(left, (key,)) == 0


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("NoSuchAttribute", {}),
        ("00091002", {}),  # private, and nobody says whose
        ("00091002", {"private_creator": MAKER}),  # of no known VR
        ("PatientAge", {"private_creator": MAKER}),
        ("PatientAge", {"vr": "LO"}),
        ("PixelData", {}),
        ("RequestAttributesSequence", {}),
        ("PatientAge", {"level": "patient"}),
    ],
)
def test_what_cannot_be_indexed_is_refused(written: str, named: dict[str, str]):
    with pytest.raises(AttributeRefused):
        new_attribute(written, default_level_of=level_of, **named)


def test_what_is_known_is_refused(indexed):
    with indexed.database.transaction() as tx:
        for written, error in (("PatientAge", AttributeKnown), ("Modality", AttributeRefused)):
            new = new_attribute(written, default_level_of=level_of)
            with pytest.raises(error):
                attributes.add_attribute(tx, SYSTEM, new, now=NOON)


def test_a_search_among_many_uses_the_index(indexed):
    """The planner finds the few studies with a value instead of looking at all of them."""
    with indexed.database.transaction() as tx:
        key = tx.value(
            "select attribute_key from archive.indexed_attribute where tag = %s", (0x00101010,)
        )
        tx.run(
            "insert into archive.study (study_instance_uid, first_received_at, last_received_at)"
            " select '2.25.91.' || n, now(), now() from generate_series(1, 2000) n"
        )
        tx.run(
            "insert into archive.series (study_key, series_instance_uid, first_received_at,"
            " last_received_at) select study_key, study_instance_uid || '.1', now(), now()"
            " from archive.study where study_instance_uid like '2.25.91.%%'"
        )
        tx.run(
            "insert into archive.attribute_value (attribute_key, series_key, entity_key, position,"
            " value, matched) select %s, series_key, study_key, 1, 'v' || study_key,"
            " 'v' || study_key from archive.series where series_instance_uid like '2.25.91.%%'",
            (key,),
        )
        tx.run("analyze archive.study")
        tx.run("analyze archive.attribute_value")
        plan = json.dumps(
            tx.value(
                "explain (format json) select study_instance_uid from archive.study where exists"
                " (select from archive.attribute_value as indexed where indexed.attribute_key = %s"
                " and indexed.entity_key = study.study_key and indexed.matched = '054Y')"
                " order by study.study_date desc nulls last, study.study_time desc nulls last,"
                " study.study_key desc limit 100",
                (key,),
            )
        )
    assert "attribute_value_matched" in plan
    assert "Seq Scan" not in plan
