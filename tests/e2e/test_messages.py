"""Real HL7 messages of others, as they are: each gets exactly one acknowledgement.

Those that want no accept acknowledgement (MSH-15 NE or ER) and an application acknowledgement
(MSH-16 AL) get it on a connection of ours, as HL7 v2.5.1 2.9.3 has it.
"""

from pathlib import Path

import hl7

from tests.e2e.hl7_peers import ResultReceiver, acknowledgement_code, registration, send
from tests.e2e.product import Product, until


def test_every_message_gets_exactly_one_acknowledgement(
    product: Product, ehr: ResultReceiver, testdata: Path
):
    files = sorted((testdata / "hl7").glob("**/*.hl7"))
    assert len(files) == 61
    codes: dict[str, str] = {}
    for path in files:
        header = path.read_bytes().splitlines()[0].split(b"|")
        if header[14:16] in ([b"NE", b"AL"], [b"ER", b"AL"]):
            before = len(ehr.received)
            told = send(product.hl7_port, path.read_bytes(), answers=0)
            answers = told + told_apart(ehr, header[9].decode(), before)
        else:
            answers = send(product.hl7_port, path.read_bytes())
        assert len(answers) == 1, f"{path.name}: {len(answers)} acknowledgements"
        (segment,) = hl7.parse(answers[0].decode("utf-8", "replace")).segments("MSA")
        codes[path.name] = str(segment[1])
    # C codes go to senders that want an accept acknowledgement only (MSH-15 AL, MSH-16 NE).
    assert set(codes.values()) <= {"AA", "AE", "AR", "CA", "CE", "CR"}
    assert codes["ADT-A01-01.hl7"] == "AA"
    assert codes["ORM-O01-01.hl7"] == "AA"
    after = send(product.hl7_port, registration("E2E90", "Phantom^Last", control_id="Z1"))
    assert acknowledgement_code(after[0]) == "AA"


def told_apart(ehr: ResultReceiver, control_id: str, before: int) -> list[bytes]:
    """The acknowledgements of a message that came to where its sender listens."""

    def found() -> list[bytes]:
        acks = [
            each for each in ehr.received[before:] if str(each.segment("MSH")[9]).startswith("ACK")
        ]
        fitting = [each for each in acks if str(each.segment("MSA")[2]) == control_id]
        return [str(each).encode() for each in fitting]

    return until(found, what=f"an application acknowledgement of {control_id}")
