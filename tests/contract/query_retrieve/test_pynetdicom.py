"""pynetdicom asks in the ways that DCMTK's tools cannot, and receives badly on purpose."""

import threading
from collections.abc import Iterator
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

pynetdicom = pytest.importorskip("pynetdicom")
from pynetdicom import AE, build_role, evt  # noqa: E402  behind the look for the peer
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation  # noqa: E402

from isocenter.gateways.dimse import retrieve_move  # noqa: E402

pytestmark = pytest.mark.peer("pynetdicom")

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"


def identifier(level: str, **values) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(asked, keyword, value)
    return asked


@pytest.fixture
def associate(archived):
    """Opens associations as SCU; all are gone at the end."""
    opened = []

    def begin(*classes, information: bytes | None = None, title="SCU", roles=(), handlers=()):
        entity = AE(ae_title=title)
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = 15
        for each in classes:
            entity.add_requested_context(each, [EXPLICIT])
        extended = []
        if information is not None:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = classes[0]
            item.service_class_application_information = information
            extended.append(item)
        association = entity.associate(
            "127.0.0.1",
            archived.port,
            ae_title="ARCHIVE",
            ext_neg=[*extended, *roles],
            evt_handlers=list(handlers),
        )
        assert association.is_established
        opened.append(association)
        return association

    yield begin
    for association in opened:
        if association.is_established:
            association.release()


def found(association, sop_class, asked) -> list[Dataset]:
    answers = list(association.send_c_find(asked, sop_class))
    assert answers[-1][0].Status == 0x0000, answers[-1][0]
    return [dataset for status, dataset in answers if dataset is not None]


def test_relational_queries_are_answered_when_negotiated(associate):
    association = associate(STUDY_FIND, information=b"\1\1\1\1\0\1\1")
    answered = association.acceptor.sop_class_extended[STUDY_FIND]
    # The conversion of enhanced images is declined.
    assert answered == b"\1\1\1\1\0\1\1"
    asked = identifier("SERIES", Modality="CT", SeriesInstanceUID="", PatientName="")
    names = {str(each.PatientName) for each in found(association, STUDY_FIND, asked)}
    assert "CompressedSamples^CT1" in names
    asked = identifier("IMAGE", SOPInstanceUID="2.25.1", StudyInstanceUID="")
    (image,) = found(association, STUDY_FIND, asked)
    assert image.StudyInstanceUID


def test_names_match_by_sound_when_negotiated(associate):
    plain = associate(STUDY_FIND)
    asked = identifier("STUDY", PatientName="comprezzedsamples", StudyInstanceUID="")
    assert found(plain, STUDY_FIND, asked) == []
    fuzzy = associate(STUDY_FIND, information=b"\0\0\1")
    assert {str(each.PatientName) for each in found(fuzzy, STUDY_FIND, asked)} >= {
        "CompressedSamples^CT1",
        "CompressedSamples^MR1",
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"StudyDate": "20040101-20041231"}, {"1CT1", "4MR1"}),
        ({"StudyDate": "20040119", "StudyTime": "072700-072800"}, {"1CT1"}),
        ({"PatientID": "?CT?"}, {"1CT1"}),
        ({"PatientID": ["1CT1", "4MR1"]}, {"1CT1", "4MR1"}),
        ({"PatientName": "COMPRESSEDSAMPLES^C*"}, {"1CT1"}),
        ({"ModalitiesInStudy": "MR"}, {"4MR1"}),
        ({"SOPClassesInStudy": CT}, {"1CT1"}),
        ({"AccessionNumber": '""', "StudyDate": "20040119"}, {"1CT1"}),
    ],
)
def test_each_way_of_matching(associate, keys, expected):
    asked = identifier("STUDY", StudyInstanceUID="", **({"PatientID": ""} | keys))
    answers = found(associate(STUDY_FIND), STUDY_FIND, asked)
    assert {each.PatientID for each in answers} == expected


def test_dates_and_times_are_combined_when_negotiated(associate):
    asked = identifier(
        "STUDY", StudyInstanceUID="", StudyDate="20040118-20040120", StudyTime="100000-060000"
    )
    assert found(associate(STUDY_FIND), STUDY_FIND, asked) == []
    combined = found(associate(STUDY_FIND, information=b"\0\1"), STUDY_FIND, asked)
    assert [each.StudyDate for each in combined] == ["20040119"]


@pytest.mark.parametrize(
    ("offset", "keys", "answered"),
    [
        # 07:27:30 on January 19, 2004, in a study that states no zone: the installation's, UTC.
        ("-0800", {"StudyDate": "20040118"}, ("20040118", "232730")),
        ("-0800", {"StudyDate": "20040119"}, None),
        ("+0000", {"StudyDate": "20040119"}, ("20040119", "072730")),
        ("+0200", {"StudyTime": "092700-092800"}, ("20040119", "092730")),
        ("+0200", {"StudyTime": "072700-072800"}, None),
        ("-0800", {"StudyDate": "20040118-", "StudyTime": "2300-"}, ("20040118", "232730")),
        ("-0800", {"StudyDate": "20040118", "StudyTime": "0700-0800"}, None),
    ],
)
def test_dates_and_times_are_in_the_zone_that_is_asked_in(associate, offset, keys, answered):
    keys = {"StudyDate": "", "StudyTime": "", "PatientID": "1CT1"} | keys
    asked = identifier("STUDY", StudyInstanceUID="", TimezoneOffsetFromUTC=offset, **keys)
    answers = found(associate(STUDY_FIND, information=b"\0\1\0\1"), STUDY_FIND, asked)
    said = [(each.StudyDate, each.StudyTime, each.TimezoneOffsetFromUTC) for each in answers]
    assert said == ([(*answered, offset)] if answered else [])


def test_a_zone_that_was_not_negotiated_changes_nothing(associate):
    asked = identifier(
        "STUDY", StudyInstanceUID="", TimezoneOffsetFromUTC="-0800", StudyDate="20040119"
    )
    (only,) = found(associate(STUDY_FIND, information=b"\0\1"), STUDY_FIND, asked)
    assert only.StudyDate == "20040119"
    assert "TimezoneOffsetFromUTC" not in only


def test_the_zone_that_a_study_states_goes_before_ours(archived, associate):
    stored = pydicom.dcmread(BytesIO(archived.files["CT_small.dcm"])).StudyInstanceUID
    statement = (
        "update archive.study set timezone_offset_from_utc = %s where study_instance_uid = %s"
    )
    asked = identifier(
        "SERIES", StudyInstanceUID=stored, SeriesInstanceUID="", StudyDate="", StudyTime="",
        SeriesDate="", TimezoneOffsetFromUTC="-0800",
    )  # fmt: skip
    with archived.database.transaction() as tx:
        tx.run(statement, ("+0900", stored))
    try:
        (only,) = found(associate(STUDY_FIND, information=b"\0\0\0\1"), STUDY_FIND, asked)
        assert (only.StudyDate, only.StudyTime) == ("20040118", "142730")
        assert only.TimezoneOffsetFromUTC == "-0800"
        del asked.TimezoneOffsetFromUTC
        (only,) = found(associate(STUDY_FIND, information=b"\0\0\0\1"), STUDY_FIND, asked)
        assert (only.StudyDate, only.TimezoneOffsetFromUTC) == ("20040119", "+0900")
    finally:
        with archived.database.transaction() as tx:
            tx.run(statement, (None, stored))


def test_a_patient_is_counted_over_all_studies(associate):
    asked = identifier("PATIENT", PatientID="4MR1", NumberOfPatientRelatedInstances="")
    (patient,) = found(associate(PATIENT_FIND), PATIENT_FIND, asked)
    assert patient.NumberOfPatientRelatedInstances == 4


def test_a_get_sends_what_the_caller_takes_and_names_the_rest(archived, associate):
    received: list[Dataset] = []

    def keep(event) -> int:
        received.append(event.dataset)
        return 0x0000

    association = associate(
        STUDY_GET, CT, roles=[build_role(CT, scp_role=True)], handlers=[(evt.EVT_C_STORE, keep)]
    )
    stored = [
        pydicom.dcmread(BytesIO(archived.files[name])) for name in ("CT_small.dcm", "reportsi.dcm")
    ]
    asked = identifier("STUDY", StudyInstanceUID=[each.StudyInstanceUID for each in stored])
    answers = list(association.send_c_get(asked, STUDY_GET))
    status, failed = answers[-1]
    assert status.Status == 0xB000
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (1, 1)
    assert failed.FailedSOPInstanceUIDList == stored[1].SOPInstanceUID
    assert [each.SOPInstanceUID for each in received] == [stored[0].SOPInstanceUID]


def test_a_caller_that_only_gets_cannot_store(archived, associate):
    association = associate(
        STUDY_GET, CT, roles=[build_role(CT, scp_role=True, scu_role=True)], title="GETTER"
    )
    context = next(each for each in association.accepted_contexts if each.abstract_syntax == CT)
    assert context.as_scp
    assert not context.as_scu


@pytest.fixture
def destination(archived) -> Iterator:
    """Starts storage SCPs with a handler for each object; tells the archive of them."""
    servers = []

    def start(handler, *classes: str):
        entity = AE(ae_title="PYNETDICOM")
        for each in classes or (CT, MR):
            entity.add_supported_context(each, [EXPLICIT])
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handler)]
        )
        servers.append(server)
        archived.meet("PYNETDICOM", server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()


def mr_study(archived) -> Dataset:
    stored = pydicom.dcmread(BytesIO(archived.files["MR_small_RLE.dcm"]))
    return identifier("STUDY", StudyInstanceUID=stored.StudyInstanceUID)


def test_counts_and_originator_are_told(archived, associate, destination):
    originators = []

    def keep(event) -> int:
        request = event.request
        originators.append((
            request.MoveOriginatorApplicationEntityTitle,
            request.MoveOriginatorMessageID,
        ))
        return 0xB000 if len(originators) == 2 else 0x0000

    destination(keep)
    association = associate(STUDY_MOVE)
    answers = [
        status
        for status, _ in association.send_c_move(
            mr_study(archived), "PYNETDICOM", STUDY_MOVE, msg_id=7
        )
    ]
    assert originators == [("SCU", 7)] * 4
    # Now and then, not after each: all that is certain is how the counts begin, and that they fall.
    remaining = [each.NumberOfRemainingSuboperations for each in answers[:-1]]
    assert remaining[0] == 4
    assert remaining == sorted(remaining, reverse=True)
    counted = [
        each.NumberOfCompletedSuboperations + each.NumberOfWarningSuboperations
        for each in answers[:-1]
    ]
    assert [4 - each for each in counted] == remaining
    last = answers[-1]
    assert last.Status == 0xB000
    assert (last.NumberOfCompletedSuboperations, last.NumberOfWarningSuboperations) == (3, 1)


def test_an_object_that_is_refused_is_named(archived, associate, destination):
    destination(lambda event: 0xA700 if event.request.AffectedSOPInstanceUID == "2.25.1" else 0)
    answers = list(associate(STUDY_MOVE).send_c_move(mr_study(archived), "PYNETDICOM", STUDY_MOVE))
    status, failed = answers[-1]
    assert status.Status == 0xB000
    assert failed.FailedSOPInstanceUIDList == "2.25.1"


def test_a_broken_association_is_opened_anew(archived, associate, destination):
    attempts = []

    def break_once(event) -> int:
        attempts.append(str(event.request.AffectedSOPInstanceUID))
        if len(attempts) == 2:
            event.assoc.abort()
        return 0x0000

    destination(break_once)
    answers = list(associate(STUDY_MOVE).send_c_move(mr_study(archived), "PYNETDICOM", STUDY_MOVE))
    assert answers[-1][0].Status == 0x0000
    assert attempts[1] == attempts[2]
    assert len(set(attempts)) == 4


def test_more_associations_help_where_the_destination_lets_them(
    archived, associate, destination, monkeypatch
):
    monkeypatch.setattr(retrieve_move, "_INSTANCES_PER_ASSOCIATION", 1)
    senders = []
    together = threading.Barrier(2, timeout=10)

    def keep(event) -> int:
        senders.append(event.assoc)
        if len(senders) <= 2:
            together.wait()  # passes only when two objects are under way at a time
        return 0x0000

    destination(keep)
    answers = list(associate(STUDY_MOVE).send_c_move(mr_study(archived), "PYNETDICOM", STUDY_MOVE))
    assert answers[-1][0].Status == 0x0000
    assert len(senders) == 4
    assert len(set(senders)) >= 2


def test_a_destination_that_is_away_fails_everything_by_name(archived, associate):
    archived.meet("PYNETDICOM", 9)  # discard: nobody listens
    answers = list(associate(STUDY_MOVE).send_c_move(mr_study(archived), "PYNETDICOM", STUDY_MOVE))
    status, failed = answers[-1]
    assert status.Status == 0xA702
    assert status.NumberOfFailedSuboperations == len(failed.FailedSOPInstanceUIDList) == 4


def test_a_move_is_cancelled(archived, associate, destination):
    begun, go_on = threading.Event(), threading.Event()
    sent = []

    def wait(event) -> int:
        sent.append(event)
        begun.set()
        go_on.wait(10)
        return 0x0000

    destination(wait)
    association = associate(STUDY_MOVE)
    responses = association.send_c_move(mr_study(archived), "PYNETDICOM", STUDY_MOVE, msg_id=3)
    next(responses)
    assert begun.wait(10)
    association.send_c_cancel(3, query_model=STUDY_MOVE)
    threading.Timer(0.2, go_on.set).start()
    last = list(responses)[-1][0]
    assert last.Status == 0xFE00
    assert last.NumberOfRemainingSuboperations == 3
    assert len(sent) == 1
