"""A signed report as a PDF: the same bytes for the same report, letters only, no program in it.

Written here because a report is a few pages of text: a heading, what it is about, the texts with
who signed them, page numbers. The standard fonts that every reader has hold Western letters only; a
report with others has no PDF, and its text goes instead.

Standard: ISO 32000-1 7.5 (file structure), 9.6.2.2 (standard 14 fonts), Annex D (WinAnsiEncoding)
"""

from collections.abc import Iterator, Sequence
from typing import Final

from isocenter.readmodels.report_content import ReportContent
from isocenter.standards.hl7v2.datatypes import format_dtm

# A4 in points; a monospaced letter is 0.6 of its size wide, so that lines can be counted.
_WIDTH, _HEIGHT = 595, 842
_MARGIN, _SIZE, _LEADING = 57, 10, 13
_COLUMNS: Final = int((_WIDTH - 2 * _MARGIN) / (0.6 * _SIZE))
_ROWS: Final = (_HEIGHT - 2 * _MARGIN) // _LEADING - 2
PAGES_MAX: Final = 500


def report_pdf(content: ReportContent) -> bytes | None:
    """Return the report; None when the standard fonts lack a letter of it, or it is too long."""
    lines = [piece for line in _lines(content) for piece in _wrapped(line)]
    try:
        encoded = [line.encode("cp1252") for line in lines]
    except UnicodeEncodeError:
        return None
    pages = [encoded[start : start + _ROWS] for start in range(0, len(encoded), _ROWS)]
    if len(pages) > PAGES_MAX:
        return None
    foot = f"{content.accession_number}, version {content.version}".encode("cp1252", "replace")
    return _file([_page(rows, number, (len(pages), foot)) for number, rows in enumerate(pages, 1)])


def _lines(content: ReportContent) -> Iterator[str]:
    identifier = content.identifiers[0] if content.identifiers else None
    procedures = [each.description or each.code_meaning or "" for each in content.procedures]
    born = content.patient_birth_date
    about = (
        ("Patient", _name(content.patient_name)),
        ("Patient ID", identifier.value if identifier else ""),
        ("Born", born.isoformat() if born else ""),
        ("Accession number", content.accession_number),
        ("Examination", ", ".join(each for each in procedures if each)),
        ("Performed", _moment(content)),
        ("Ordered by", _name(content.ordering_provider_name)),
        ("Reason", content.reason_for_study or ""),
    )
    yield "Report of a radiological examination"
    yield ""
    for name, value in about:
        if value:
            yield f"{name + ':':<18}{value}"
    for text in content.versions:
        yield ""
        if text.kind == "addendum":
            yield f"Addendum ({text.version})"
            yield ""
        yield from text.text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
        yield ""
        yield f"Signed by {_name(text.signer_name)}, {text.signed_at:%Y-%m-%d %H:%M %Z}"


def _moment(content: ReportContent) -> str:
    if content.performed_at is None:
        return ""
    stated = format_dtm(content.performed_at)
    return f"{stated[:4]}-{stated[4:6]}-{stated[6:8]}"


def _name(person_name: str | None) -> str:
    """The name as it is read: prefix, given, middle, family, suffix."""
    alphabetic = (person_name or "").split("=", 1)[0]
    family, given, middle, prefix, suffix = [*alphabetic.split("^"), "", "", "", "", ""][:5]
    return " ".join(filter(None, (prefix, given, middle, family, suffix)))


def _wrapped(line: str) -> Iterator[str]:
    """The line in pieces that fit, broken between words where there are any."""
    rest = "".join(each if each.isprintable() else " " for each in line.expandtabs(4)).rstrip()
    while len(rest) > _COLUMNS:
        at = rest.rfind(" ", 1, _COLUMNS + 1)
        at = _COLUMNS if at <= 0 else at
        yield rest[:at].rstrip()
        rest = rest[at:].lstrip()
    yield rest


def _page(rows: Sequence[bytes], number: int, about: tuple[int, bytes]) -> bytes:
    """The content stream of a page. Standard: ISO 32000-1 9.4."""
    count, foot = about
    start = b"BT /F1 %d Tf %d TL %d %d Td" % (_SIZE, _LEADING, _MARGIN, _HEIGHT - _MARGIN)
    shown = [b"(%s) Tj T*" % _escaped(row) for row in rows]
    below = b"BT /F1 8 Tf %d %d Td (%s) Tj ET" % (
        _MARGIN,
        _MARGIN - 2 * _LEADING,
        _escaped(foot + b", page %d of %d" % (number, count)),
    )
    return b"\n".join((start, *shown, b"ET", below))


def _escaped(text: bytes) -> bytes:
    # ISO 32000-1 7.3.4.2: these three end or nest a string.
    return text.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _file(pages: Sequence[bytes]) -> bytes:
    """The whole file: catalogue, page tree, font, then a page and its content, one by one."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ]
    for index, stream in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (_WIDTH, _HEIGHT, 5 + 2 * index)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    # The bytes above 127 in the second line say that the file is binary (7.5.2).
    data = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets: list[int] = []
    for number, each in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(data)
