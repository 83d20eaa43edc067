"""DICOMweb resources, transfer syntaxes and limits, asked of the code."""

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

from starlette.routing import Route

from isocenter.app.roles import dimse
from isocenter.app.settings import Settings
from isocenter.gateways.dicomweb.application import application
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.dimse.limits import Limits
from isocenter.imaging.codecs import can_decode
from isocenter.imaging.encoders import can_encode
from isocenter.infra.clock import utc_now
from isocenter.standards.dicom import uids
from isocenter.standards.dicomweb.media_types import frame_media_type
from tools.document_table import table, yes_no

# The pixels are elsewhere, or flow in real time; or it is no encoding of PS3.5.
_WITHOUT_PIXELS: Final = ("JPIP", "SMPTE", "RFC 2557", "XML Encoding", "Papyrus")
_MEANING: Final = re.compile(r"^    (\w+): (.+(?:\n        .+)*)$", re.M)


def resources() -> str:
    """Every resource: method, path, and what its handler says of itself."""
    nothing: Any = None
    made = application(nothing, nothing, options=DicomwebOptions(), clock=utc_now)
    routes = (each for each in made.routes if isinstance(each, Route))
    rows = (
        (
            " ".join(sorted(each.methods or ())),
            f"`{each.path}`",
            (inspect.getdoc(each.endpoint) or "").splitlines()[0],
        )
        for each in routes
    )
    return table(["methods", "path below the service root", "resource"], rows)


def transfer_syntaxes() -> str:
    """Every transfer syntax that has pixels in it, and what can be done with it."""
    rows = (
        (
            each.name,
            uid,
            yes_no(can_decode(uid)),
            yes_no(can_encode(uid)),
            frame_media_type(uid),
        )
        for uid, each in uids.transfer_syntaxes().items()
        if not each.name.startswith(_WITHOUT_PIXELS)
    )
    head = ["transfer syntax", "UID", "decoded", "written", "media type of its frames"]
    return table(head, rows)


def association_limits() -> str:
    """Limits of associations that no setting changes."""
    return _limits(Limits, exclude=_set_by_settings())


def web_limits() -> str:
    """Limits and choices of DICOMweb."""
    return _limits(DicomwebOptions, exclude={"public_url", "time_zone"})


def identification() -> str:
    """How the implementation names itself."""
    rows = [
        ("Implementation Class UID", f"`{uids.IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name", f"`{uids.IMPLEMENTATION_VERSION_NAME}`"),
        ("AE title", f"`{Settings().ae_title}` unless `ISOCENTER_AE_TITLE` says otherwise"),
        ("operations that a peer may have outstanding", Limits().operations_max),
        ("operations that we have outstanding", 1),
    ]
    return table(["what", "value"], rows)


def _limits(kind: type[Limits | DicomwebOptions], *, exclude: set[str]) -> str:
    meanings = dict(_meanings(inspect.getdoc(kind) or ""))
    rows = (
        (f"`{each.name}`", f"`{_shown(each.default)}`", meanings[each.name])
        for each in fields(kind)
        if each.name not in exclude
    )
    return table(["limit", "value", "meaning"], rows)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in cast("Sequence[object]", value))
    return str(int(value)) if isinstance(value, int) else str(value)


def _meanings(text: str) -> Iterator[tuple[str, str]]:
    for name, meaning in _MEANING.findall(text):
        yield name, " ".join(meaning.split())


def _set_by_settings() -> set[str]:
    """The limits that the listener takes from settings, as its source says."""
    tree = ast.parse(Path(inspect.getfile(dimse)).read_text(encoding="utf-8"))
    calls = (
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Name)
        and each.func.id == Limits.__name__
    )
    return {each.arg for call in calls for each in call.keywords if each.arg}
