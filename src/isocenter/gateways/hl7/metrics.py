"""What this gateway counts. Labels hold words of ours: a peer could make up any number of them."""

from typing import Final

from isocenter.infra import metrics

CONNECTIONS: Final = metrics.gauge("hl7_connections", "HL7 connections that are open now")
CONNECTIONS_REFUSED: Final = metrics.counter(
    "hl7_connections_refused", "HL7 connections that were closed at once", ["reason"]
)
MESSAGES: Final = metrics.counter(
    "hl7_messages_received", "HL7 messages answered", ["kind", "result"]
)
MESSAGES_REPEATED: Final = metrics.counter(
    "hl7_messages_repeated", "HL7 messages that got the answer that they had got before"
)
MESSAGES_OVERSIZED: Final = metrics.counter(
    "hl7_messages_oversized", "HL7 messages rejected because of their size"
)
DEFECTS: Final = metrics.counter("hl7_defects", "HL7 messages answered with an error of ours")
BATCH_MESSAGES: Final = metrics.histogram(
    "hl7_batch_messages",
    "HL7 messages that were applied at a time",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
ANSWER_SECONDS: Final = metrics.histogram(
    "hl7_answer_seconds", "From a whole HL7 message to its committed acknowledgement"
)
TRANSMISSIONS: Final = metrics.counter(
    "hl7_results_transmitted", "Attempts to send a result over HL7", ["outcome"]
)
KINDS: Final = frozenset({"ADT", "ORM", "OMG", "OMI"})


def kind_of(message_type: str) -> str:
    """Return the label for a message type."""
    code = message_type.split("^", 1)[0].upper()
    return code if code in KINDS else "other"
