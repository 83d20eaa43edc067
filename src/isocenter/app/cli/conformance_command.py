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
from isocenter.app.conformance.verdicts import Called, Installation, Profile, Result, Verdict
from isocenter.infra.clock import utc_now

_STANDARD_INPUT: Final = "-"
_SHOWN: Final = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_POSSIBLE: "yellow"}


@session.command
def conformance(  # noqa: PLR0913 options of a command, given by name
    profile: Annotated[Profile, typer.Argument(help="swf: Scheduled Workflow; pir: its mishaps.")],
    *,
    token: Annotated[
        str, typer.Option(help="Bearer token of one who reads, reconciles, signs; -: read it.")
    ],
    host: Annotated[str | None, typer.Option(help="Where it runs.")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="Its DICOM port.")] = None,
    hl7_port: Annotated[int | None, typer.Option(help="Its HL7 port.")] = None,
    url: Annotated[str | None, typer.Option(help="Of its API.")] = None,
    called: Annotated[str | None, typer.Option("--called-ae-title", help="Its AE title.")] = None,
    name: Annotated[
        str, typer.Option("--as", help="AE title and HL7 application of the bench.")
    ] = "CONFORMANCE",
    results_port: Annotated[int, typer.Option(help="Where the bench takes results.")] = 2599,
    results_host: Annotated[str, typer.Option(help="Address of that.")] = "127.0.0.1",
    case: Annotated[str, typer.Option(help="Only cases whose name begins so.")] = "",
    timeout_s: Annotated[float, typer.Option(min=0.1, help="For each effect.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Play the cases of a profile against a running installation, and say how each ended.

    It registers synthetic patients and orders: never use it beside real ones. The bench must be a
    peer there: isocenter peer add dicom CONFORMANCE --ae-title CONFORMANCE --host HERE --port 104
    --allow store,find,worklist,mpps; isocenter peer add hl7 CONFORMANCE --application CONFORMANCE
    --host HERE --port 2599 --send oru --receive adt,orm,siu. Exit code 1 when a case fails, 3 when
    none does and some are not possible.

    Example: isocenter conformance pir --token - --url http://ris.test:8080 --host ris.test
    """
    chosen = session.settings()
    at = url or chosen.base_url
    place = host or urlsplit(at).hostname or "127.0.0.1"
    titles = called or chosen.ae_title
    installation = Installation(
        called=Called(place, dicom_port or chosen.dicom_port, titles, name),
        hl7_port=hl7_port or chosen.hl7_port,
        url=at,
        token=sys.stdin.readline().strip() if token == _STANDARD_INPUT else token,
        application=name,
        receiver=titles,
        results=(results_host, results_port),
        timeout_s=timeout_s,
    )
    # Loaded when it is asked for: it needs what makes and reads images.
    playing: Any = importlib.import_module("isocenter.app.conformance.playing")
    results: Iterator[Result] = playing.results(profile, installation, utc_now, begins=case)
    raise typer.Exit(_code(_told(results, as_json=as_json)))


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
