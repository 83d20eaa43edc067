"""How HL7 messages are refused, from the table that the gateway works by."""

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.refusal import BY_KIND, BY_SITUATION, Answer
from isocenter.gateways.hl7.translate_appointments import APPOINTMENT_EVENTS
from isocenter.standards.hl7v2.ack import ERROR_TEXT
from isocenter.standards.statuses import ANNOUNCEMENTS, ORDERS, RESPONSES, RESULTS, SCH_25_OF
from tools.document_table import table


def refusals() -> str:
    """Situations with a field of their own, then all others by kind."""
    rows = [_row(_said(situation), answer) for situation, answer in BY_SITUATION.items()]
    rows += [_row(f"any other: {_kind(kind)}", answer) for kind, answer in BY_KIND.items()]
    return table(["situation", "MSA-1", "ERR-3", "ERR-2"], rows)


def appointment_events() -> str:
    """What becomes of an appointment, and whether one that is not known is booked."""
    rows = (
        (
            f"SIU^{name}",
            each.title,
            each.status or "as SCH-25 says",
            "yes" if each.may_be_new else "",
        )
        for name, each in APPOINTMENT_EVENTS.items()
    )
    return table(["event", "meaning", "status", "books what is not known"], rows)


def order_statuses() -> str:
    """Our states of orders beside ORC-5 and FHIR."""
    rows = ((state, row.order_status, row.service_request) for state, row in ORDERS.items())
    return table(["an order is", "ORC-5", "ServiceRequest.status"], rows)


def order_responses() -> str:
    """ORC-1 of what is answered."""
    rows = ((asked.value, row.followed, row.refused) for asked, row in RESPONSES.items())
    return table(["asked for", "done: ORC-1", "refused: ORC-1, ERR-5"], rows)


def result_statuses() -> str:
    """How far a result is beside OBR-25, OBX-11 and FHIR."""
    rows = (
        (
            result.value,
            ", else ".join(row.result_statuses),
            row.observation_status,
            row.diagnostic_report,
        )
        for result, row in RESULTS.items()
    )
    return table(["a result is", "OBR-25", "OBX-11", "DiagnosticReport.status"], rows)


def announcements() -> str:
    """How others are told what became of an order."""
    rows = (
        (
            what.value,
            f"{row.placer} {row.order_status or 'as the order is'}",
            f"{row.performer} {row.performer_status or 'as the order is'}" if row.performer else "",
            row.result_status,
        )
        for what, row in ANNOUNCEMENTS.items()
    )
    header = ["an order is", "`orm`: ORC-1, ORC-5", "`omi`: ORC-1, ORC-5", "OBR-25"]
    return table(header, rows)


def appointment_statuses() -> str:
    """SCH-25 of what is told of appointments."""
    rows = ((status, written) for status, written in SCH_25_OF.items())
    return table(["an appointment is", "SCH-25"], rows)


def _row(what: str, answer: Answer) -> tuple[str, str, str, str]:
    error = f"{answer.error.value} {ERROR_TEXT[answer.error]}"
    return what, answer.code.value, error, f"`{answer.location}`" if answer.location else ""


def _said(situation: type[IsocenterError]) -> str:
    return (situation.__doc__ or situation.__name__).splitlines()[0].rstrip(".")


def _kind(kind: Kind) -> str:
    return kind.value.replace("_", " ")
