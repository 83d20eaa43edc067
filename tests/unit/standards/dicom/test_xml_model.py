"""The Native DICOM Model: what is written, what is read, what is refused."""

import xml.etree.ElementTree as ET

import pytest

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.xml_model import from_xml, to_xml

MODEL = {
    "00080008": {"vr": "CS", "Value": ["DERIVED", None, "AXIAL"]},
    "00081030": {"vr": "LO", "Value": ["Head & <neck>"]},
    "00090010": {"vr": "LO", "Value": ["PHANTOM WORKS"]},
    "00091002": {"vr": "LO", "Value": ["private"]},
    "00100010": {
        "vr": "PN",
        "Value": [{"Alphabetic": "Phantom^Ada^^Dr", "Ideographic": "幻影^愛田"}],
    },
    "00100020": {"vr": "LO"},
    "00282000": {"vr": "OB", "InlineBinary": "AAEC"},
    "00400275": {
        "vr": "SQ",
        "Value": [{"00401001": {"vr": "SH", "Value": ["RP1"]}}, {}],
    },
    "7FE00010": {"vr": "OW", "BulkDataURI": "http://x/bulkdata/7FE00010?a=1&b=2"},
}


def test_goes_there_and_back():
    assert from_xml(to_xml(MODEL)) == MODEL


def test_is_the_native_model():
    root = ET.fromstring(to_xml(MODEL))
    assert root.tag == "NativeDicomModel"
    by_keyword = {each.get("keyword"): each for each in root}
    name = by_keyword["PatientName"].find("PersonName/Alphabetic")
    assert [(each.tag, each.text) for each in name] == [
        ("FamilyName", "Phantom"),
        ("GivenName", "Ada"),
        ("NamePrefix", "Dr"),
    ]
    private = next(each for each in root if each.get("privateCreator"))
    assert private.get("tag") == "00090002"


@pytest.mark.parametrize(
    ("vr", "value", "text"),
    [
        ("DS", 5.0, "5"),
        ("FD", 0.1, "0.1"),
        ("IS", 12, "12"),
        ("FL", "NaN", "NaN"),
        ("LT", "a\x00\x1bb", "a\ufffd\ufffdb"),
    ],
)
def test_values_as_text(vr, value, text):
    root = ET.fromstring(to_xml({"00204000": {"vr": vr, "Value": [value]}}))
    assert root.findtext("DicomAttribute/Value") == text


def test_private_elements_get_a_block_of_their_creator():
    head = '<NativeDicomModel><DicomAttribute tag="00090010" vr="LO"><Value number="1">A</Value>'
    one = '<DicomAttribute tag="00090001" privateCreator="{}" vr="SH"><Value number="1">v</Value>'
    end = "</DicomAttribute>"
    document = head + end + one.format("B") + end + one.format("A") + end + "</NativeDicomModel>"
    model = from_xml(document.encode())
    assert sorted(model) == ["00090010", "00090011", "00091001", "00091101"]
    assert model["00090011"]["Value"] == ["B"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"<a/>",
        b"<NativeDicomModel>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><NativeDicomModel/>',
        b'<NativeDicomModel><DicomAttribute tag="1"/></NativeDicomModel>',
        b"<NativeDicomModel><Value>1</Value></NativeDicomModel>",
    ],
)
def test_refuses(document):
    with pytest.raises(RemoteProtocolError):
        from_xml(document)


def test_refuses_deep_nesting():
    deep = b'<DicomAttribute tag="00400275" vr="SQ"><Item number="1">' * 500
    with pytest.raises(RemoteProtocolError, match="deeper"):
        from_xml(b"<NativeDicomModel>" + deep)
