"""Mutates the corpus for a while: ``python -m tests.fuzz.part10 SECONDS``; keeps what breaks."""

import hashlib
import random
import struct
import sys
import time
from pathlib import Path

from tests.fuzz.part10.target import run

CORPUS = Path(__file__).parent / "corpus"
NUMBERS = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xfe\xff\0\xe0",
    b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0",
)


def mutated(seed: bytes, other: bytes, chance: random.Random) -> bytes:
    """One to five random changes: a byte, a cut, a repetition, a splice, a number with meaning."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(132, len(data) + 1) if len(data) > 132 else 0
        match chance.randrange(6):
            case 0 if data:
                data[at % len(data)] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 32)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 128)]
            case 3:
                data[at:at] = other[chance.randrange(len(other) + 1) :][:128]
            case 4:
                data[at : at + 4] = struct.pack("<L", chance.randrange(1 << 16))
            case _:
                data[at : at + 4] = chance.choice(NUMBERS)
    return bytes(data)


def main(seconds: float) -> int:
    """The number of inputs that broke something; each was written to the corpus."""
    chance = random.Random(seconds)
    seeds = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    broken, tried, deadline = 0, 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = mutated(chance.choice(seeds), chance.choice(seeds), chance)
        tried += 1
        began = time.monotonic()
        try:
            run(data)
            error: Exception | None = None
        except Exception as found:  # noqa: BLE001 (any exception is a finding)
            error = found
        if error is None and time.monotonic() - began < 1:
            continue
        broken += 1
        name = hashlib.sha256(data).hexdigest()[:16]
        (CORPUS / name).write_bytes(data)
        sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
    sys.stderr.write(f"{tried} inputs, {broken} broke something\n")
    return broken


if __name__ == "__main__":
    sys.exit(min(main(float(sys.argv[1])), 1))
