"""``python -m tools.bench``: what ours and the peers do on this machine, as medians and ratios."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from tools.bench import archive, interface, messages, mpi, outbound, receivers, scale, store
from tools.bench.archive import CLIENTS, ArchiveRun, Rates
from tools.bench.interface import InterfaceResult
from tools.bench.messages import MessagesResult, MessagesRun
from tools.bench.mpi import MpiResult, MpiRun
from tools.bench.processor import Meter, per_message, profile
from tools.bench.scale import ScaleResult, ScaleRun
from tools.bench.store import StoreResult, StoreRun

FLOOD = 4000
OUTBOUND = 1000
_STEADY_PER_S = (100, 200)
_PARTS = ("store", "hl7", "archive", "scale", "mpi", "messages", "viewer")
_P95_MAX_MS = 50.0
_INGEST_MIN = 0.9
_MPI_P95_MAX_MS = 30.0
_MESSAGES_P95_MAX_MS = 100.0
_MPI_PRECISION_MIN = 0.999
_SMOKE = ArchiveRun(10, 20, 50, metadata=4, frames=8, searches=4, repeats=1)


def main() -> int:
    """Run the chosen benches and print the report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=_PARTS, help="one part; the last four: never else")
    parser.add_argument("--folder", type=Path, default=None, help="where receivers keep their data")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--studies", type=int, default=1_000_000, help="scale: of the index")
    parser.add_argument("--keep", type=Path, help="scale: where the filled index stays")
    parser.add_argument("--classes", default="", help="scale: of searches with this in their names")
    parser.add_argument("--turns", type=int, default=5, help="scale: of C-STORE; 0: none")
    parser.add_argument("--records", type=int, default=1_000_000, help="mpi: of the index")
    parser.add_argument("--searches", type=int, default=2_000, help="mpi: in it")
    parser.add_argument(
        "--smoke", action="store_true", help="all but store, hl7: as little as will do"
    )
    arguments = parser.parse_args()
    _machine(arguments.folder)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, _source(folder) as source:
        return _run(arguments, Path(folder), source)


def _run(arguments: argparse.Namespace, folder: Path, source: Path) -> int:
    if arguments.only in {None, "store"}:
        for associations, count in ((1, 1000), (4, 800)):
            run = StoreRun(associations, count, arguments.repeats)
            _print_store(store.measure(run, source=source, folder=folder))
    if arguments.only in {None, "hl7"}:
        _bench_interface(folder / "hl7", arguments.repeats)
    if arguments.only in {None, "archive"}:
        chosen = _SMOKE if arguments.smoke else ArchiveRun(repeats=arguments.repeats)
        _print_archive(chosen, archive.measure(chosen, source=source, folder=folder))
    if arguments.only == "scale":
        return _bench_scale(arguments, source, folder)
    if arguments.only == "mpi":
        run = (
            MpiRun(50_000, 1_000)
            if arguments.smoke
            else MpiRun(arguments.records, arguments.searches)
        )
        return _print_mpi(run, mpi.measure(run, folder=folder))
    if arguments.only == "messages":
        log = MessagesRun(50_000, 20) if arguments.smoke else MessagesRun()
        return _print_messages(log, messages.measure(log, folder=folder))
    if arguments.only == "viewer":
        return _bench_viewer(arguments, folder)
    return 0


def _bench_scale(arguments: argparse.Namespace, source: Path, folder: Path) -> int:
    run = ScaleRun(arguments.studies, only=arguments.classes, turns=arguments.turns)
    if arguments.smoke:
        run = ScaleRun(
            10_000, 20, only=arguments.classes, ingested=20, turns=min(1, arguments.turns)
        )
    result = scale.measure(run, source=source, folder=folder, say=_line, kept=arguments.keep)
    return _print_scale(run, result)


def _bench_viewer(arguments: argparse.Namespace, folder: Path) -> int:
    from tools.bench import viewer  # noqa: PLC0415 - only this part needs a browser

    run = viewer.ViewerRun(repeats=arguments.repeats)
    if arguments.smoke:
        run = viewer.ViewerRun(slices=60, many_slices=80, stepped_slices=16, scrolled=40, repeats=1)
    result = viewer.measure(run, folder=folder)
    _line(f"\nReading workspace, headless Chromium drawing by the processor, {run.slices} slices")
    cold, after = median(result.cold_s), median(result.next_case_s)
    beside = "OHIF is not installed (make peers)"
    if result.cold_ratio is not None:
        beside = f"OHIF 3.13.2 {median(result.peer_cold_s):.2f} s, ratio {result.cold_ratio:.2f}"
    _line(f"  cold first image {cold:.2f} s   {beside}")
    _line(f"  next case, fetched before {after:.2f} s")
    for what, opened in (("made-up CT", result.made_up), ("real CT of a head", result.scanned)):
        if opened.slices:
            _line(
                f"  {what}, {opened.slices} slices of 512 x 512 at 20 Mbit/s and 30 ms:"
                f" coarse after {median(opened.coarse_s):.2f} s, complete after"
                f" {median(opened.complete_s):.2f} s; the line alone takes"
                f" {median(opened.line_s):.2f} s"
            )
    if result.jump_ms:
        _line(
            f"  {len(result.jump_ms)} images not there yet: something of them after"
            f" {median(result.jump_ms):.0f} ms (median), {max(result.jump_ms):.0f} ms (most)"
        )
    p95 = quantiles(result.scroll_ms, n=20)[18]
    _line(
        f"  scroll, loaded: {median(result.scroll_ms):.0f} ms a slice (median), {p95:.0f} ms (p95)"
    )
    _line(f"  {run.slices} slices keep {result.loaded_mb:.0f} MB of images")
    _line(
        f"  {run.many_slices} slices, all seen: {result.many_loaded_mb:.0f} MB of images kept,"
        f" heap {result.many_heap_mb:.0f} MB"
    )
    return 0


@contextmanager
def _source(folder: str) -> Generator[Path]:
    """Where objects to send are kept: in memory where it can be, to measure receivers."""
    memory = Path("/dev/shm")  # noqa: S108 - a bench on a developer's machine
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(folder)
    with tempfile.TemporaryDirectory(prefix="isocenter-bench-", dir=place) as made:
        yield Path(made) / "objects"


def _machine(folder: Path | None) -> None:
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.processor(),
    )
    place = folder or Path(tempfile.gettempdir())
    _line(f"{os.cpu_count()} x {model}, Python {platform.python_version()}, data in {place}")


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _print_store(results: Sequence[StoreResult]) -> None:
    ours = results[-1]
    run = ours.run
    _line(f"\nC-STORE, {run.objects} CT objects of 525 kB, {run.associations} association(s) of")
    _line(f"storescu, median of {run.repeats} with the range")
    for result in results:
        spread = f"{min(result.seconds):.2f}-{max(result.seconds):.2f}"
        rate = run.objects / result.median_s
        ratio = ours.median_s / result.median_s
        _line(
            f"  {result.receiver:<16}{result.median_s:6.2f} s  ({spread})  {rate:6.0f} objects/s"
            f"   ours takes {ratio:.2f}x its time"
        )
    for name, peak in ours.peak_resident_mb.items():
        _line(f"  peak resident memory, {name}: {peak:.0f} MB")


def _bench_interface(folder: Path, repeats: int) -> None:
    spent: list[str] = []
    floods: list[InterfaceResult] = []
    with receivers.isocenter(folder) as receiver:
        meter = Meter(receiver.process_id, folder / "home")
        interface.flood(receiver.hl7_port, messages=400, run="W")  # warm caches and connections
        for repeat in range(repeats):
            before = meter.read()
            floods.append(interface.flood(receiver.hl7_port, messages=FLOOD, run=f"F{repeat}"))
            after = meter.read()
            spent += [per_message(before, after, FLOOD), "  " + profile(before, after, FLOOD)]
        sent = _bench_outbound(meter, repeats)
        meter.close()
        steady = {
            rate: interface.steady(
                receiver.hl7_port, messages=30 * rate, run=f"S{rate}", per_second=rate
            )
            for rate in _STEADY_PER_S
        }
    floods.sort(key=lambda result: result.per_second)
    _print_interface(f"\nHL7 v2, ADT and ORM in turn, 8 connections, median of {repeats}", floods)
    for line in spent:
        _line(f"  {line}")
    for rate, result in steady.items():
        _print_interface(f"HL7 v2, the same at {rate} messages/s", [result])
    for line in sent:
        _line(line)


def _bench_outbound(meter: Meter, repeats: int) -> list[str]:
    spent: list[str] = []
    rates: list[float] = []
    with outbound.receiver() as port:
        outbound.queue(meter.database, OUTBOUND, port)
        for repeat in range(repeats):
            if repeat:
                outbound.again(meter.database)
            before = meter.read()
            rates.append(outbound.deliver(meter.database, OUTBOUND).per_second)
            spent.append("  " + per_message(before, meter.read(), OUTBOUND))
    rate = f"{median(rates):.0f} messages/s ({min(rates):.0f} to {max(rates):.0f})"
    return [f"\nHL7 v2, reports going out, 1 destination, 1 connection: {rate}", *spent]


def _print_interface(title: str, results: Sequence[InterfaceResult]) -> None:
    middle = results[len(results) // 2]
    _line(
        f"{title}: {middle.per_second:.0f} messages/s, acknowledged in {middle.median_ms:.1f} ms"
        f" (median), {middle.p99_ms:.1f} ms (p99); answers {middle.codes}"
    )


def _print_archive(run: ArchiveRun, results: Sequence[Rates]) -> None:
    *others, ours = results
    _line(
        f"\nArchive: CT images of 525 kB in two series, {run.studies} more studies; {CLIENTS} HTTP"
    )
    _line(f"clients; findscu, movescu: 1 association. Per second, median of {run.repeats}")
    for what in ours.per_second:
        rate = ours.median_of(what) or 0.0
        line = f"  {what:<28}{ours.archive} {rate:8.1f}"
        for other in others:
            theirs = other.median_of(what)
            line += f"   {other.archive} "
            line += (
                f"{theirs:8.1f}   {rate / theirs:6.1f}x" if theirs else "without DICOMweb plugin"
            )
        _line(line)


def _print_messages(run: MessagesRun, result: MessagesResult) -> int:
    """Print it; 1 when a search is too slow."""
    _line(f"\nLog of {run.messages} HL7 messages, filled in {result.filled_in_s:.0f} s")
    for name, (median_ms, p95_ms) in result.searches.items():
        _line(f"  {name:<28}{median_ms:8.1f} ms (median) {p95_ms:8.1f} ms (p95)")
    slow = [name for name, (_, p95_ms) in result.searches.items() if p95_ms > _MESSAGES_P95_MAX_MS]
    if slow:
        _line(f"  slower than {_MESSAGES_P95_MAX_MS:.0f} ms: {', '.join(slow)}")
    return 1 if slow else 0


def _print_mpi(run: MpiRun, result: MpiResult) -> int:
    """Print it; 1 when a search is too slow, or links the wrong people."""
    _line(f"\nPatient index of {run.records} made-up records, filled in {result.filled_in_s:.0f} s")
    _line(
        f"  {run.searches} searches, 1 client: {result.median_ms:.1f} ms (median),"
        f" {result.p95_ms:.1f} ms (p95), {result.p99_ms:.1f} ms (p99);"
        f" {result.processor_ms:.1f} ms of it the processor's, ours"
    )
    _line(
        f"  linked without a person: {result.linked_right} pairs right, {result.linked_wrong}"
        f" wrong (precision {result.precision:.4f})"
    )
    _line(f"  {'people who are there twice, by error':<40}{'n':>6} linked  asked  below  not found")
    for name, each in {"all": result.fate, **result.by_error}.items():
        shares = [
            n / max(each.total, 1) for n in (each.linked, each.asked, each.below, each.not_found)
        ]
        _line(f"  {name:<40}{each.total:>6}" + "".join(f"{share:7.3f}" for share in shares))
    _line(f"  questions about two people: {result.questions:.0f} for 1000 searches")
    return int(result.p95_ms > _MPI_P95_MAX_MS or result.precision < _MPI_PRECISION_MIN)


def _print_scale(run: ScaleRun, result: ScaleResult) -> int:
    """Print it; 1 when a plan is not as it must be or a class of search is too slow."""
    filled = f", filled in {result.filled_in_s:.0f} s" if result.filled_in_s else ""
    _line(
        f"\nIndex of {run.studies} studies{filled}; p95 of {run.searches} searches of each class,"
    )
    _line("1 client, until the last match is there, or the 25th where there are more")
    failed = False
    for each in result.searches:
        slow = max(each.p95_ms.values()) > _P95_MAX_MS
        failed = failed or slow or each.fault != ""
        _line(str(each) + (f"  over {_P95_MAX_MS:.0f} ms" if slow else ""))
    if result.stored_per_s_full:
        empty, full = median(result.stored_per_s_empty), median(result.stored_per_s_full)
        _line(
            f"  C-STORE: {empty:.0f} objects/s into an empty index, {full:.0f} into this one"
            f" ({full / empty:.2f}x), medians of {run.turns} turns"
        )
        failed = failed or full < _INGEST_MIN * empty
    return int(failed)


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
