import pytest

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.batch import encode_batch, encode_file, is_batch, split_batch

ONE = b"MSH|^~\\&|A||||||ADT^A08|1\rPID|1\r"
TWO = b"MSH|^~\\&|A||||||ADT^A08|2\rPID|2\r"


def test_round_trip():
    batch = encode_batch([ONE, TWO], {3: "A", 11: "7"})
    assert batch == b"BHS|^~\\&|A||||||||7\r" + ONE + TWO + b"BTS|2\r"
    content = split_batch(encode_file([batch, batch], {3: "A"}))
    assert content.messages == (ONE, TWO, ONE, TWO)
    assert (content.counts_declared, content.counts_found, content.is_complete) == (
        (2, 2),
        (2, 2),
        True,
    )


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_and_mark(end):
    data = b"\xef\xbb\xbf" + encode_batch([ONE, TWO], {}).replace(b"\r", end)
    assert is_batch(data)
    assert split_batch(data).messages == (ONE, TWO)


def test_count_that_does_not_fit():
    content = split_batch(encode_batch([ONE, TWO], {}).replace(b"BTS|2", b"BTS|3"))
    assert not content.is_complete
    assert content.messages == (ONE, TWO)


def test_missing_count_and_missing_trailer_are_no_mismatch():
    assert split_batch(b"BHS|^~\\&\r" + ONE + b"BTS\r").is_complete
    assert split_batch(b"FHS|^~\\&\rBHS|^~\\&\r" + ONE).messages == (ONE,)


def test_a_message_is_no_batch():
    assert not is_batch(ONE)
    with pytest.raises(RemoteProtocolError):
        split_batch(ONE)
