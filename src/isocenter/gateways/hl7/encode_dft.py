"""DFT^P03: what an exam is charged with, under the codes that its order carried.

Prices and billing codes are another system's: none is made up here.

Standard: HL7 v2.5.1 6.4.3 (P03), 6.5.1 (FT1); IHE RAD TF-3 4.35
"""

from collections.abc import Mapping
from typing import Any

from isocenter.gateways.hl7.encode_order import filler
from isocenter.gateways.hl7.encode_patient import evn, pid, visit_number, xcn
from isocenter.gateways.hl7.envelope import Envelope, sealed
from isocenter.readmodels.exam_content import ExamContent
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm


def encode_dft(content: ExamContent, told: Mapping[str, Any], envelope: Envelope) -> bytes:
    """Return the message.

    Args:
        content: the exam as it is known now.
        told: ``lines``, each with ``action`` (CG or CR), ``transaction_id``, ``code``, ``scheme``,
            ``meaning`` and ``quantity``.
        envelope: to whom it goes.
    """
    segments = [evn(envelope, "P03")]
    if content.patient is not None:
        segments.append(pid(content.patient, envelope, account=content.admission_id or ""))
    segments.append(
        writer.segment(
            "PV1",
            {
                1: "1",
                2: content.patient_class or "U",
                3: content.location,
                8: xcn("", content.referring_physician_name),
                19: visit_number(content.admission_id, envelope),
            },
        )
    )
    segments += [
        _ft1(content, line, number, envelope) for number, line in enumerate(told["lines"], 1)
    ]
    return sealed(envelope, ("DFT", "P03", "DFT_P03"), segments)


def _ft1(content: ExamContent, line: Mapping[str, Any], number: int, envelope: Envelope) -> str:
    code = (line["code"], line["meaning"], line["scheme"])
    performed_at = content.performed_at or content.signed_at or envelope.made_at
    return writer.segment(
        "FT1",
        {
            1: str(number),
            # The same for a charge and its credit: by it a receiver knows what it is to take back.
            2: line["transaction_id"],
            4: format_dtm(performed_at),
            5: format_dtm(envelope.made_at),
            6: line["action"],
            7: code,
            10: str(line["quantity"]),
            20: xcn(content.signed_by or "", content.signer_name),
            21: xcn("", content.ordering_provider_name),
            23: filler(content),
            25: code,
        },
    )
