from hypothesis import given
from hypothesis import strategies as st

from isocenter.gateways.dimse.receive_buffer import ReceiveBuffer


@given(
    st.lists(st.integers(1, 300_000), min_size=1, max_size=20),
    st.lists(st.integers(2_000, 150_000), min_size=1, max_size=10),
)
def test_what_comes_in_goes_out_in_order(arrivals, units):
    """Units of a PDU's size are taken out whole, whatever the sizes in which they arrive."""
    buffer = ReceiveBuffer(1 << 20)
    stream = bytes(range(251)) * (sum(arrivals) // 251 + 1)
    at, taken, unit = 0, 0, 0
    for size in arrivals:
        while size > 0:
            free = buffer.free()
            assert len(free) > 0
            part = min(size, len(free))
            free[:part] = stream[at : at + part]
            at, size = at + part, size - part
            unread = buffer.received(part)
            while len(unread) >= units[unit % len(units)]:
                length = units[unit % len(units)]
                assert unread[:length] == stream[taken : taken + length]
                buffer.consumed(length)
                taken, unit, unread = taken + length, unit + 1, unread[length:]
    assert at - taken < units[unit % len(units)]


def test_it_starts_small_and_never_grows_beyond_its_bound():
    buffer = ReceiveBuffer(1 << 18)
    assert len(buffer.free()) == 1 << 16
    while len(free := buffer.free()):
        buffer.received(len(free))
    assert len(buffer.received(0)) == 1 << 18


def test_what_is_released_is_gone():
    buffer = ReceiveBuffer(1 << 18)
    buffer.free()
    buffer.received(100)
    buffer.release()
    assert len(buffer.received(0)) == 0
