"""Mutates the corpus for a while: ``python -m tests.fuzz.ul SECONDS``; keeps what breaks."""

import hashlib
import random
import sys
import time
from pathlib import Path

from tests.fuzz.ul.target import run

CORPUS = Path(__file__).parent / "corpus"


def mutated(seed: bytes, other: bytes, chance: random.Random) -> bytes:
    """One to four random changes: a byte, a cut, a repetition, a splice, an interesting number."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if data:
                data[at % len(data)] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 16)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 64)]
            case 3:
                data[at:at] = other[chance.randrange(len(other) + 1) :][:64]
            case _:
                data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\1\0\0"))
    return bytes(data)


def main(seconds: float) -> int:
    """The number of inputs that broke something; each was written to the corpus."""
    chance = random.Random(seconds)
    seeds = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    broken, tried, deadline = 0, 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = mutated(chance.choice(seeds), chance.choice(seeds), chance)
        tried += 1
        try:
            run(data)
        except Exception as error:  # noqa: BLE001  any exception is a finding
            broken += 1
            name = hashlib.sha256(data).hexdigest()[:16]
            (CORPUS / name).write_bytes(data)
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
    sys.stderr.write(f"{tried} inputs, {broken} broke something\n")
    return broken


if __name__ == "__main__":
    sys.exit(min(main(float(sys.argv[1])), 1))
