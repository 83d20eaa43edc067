"""``make docs``: writes the generated parts of the documents anew and checks every link in them.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. It comes from the
tables that the program itself works by, so it cannot say anything else. Tests that a document names
as proof must be there. ``--check`` changes nothing and fails when a part is out of date.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from isocenter.app.settings import About, Settings
from isocenter.domain.monitoring.model import EXPECTATIONS
from isocenter.gateways.hl7.translate_adt import EVENTS
from isocenter.gateways.hl7.translate_orders import CONTROLS
from isocenter.standards.hl7v2.decision import DECISIONS, Action, Decision, Held
from tools.cited_tests import unproven
from tools.conformance import attributes, hl7, services, web
from tools.document_table import table

ROOT = Path(__file__).parent.parent
PART = re.compile(r"(<!-- generated: (?P<name>[a-z0-9-]+) -->\n).*?(<!-- end -->)", re.S)
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s#]+)(?:#[^)]*)?\)")


def _adt_events() -> str:
    rows = ((f"ADT^{name}", event.title, event.effect.value) for name, event in EVENTS.items())
    return table(["event", "meaning", "effect"], rows)


def _order_controls() -> str:
    rows = (
        (control, status or "any other", entry.title, entry.verb.value)
        for (control, status), entry in CONTROLS.items()
    )
    return table(["ORC-1", "ORC-5", "meaning", "effect"], rows)


def _decisions() -> str:
    rows = (
        (
            outcome.value.replace("_", " "),
            decision.action.value.replace("_", " "),
            "closed" if decision.close_connection else "kept",
            _held(decision),
        )
        for outcome, decision in DECISIONS.items()
    )
    return table(["what came back", "the message is", "the connection is", "what waits"], rows)


def _held(decision: Decision) -> str:
    if decision.held is Held.NOTHING:
        return "nothing"
    until = (
        "a person decides"
        if decision.action is Action.PARK or decision.pauses
        else "the next attempt"
    )
    return f"{decision.held.value}, until {until}"


def _expectations() -> str:
    rows = (
        (hop.value, expectation.within, expectation.urgent_within or expectation.within)
        for hop, expectation in EXPECTATIONS.items()
    )
    return table(["hop", "late after", "STAT exams"], rows)


def _settings() -> str:
    return _settings_table(lambda _: True)


def _dicom_settings() -> str:
    return _settings_table(_OF_DICOM.search)


def _settings_table(wanted: Callable[[str], object]) -> str:
    hints = get_type_hints(Settings, include_extras=True)
    rows: list[Sequence[object]] = []
    for field in fields(Settings):
        if not wanted(field.name):
            continue
        about = next(
            each
            for each in getattr(hints[field.name], "__metadata__", ())
            if isinstance(each, About)
        )
        default: Any = field.default
        shown = "required" if "MISSING" in repr(default) else default
        shown = "" if default is None else shown
        rows.append((
            f"`ISOCENTER_{field.name.upper()}`",
            f"`{shown}`" if shown != "" else "",
            about.meaning,
        ))
    return table(["setting", "default", "meaning"], iter(rows))


# Settings that a DICOM peer or a DICOMweb client can notice.
_OF_DICOM = re.compile(
    r"^ae_title|dicom_|^association|^artim|^pdu_|^object_size|free_bytes_min$"
    r"|^search_|^cross_|^frame_"
)


PARTS: Mapping[str, Callable[[], str]] = {
    "adt-events": _adt_events,
    "order-controls": _order_controls,
    "delivery-decisions": _decisions,
    "expectations": _expectations,
    "settings": _settings,
    "dicom-overview": services.overview,
    "dicom-accepted-contexts": services.accepted_contexts,
    "dicom-extended-negotiation": services.extended_negotiation,
    "dicom-statuses": services.statuses,
    "dicom-storage-classes": services.storage_classes,
    "dicom-study-keys": attributes.study_keys,
    "dicom-worklist-keys": attributes.worklist_keys,
    "dicom-performed-step": attributes.performed_step_attributes,
    "dicom-procedure-step-keys": attributes.procedure_step_keys,
    "dicom-identification": web.identification,
    "dicom-association-limits": web.association_limits,
    "dicom-settings": _dicom_settings,
    "dicom-transfer-syntaxes": web.transfer_syntaxes,
    "dicomweb-resources": web.resources,
    "dicomweb-limits": web.web_limits,
    "hl7-refusals": hl7.refusals,
    "appointment-events": hl7.appointment_events,
    "order-statuses": hl7.order_statuses,
    "order-responses": hl7.order_responses,
    "result-statuses": hl7.result_statuses,
    "announcements": hl7.announcements,
    "appointment-statuses": hl7.appointment_statuses,
}


def rewritten(text: str) -> str:
    """``text`` with each generated part as the program's tables say now."""
    return PART.sub(lambda found: found[1] + PARTS[found["name"]]() + found[3], text)


def broken_links(path: Path, text: str) -> Iterator[str]:
    """Links of a document to files that are not there."""
    for target in LINK.findall(text):
        if not (path.parent / target).exists():
            yield f"{path.relative_to(ROOT)}: {target} is not there"


def main() -> int:
    """Rewrite or check all documents; return the exit code."""
    only_check = "--check" in sys.argv[1:]
    findings: list[str] = []
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        text = path.read_text(encoding="utf-8")
        fresh = rewritten(text)
        if fresh != text and only_check:
            findings.append(f"{path.relative_to(ROOT)}: out of date: run `make docs`")
        elif fresh != text:
            path.write_text(fresh, encoding="utf-8")
        findings += broken_links(path, fresh)
        findings += (f"{path.relative_to(ROOT)}: {each}" for each in unproven(ROOT, fresh))
    sys.stdout.write("".join(f"{finding}\n" for finding in findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
