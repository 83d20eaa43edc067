"""The DICOM JSON model: both ways, and what is inlined."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.json_model import from_json, header_to_json, to_json
from isocenter.standards.dicom.values import DataSet, Element, encode_dataset


def sample() -> DataSet:
    dataset, item = DataSet(), DataSet()
    item.put("ReferencedSOPInstanceUID", "1.2.3")
    dataset.put("SpecificCharacterSet", "ISO_IR 100")
    dataset.put("PatientName", "Phantom^Ada=山田^太郎")
    dataset.put("PatientID", "A", "", "B")
    dataset.put("AccessionNumber")
    dataset.put("NumberOfFrames", "12")
    dataset.put("PixelSpacing", "0.5", "0.25")
    dataset.put("FrameIncrementPointer", 0x00181063)
    dataset.put("ReferencedImageSequence", item, DataSet())
    dataset.put(0x00091001, b"\1\2", vr="UN")
    return dataset


def test_each_kind_of_value_has_its_json_type():
    assert to_json(sample()) == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080050": {"vr": "SH"},
        "00081140": {
            "vr": "SQ",
            "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}, {}],
        },
        "00091001": {"vr": "UN", "InlineBinary": "AQI="},
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": "Phantom^Ada", "Ideographic": "山田^太郎"}],
        },
        "00100020": {"vr": "LO", "Value": ["A", None, "B"]},
        "00280008": {"vr": "IS", "Value": [12]},
        "00280009": {"vr": "AT", "Value": ["00181063"]},
        "00280030": {"vr": "DS", "Value": [0.5, 0.25]},
    }


def test_what_json_describes_is_read_back():
    expected = sample()
    expected.put("SpecificCharacterSet", "ISO_IR 192")
    assert from_json(json.loads(json.dumps(to_json(sample())))) == expected.sorted()


@given(st.floats())
def test_no_float_makes_invalid_json(value):
    model = to_json(DataSet({0x00189073: Element("FD", (value,))}))
    text = json.dumps(model, allow_nan=False)
    back = from_json(json.loads(text))[0x00189073].values[0]
    assert back == value or (back != back and value != value)


@pytest.mark.parametrize(
    ("text", "expected"), [("1A", "1A"), ("nan", "nan"), ("", None), ("1e5", 1e5)]
)
def test_numbers_that_are_none_stay_text(text, expected):
    model = to_json(DataSet({0x00280030: Element("DS", (text,))}))
    assert model["00280030"]["Value"] == [expected]


def test_large_values_become_references_and_small_overlays_stay():
    item = DataSet({0x00091001: Element("OB", (bytes(5000),))})
    dataset = DataSet({
        0x00091002: Element("OB", (bytes(1024),)),
        0x00081140: Element("SQ", (DataSet(), item)),
        0x60003000: Element("OW", (bytes(32768),)),
    })
    model = to_json(dataset, bulk_data_uri=lambda path: "/".join(f"{part:x}" for part in path))
    assert "InlineBinary" in model["00091002"]
    assert "InlineBinary" in model["60003000"]
    inner = model["00081140"]["Value"][1]["00091001"]
    assert inner == {"vr": "OB", "BulkDataURI": "81140/1/91001"}
    read = from_json(model, bulk_data=lambda uri: uri.encode())
    assert read.sequence(0x00081140)[1].octets(0x00091001) == b"81140/1/91001"


def test_pixel_data_is_a_reference_and_group_2_and_lengths_are_left_out():
    dataset = DataSet()
    dataset.put("Rows", 1)
    data = b"\x08\x00\x00\x00UL\x04\x00\x0c\x00\x00\x00"
    data += encode_dataset(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    data += b"\xe0\x7f\x10\x00OW\x00\x00\x02\x00\x00\x00"
    model = header_to_json(
        data, transfer_syntax_uid=uids.EXPLICIT_VR_LITTLE_ENDIAN, bulk_data_uri=lambda _: "here"
    )
    assert model == {
        "00280010": {"vr": "US", "Value": [1]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "here"},
    }


@pytest.mark.parametrize(
    "model",
    [
        {"00100020": []},
        {"zz": {"vr": "LO"}},
        {"00100020": {"vr": "LO", "Value": "A"}},
        {"00280010": {"vr": "US", "Value": ["x"]}},
        {"00280010": {"vr": "US", "Value": [{}]}},
        {"00091001": {"vr": "OB", "InlineBinary": "*"}},
        {"00091001": {"vr": "OB", "BulkDataURI": "x"}},
        {"00091001": {"vr": "OB", "Value": [1]}},
        {"00189073": {"vr": "FD", "Value": ["x"]}},
    ],
)
def test_what_does_not_follow_the_model_is_refused(model):
    with pytest.raises(RemoteProtocolError):
        from_json(model)


def test_endless_nesting_is_refused():
    model: dict[str, object] = {}
    for _ in range(100):
        model = {"00081140": {"vr": "SQ", "Value": [model]}}
    with pytest.raises(RemoteProtocolError, match="deeper"):
        from_json(model)
