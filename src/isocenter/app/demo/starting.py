"""``isocenter demo``: the whole product with the demonstration hospital beside it.

The hospital is set up through the same services as the command line uses, then talks to the product
by sockets alone, from a process of its own.
"""

import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import typer

from isocenter.app import serving
from isocenter.app.cli import session
from isocenter.app.demo import state
from isocenter.app.demo.hospital import Hospital, Surroundings
from isocenter.app.demo.modality import Called
from isocenter.app.demo.narrator import Narrator
from isocenter.app.roles import configure_log
from isocenter.app.runtime import say_ready
from isocenter.app.settings import Settings
from isocenter.app.settings_reader import child_environment
from isocenter.app.subscriptions import router
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Action, Actor, Role, UserExists
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, Hl7Peer, PeerUnknown
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database, Tx
from isocenter.infra.supervise import ChildSpec, stop_on_signals

_ACTOR = Actor.system("demo")
_QUIET_S = 5.0
_EHR_PORT = 2576
_TOKEN_TTL_S = 10 * 365 * 86_400
_STATIONS = ("DEMO_CT", "DEMO_MR", "DEMO_DX", "DEMO_US")
_READER = "demo-radiologist"


class NotADemoHome(IsocenterError):
    """The home was not made by the demonstration, so it is not touched."""

    kind: ClassVar[Kind] = Kind.CONFLICT


def demo(settings: Settings, *, images: Path | None, fresh: bool, port_offset: int) -> int:
    """Run product and hospital until stopped; gives the exit code."""
    chosen = _adapted(settings, port_offset)
    ehr_port = _EHR_PORT + port_offset
    if fresh:
        _begin_anew(chosen.home)
    elif (
        chosen.home.exists() and any(chosen.home.iterdir()) and not state.is_demo_home(chosen.home)
    ):
        raise NotADemoHome(
            f"{chosen.home} holds an installation that is no demonstration: set ISOCENTER_HOME"
        )
    (chosen.home / "logs").mkdir(parents=True, exist_ok=True)
    kept = state.load(chosen.home)
    state.save(chosen.home, kept)
    configure_log(chosen)
    with serving.prepared(chosen) as ready:
        _set_up(ready, kept, ehr_port)
        hospital = ChildSpec(
            name="hospital",
            argv=_hospital_command(ehr_port, images),
            env=child_environment(ready.settings),
        )
        session.out.print("Starting Isocenter with a demonstration hospital…")
        return serving.supervised(
            [*serving.children(ready.settings), hospital],
            chosen,
            tell=lambda: _welcome(ready.settings, kept),
        )


def play(settings: Settings, *, ehr_port: int, images: Path | None) -> int:
    """Play the hospital against a product that runs; gives the exit code."""
    host = "127.0.0.1"
    hospital = Hospital(
        Surroundings(
            called=Called(host, settings.dicom_port, settings.ae_title),
            hl7=(host, settings.hl7_port),
            base_url=settings.base_url,
            ehr=(host, ehr_port),
            home=settings.home,
            images=images,
        ),
        clock=utc_now,
        narrator=Narrator(),
    )
    stop = stop_on_signals()
    say_ready(stop.set)
    hospital.run(stop)
    return 0


def _adapted(settings: Settings, port_offset: int) -> Settings:
    """The settings for a demonstration.

    Ports are moved, studies complete sooner unless set otherwise, and the log goes to a file, so
    that the terminal tells the story alone.
    """
    quiet = settings.study_quiet_s
    return replace(
        settings,
        http_port=settings.http_port + port_offset,
        dicom_port=settings.dicom_port + port_offset,
        hl7_port=settings.hl7_port + port_offset,
        study_quiet_s=_QUIET_S if quiet == Settings().study_quiet_s else quiet,
        log_file=settings.log_file or settings.home / "logs" / "isocenter.log",
    )


def _begin_anew(home: Path) -> None:
    """Remove a demonstration's home; refuses any other, asks when somebody is there to answer."""
    if not home.exists() or not any(home.iterdir()):
        return
    if not state.is_demo_home(home):
        raise NotADemoHome(f"{home} was not made by the demonstration; it is left alone")
    if sys.stdin.isatty():
        typer.confirm(f"Delete the demonstration in {home}?", abort=True, err=True)
    shutil.rmtree(home)


def _set_up(ready: serving.Prepared, kept: state.DemoState, ehr_port: int) -> None:
    """Users and peers of the hospital, where they are missing."""
    url = ready.settings.database_url
    if url is None:
        raise ValueError("prepared settings name a database")
    db = Database(url, router=router(), connections_max=2, application_name="isocenter-demo")
    try:
        with db.transaction() as tx:
            _users(tx, ready, kept)
            _peers(tx, ready.settings, ehr_port)
    finally:
        db.close()
    state.save(ready.settings.home, kept)


def _users(tx: Tx, ready: serving.Prepared, kept: state.DemoState) -> None:
    now = utc_now()
    if ready.administrator_password:
        kept.administrator_password = ready.administrator_password
    if kept.radiologist_token:
        return
    try:
        access.add_user(
            tx,
            _ACTOR,
            (_READER, "Demo Radiologist"),
            roles=[Role.RADIOLOGIST],
            password=secrets.token_urlsafe(24),
            now=now,
        )
    except UserExists:
        session.err.print(f"user {_READER} exists already")
    scope = (Action.EXAM_READ, Action.REPORT_READ, Action.REPORT_WRITE, Action.REPORT_SIGN)
    kept.radiologist_token = access.create_token(
        tx, _ACTOR, _READER, scope=scope, ttl_s=_TOKEN_TTL_S, now=now
    )


def _peers(tx: Tx, settings: Settings, ehr_port: int) -> None:
    now = utc_now()
    known = {each.name for each in peers.list_dicom_peers(tx, _ACTOR)}
    for number, title in enumerate(_STATIONS):
        if title not in known:
            allowed = frozenset({"store", "find", "worklist", "mpps"})
            described = DicomPeer(title, title, "127.0.0.1", 11_200 + number, allowed)
            peers.add_dicom_peer(tx, _ACTOR, described, now=now)
    del settings
    try:
        before = peers.hl7_peer(tx, "DEMO_EHR")
    except PeerUnknown:
        before = None
    if before is not None and before.port == ehr_port:
        return
    if before is not None:
        peers.remove_peer(tx, _ACTOR, "hl7", "DEMO_EHR", now=now)
    described_ehr = Hl7Peer(
        "DEMO_EHR",
        "127.0.0.1",
        ehr_port,
        send=frozenset({"oru"}),
        receive=frozenset({"adt", "orm"}),
        application="DEMO_EHR",
        assigning_authority="DEMO",
        ack_timeout_s=10.0,
    )
    peers.add_hl7_peer(tx, _ACTOR, described_ehr, now=now)


def _hospital_command(ehr_port: int, images: Path | None) -> Sequence[str]:
    command = [sys.executable, "-m", "isocenter", "run-demo-hospital", "--ehr-port", str(ehr_port)]
    return [*command, "--images", str(images.resolve())] if images else command


def _welcome(settings: Settings, kept: state.DemoState) -> None:
    session.out.print()
    session.out.print(f"Look at   [bold]{settings.base_url}/[/bold]", markup=True)
    session.out.print(
        f"Sign in   user [bold]admin[/bold], password [bold]{kept.administrator_password}[/bold]",
        markup=True,
    )
    serving.tell_addresses(settings)
    session.out.print(f"  Log in {settings.log_file}   End with Ctrl-C\n")
