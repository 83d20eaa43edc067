"""HL7 v2: how many ADT and ORM messages a second are applied and acknowledged, and how soon."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

from isocenter.domain.identity.model_matching import Person
from tools.population import Population, Rates

CONNECTIONS = 8
_BEGAN = datetime.now(tz=UTC)
STAMP = f"{_BEGAN:%Y%m%d%H%M%S}+0000"
# Exams of the next day, as most orders are for: none of them is late.
SCHEDULED = f"{_BEGAN + timedelta(days=1):%Y%m%d%H%M%S}+0000"


@dataclass(frozen=True, slots=True)
class InterfaceResult:
    """What one run over the interface showed; times in milliseconds."""

    messages: int
    seconds: float
    latencies_ms: list[float]
    codes: dict[str, int]

    @property
    def per_second(self) -> float:
        """Messages acknowledged per second."""
        return self.messages / self.seconds

    @property
    def median_ms(self) -> float:
        """Median time from sending to acknowledgement."""
        return median(self.latencies_ms)

    @property
    def p99_ms(self) -> float:
        """99th percentile of the time from sending to acknowledgement."""
        return quantiles(self.latencies_ms, n=100)[98]


def load(messages: int, run: str) -> list[bytes]:
    """Return ``messages``: registration and order in turn, a new patient each pair.

    The patients are households of invented people, since each is looked for among all others.
    """
    population = Population(int.from_bytes(run.encode()), Rates(twice=0.0))
    people = [each.person for each in population.records(messages // 2)]
    return [_message(number, run, people[number // 2]) for number in range(messages)]


def _message(number: int, run: str, of: Person) -> bytes:
    patient, control_id = f"{run}{number // 2:07d}", f"{run}{number:08d}"
    person = (
        f"PID|1||{patient}^^^BENCH^MR||{of.names[0]}||{of.birth_date:%Y%m%d}|{of.sex}"
        f"|||{of.address}||{of.phone}"
    )
    if number % 2 == 0:
        head = (
            f"MSH|^~\\&|BENCHEHR|BENCH|ISOCENTER|RAD|{STAMP}||ADT^A04^ADT_A01|{control_id}|P|2.5.1"
        )
        segments = [head, f"EVN|A04|{STAMP}", person, "PV1|1|O|RAD"]
    else:
        head = f"MSH|^~\\&|BENCHEHR|BENCH|ISOCENTER|RAD|{STAMP}||ORM^O01|{control_id}|P|2.3.1"
        order = f"P{run}{number:07d}"
        segments = [
            head,
            person,
            "PV1|1|O|RAD",
            f"ORC|NW|{order}^BENCH|||||^^^{SCHEDULED}^^R||{STAMP}|||1^Referrer^Synthetic",
            f"OBR|1|{order}^BENCH||CT01^CT head^L||||||||||||||||||||CT",
        ]
    return b"\x0b" + "\r".join([*segments, ""]).encode() + b"\x1c\r"


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> tuple[float, str]:
    started = time.perf_counter()
    writer.write(data)
    answer = await reader.readuntil(b"\x1c\r")
    code = answer.split(b"MSA|", 1)[1][:2].decode()
    return (time.perf_counter() - started) * 1000, code


async def _flood(port: int, messages: list[bytes]) -> InterfaceResult:
    async def lane(index: int) -> list[tuple[float, str]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        pairs = range(index, len(messages) // 2, CONNECTIONS)
        numbers = [number for pair in pairs for number in (2 * pair, 2 * pair + 1)]
        answers = [await _exchange(reader, writer, messages[number]) for number in numbers]
        writer.close()
        return answers

    started = time.perf_counter()
    lanes = await asyncio.gather(*(lane(index) for index in range(CONNECTIONS)))
    return _result([answer for lane in lanes for answer in lane], time.perf_counter() - started)


async def _steady(port: int, messages: list[bytes], per_second: int) -> InterfaceResult:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    locks = [asyncio.Lock() for _ in connections]
    answers: list[tuple[float, str]] = []
    started = time.perf_counter()

    async def send(number: int) -> None:
        due = started + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        lane = (number // 2) % CONNECTIONS
        async with locks[lane]:
            answers.append(await _exchange(*connections[lane], messages[number]))

    await asyncio.gather(*(send(number) for number in range(len(messages))))
    for _, writer in connections:
        writer.close()
    return _result(answers, time.perf_counter() - started)


def _result(answers: list[tuple[float, str]], seconds: float) -> InterfaceResult:
    codes: dict[str, int] = {}
    for _, code in answers:
        codes[code] = codes.get(code, 0) + 1
    return InterfaceResult(len(answers), seconds, [ms for ms, _ in answers], codes)


def flood(port: int, *, messages: int, run: str) -> InterfaceResult:
    """Send ``messages`` over eight connections as fast as they are acknowledged."""
    return asyncio.run(_flood(port, load(messages, run)))


def steady(port: int, *, messages: int, run: str, per_second: int) -> InterfaceResult:
    """Send ``messages`` at ``per_second`` over eight connections."""
    return asyncio.run(_steady(port, load(messages, run), per_second))
