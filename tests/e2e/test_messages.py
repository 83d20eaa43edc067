"""Real HL7 messages of others, as they are: each gets exactly one acknowledgement."""

from pathlib import Path

import hl7

from tests.e2e.hl7_peers import acknowledgement_code, registration, send
from tests.e2e.product import Product


def test_every_message_gets_exactly_one_acknowledgement(product: Product, testdata: Path):
    files = sorted((testdata / "hl7").glob("**/*.hl7"))
    assert len(files) == 61
    codes: dict[str, str] = {}
    for path in files:
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
