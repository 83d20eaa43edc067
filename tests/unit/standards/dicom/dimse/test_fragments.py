import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.dimse import command_set, messages
from isocenter.standards.dicom.dimse.fragments import (
    CommandReceived,
    DataFragment,
    MessageReader,
)
from isocenter.standards.dicom.ul.pdu import PresentationDataValue

STORE = messages.CStoreRequest(
    message_id=1, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.2.3"
)
ECHO = messages.CEchoRequest(message_id=2, affected_sop_class_uid="1.2.840.10008.1.1")


def value(data: bytes, *, command: bool, last: bool, context_id: int = 1):
    return PresentationDataValue(context_id, command, last, memoryview(data))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        if len(data) > size:
            pieces.append(data[:size])
            data = data[size:]
    return [*pieces, data]


@given(
    st.lists(st.integers(1, 40), max_size=8),
    st.lists(st.integers(1, 40), max_size=8),
    st.binary(max_size=200),
)
def test_fragmenting_never_matters(command_sizes, data_sizes, data):
    pieces = cut(command_set.encode(STORE), command_sizes)
    values = [
        value(p, command=True, last=index == len(pieces) - 1) for index, p in enumerate(pieces)
    ]
    parts = cut(data, data_sizes)
    values += [
        value(p, command=False, last=index == len(parts) - 1) for index, p in enumerate(parts)
    ]
    values.append(value(command_set.encode(ECHO), command=True, last=True))
    reader = MessageReader()
    events = list(reader.receive(values))
    assert events[0] == CommandReceived(1, STORE)
    assert events[-1] == CommandReceived(1, ECHO)
    fragments = [event for event in events if isinstance(event, DataFragment)]
    assert b"".join(bytes(f.data) for f in fragments) == data
    assert [f.is_last for f in fragments] == [False] * (len(fragments) - 1) + [True]
    assert reader.between_messages


@pytest.mark.parametrize(
    "values",
    [
        [value(b"data", command=False, last=True)],
        [
            value(command_set.encode(STORE), command=True, last=True),
            value(command_set.encode(ECHO), command=True, last=True),
        ],
        [
            value(command_set.encode(STORE), command=True, last=True),
            value(b"data", command=False, last=True, context_id=3),
        ],
        [
            value(b"\0\0", command=True, last=False),
            value(b"data", command=False, last=False),
        ],
        [value(b"garbage!", command=True, last=True)],
        [value(b"x" * 40000, command=True, last=False)] * 2,
    ],
)
def test_fragments_at_the_wrong_place_are_refused(values):
    with pytest.raises(RemoteProtocolError):
        list(MessageReader().receive(values))


def test_a_half_received_message_is_known_as_such():
    reader = MessageReader()
    list(reader.receive([value(command_set.encode(STORE), command=True, last=True)]))
    assert not reader.between_messages
