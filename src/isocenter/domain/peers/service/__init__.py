"""The use cases of peers: who may talk to us, who asked to, and what was said in HL7."""

from isocenter.domain.peers.service.callers import (
    approve_caller,
    approve_hl7_caller,
    decide_association,
    dismiss_caller,
    hl7_peers_at,
    pending_callers,
    record_unknown_hl7_caller,
)
from isocenter.domain.peers.service.messages import (
    message,
    record_message,
    record_messages,
    search_messages,
    stored_acknowledgement,
)
from isocenter.domain.peers.service.peers import (
    add_dicom_peer,
    add_hl7_peer,
    dicom_peer,
    dicom_peer_titled,
    hl7_peer,
    hl7_recipients,
    list_dicom_peers,
    list_hl7_peers,
    remove_peer,
    step_recipients,
)

__all__ = [
    "add_dicom_peer",
    "add_hl7_peer",
    "approve_caller",
    "approve_hl7_caller",
    "decide_association",
    "dicom_peer",
    "dicom_peer_titled",
    "dismiss_caller",
    "hl7_peer",
    "hl7_peers_at",
    "hl7_recipients",
    "list_dicom_peers",
    "list_hl7_peers",
    "message",
    "pending_callers",
    "record_message",
    "record_messages",
    "record_unknown_hl7_caller",
    "remove_peer",
    "search_messages",
    "step_recipients",
    "stored_acknowledgement",
]
