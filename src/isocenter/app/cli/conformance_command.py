"""``isocenter conformance``: the cases of a profile, played against a running installation."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from isocenter.app.cli import exit_codes, session
from isocenter.app.conformance.verdicts import Called, Installation, Result, Verdict
from isocenter.infra.clock import utc_now

_STANDARD_INPUT: Final = "-"
_SHOWN: Final = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_POSSIBLE: "yellow"}


@session.command
def conformance(  # noqa: PLR0913 options of a command, given by name
    what: Annotated[str, typer.Argument(help="swf, pir, or how the names of cases begin: RAD-13.")],
    *,
    token: Annotated[
        str, typer.Option(help="Bearer token of one who reads, reconciles, signs; -: read it.")
    ],
    url: Annotated[str | None, typer.Option(help="Of its API.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Of its DICOM and HL7 ports, and its AE title: AE@HOST.")
    ] = None,
    dicom_port: Annotated[int | None, typer.Option(help="Its DICOM port.")] = None,
    hl7_port: Annotated[int | None, typer.Option(help="Its HL7 port.")] = None,
    bench: Annotated[
        str, typer.Option("--as", help="What the bench is called, and where it takes results.")
    ] = "CONFORMANCE@127.0.0.1:2599",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Play the cases of a profile against a running installation, and say how each ended.

    swf: Scheduled Workflow; pir: its mishaps. It registers synthetic patients and orders: never use
    it beside real ones. The bench must be a peer there: isocenter peer add dicom CONFORMANCE_CT
    --ae-title CONFORMANCE --host HERE --port 104 --allow store,find,worklist,mpps; isocenter peer
    add hl7 CONFORMANCE --application CONFORMANCE --host HERE --port 2599 --send oru --receive
    adt,orm,siu. Exit code 1 when a case fails, 3 when none does and some are not possible.

    Example: isocenter conformance pir --token - --url http://ris.test:8080 --host ris.test
    """
    chosen = session.settings()
    at = url or chosen.base_url
    title, _, place = (host or "").rpartition("@")
    title = title or chosen.ae_title
    name, results = _bench(bench)
    installation = Installation(
        called=Called(
            place or urlsplit(at).hostname or "127.0.0.1",
            dicom_port or chosen.dicom_port,
            title,
            name,
        ),
        hl7_port=hl7_port or chosen.hl7_port,
        url=at,
        token=sys.stdin.readline().strip() if token == _STANDARD_INPUT else token,
        application=name,
        receiver=title,
        results=results,
    )
    # Loaded when it is asked for: it needs what makes and reads images.
    playing: Any = importlib.import_module("isocenter.app.conformance.playing")
    found: Iterator[Result] = playing.results(what, installation, utc_now)
    raise typer.Exit(_code(_told(found, as_json=as_json)))


def _bench(written: str) -> tuple[str, tuple[str, int]]:
    """Name, host and port of ``NAME@HOST:PORT``."""
    name, _, address = written.partition("@")
    host, _, port = (address or "127.0.0.1:2599").rpartition(":")
    if not name or not host or not port.isdecimal():
        raise typer.BadParameter("write --as NAME@HOST:PORT")
    return name, (host, int(port))


def _told(results: Iterator[Result], *, as_json: bool) -> list[Result]:
    """The results, each printed when it is there."""
    seen: list[Result] = []
    for each in results:
        seen.append(each)
        if not as_json:
            line = f"{each.verdict:<12}  {each.took_s:5.2f} s  {each.case}: {each.title}"
            session.out.print(line, style=_SHOWN[each.verdict], markup=False)
            if each.reason:
                session.out.print(f"              {each.reason}", markup=False)
    if not seen:
        raise typer.BadParameter("no case begins so")
    counted: dict[str, Any] = {
        verdict: sum(each.verdict is verdict for each in seen) for verdict in Verdict
    }
    if as_json:
        rows = [asdict(each) for each in seen]
        sys.stdout.write(json.dumps({"cases": rows, "counts": counted}) + "\n")
    else:
        session.out.print(", ".join(f"{count} {verdict}" for verdict, count in counted.items()))
    return seen


def _code(seen: list[Result]) -> int:
    verdicts = {each.verdict for each in seen}
    if Verdict.FAILED in verdicts:
        return exit_codes.FAILED
    return exit_codes.NOT_REACHABLE if Verdict.NOT_POSSIBLE in verdicts else exit_codes.OK
