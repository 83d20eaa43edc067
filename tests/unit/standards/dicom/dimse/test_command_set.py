import io
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom.dimse import command_set, messages
from tests.raising import check_raises_only
from tests.unit.standards.dicom.ul.strategies import ae_titles, uids

_us = st.integers(0, 65535)
_tags = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
VALUES = {
    "affected_sop_class_uid": uids,
    "requested_sop_class_uid": uids,
    "affected_sop_instance_uid": uids,
    "requested_sop_instance_uid": uids,
    "move_destination": ae_titles,
    "move_originator_ae_title": st.just("") | ae_titles,
    "error_comment": st.just("") | ae_titles,
    "offending_element": _tags,
    "attribute_identifier_list": _tags,
    "has_data_set": st.booleans(),
}


def any_command():
    return st.one_of(
        *(
            st.builds(kind, **{f.name: VALUES.get(f.name, _us) for f in fields(kind)})
            for kind in messages.COMMANDS
        )
    )


@given(any_command())
def test_every_command_survives_the_round_trip(command):
    assert command_set.decode(command_set.encode(command)) == command


@given(any_command(), st.data())
def test_a_cut_command_is_refused_or_another_valid_one(command, data):
    encoded = command_set.encode(command)
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    check_raises_only(RemoteProtocolError, command_set.decode, cut)


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_a_protocol_error(data):
    check_raises_only(RemoteProtocolError, command_set.decode, data)


@given(any_command())
def test_pydicom_reads_the_same_values(command):
    dcmread = pytest.importorskip("pydicom.filereader")
    encoded = io.BytesIO(command_set.encode(command))
    dataset = dcmread.read_dataset(encoded, is_implicit_VR=True, is_little_endian=True)
    assert dataset.CommandField == command.command_field
    assert (dataset.CommandDataSetType != 0x0101) == command.has_data_set
    assert dataset[0x00000000].value == len(encoded.getvalue()) - 12
    names = {
        "affected_sop_class_uid": "AffectedSOPClassUID",
        "affected_sop_instance_uid": "AffectedSOPInstanceUID",
        "requested_sop_class_uid": "RequestedSOPClassUID",
        "message_id": "MessageID",
        "message_id_being_responded_to": "MessageIDBeingRespondedTo",
        "status": "Status",
        "move_destination": "MoveDestination",
        "number_of_failed_suboperations": "NumberOfFailedSuboperations",
        "event_type_id": "EventTypeID",
        "action_type_id": "ActionTypeID",
        "priority": "Priority",
    }
    for name, keyword in names.items():
        value = getattr(command, name, None)
        if value not in {None, ""}:
            assert dataset[keyword].value == value


def test_elements_are_in_ascending_order():
    encoded = command_set.encode(
        messages.CStoreRequest(
            message_id=7,
            affected_sop_class_uid="1.2",
            affected_sop_instance_uid="1.2.3",
            move_originator_ae_title="MOVER",
            move_originator_message_id=3,
        )
    )
    numbers, at = [], 0
    while at < len(encoded):
        numbers.append(int.from_bytes(encoded[at + 2 : at + 4], "little"))
        at += 8 + int.from_bytes(encoded[at + 4 : at + 8], "little")
    assert numbers == sorted(numbers)
    assert len(encoded) % 2 == 0


def test_an_error_comment_is_made_to_fit():
    response = messages.CStoreResponse(
        message_id_being_responded_to=1, status=0xC000, error_comment="a\\b\n\u00e9" + "x" * 100
    )
    decoded = command_set.decode(command_set.encode(response))
    assert decoded.error_comment == "a b ?" + "x" * 59


def test_what_does_not_fit_is_our_own_mistake():
    with pytest.raises(LocalProtocolError):
        command_set.encode(messages.CEchoRequest(message_id=70000, affected_sop_class_uid="1.2"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes.fromhex("0000000104000000"),
        bytes.fromhex("00000001020000009999"),
        bytes.fromhex("00000001020000003000"),
        bytes.fromhex("08000001020000003000"),
        bytes.fromhex("00000001010000003000"),
    ],
)
def test_what_is_no_command_is_refused(data):
    with pytest.raises(command_set.MalformedCommand):
        command_set.decode(data)


def test_what_follows_the_end_of_a_command_set_is_let_pass():
    """Orthanc 1.10 appends the list of failed instances to its C-GET-RSP."""
    command = messages.CGetResponse(message_id_being_responded_to=1, status=0xC000)
    encoded = command_set.encode(command)
    behind = b"\x08\0\x58\0\x04\0\0\x001.2\0"
    assert command_set.decode(encoded + behind) == command
    with pytest.raises(RemoteProtocolError):
        command_set.decode(encoded[:8] + b"\x02" + encoded[9:] + behind)  # it ends elsewhere
