"""``isocenter serve``: database, schema and administrator, then every role under one supervisor.

The embedded database belongs to this process; it starts before the roles and ends after them.
"""

import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from isocenter.app.cli import session
from isocenter.app.ports import PortTaken, busy_ports
from isocenter.app.roles import configure_log
from isocenter.app.settings import Settings
from isocenter.app.settings_reader import child_environment
from isocenter.domain.access import service as access
from isocenter.infra import embedded_postgres
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from isocenter.infra.db import migrate as migrations
from isocenter.infra.supervise import ChildSpec, Supervisor, stop_on_signals

_READY_TIMEOUT_S = 120.0
_GRACE_MARGIN_S = 5.0  # more than a role takes, so that it ends by itself


@dataclass(frozen=True, slots=True)
class Prepared:
    """An installation that is ready for its roles.

    Attributes:
        settings: with the database's URL filled in.
        administrator_password: given once, when this start made the administrator.
    """

    settings: Settings
    administrator_password: str | None


def serve(settings: Settings) -> int:
    """Run until stopped; gives the exit code."""
    configure_log(settings)
    with prepared(settings) as ready:
        if ready.administrator_password:
            tell_password(ready.administrator_password)
        return supervised(
            children(ready.settings),
            ready.settings,
            tell=lambda: tell_addresses(ready.settings),
        )


@contextmanager
def prepared(settings: Settings) -> Generator[Prepared]:
    """An installation with its home, free ports, a running and migrated database, an administrator.

    Raises:
        HomeNotWritable: the home cannot be made.
        PortTaken: somebody listens on a port already.
        HomeInUse: another supervisor runs this home.
    """
    session.prepare_home(settings)
    busy = busy_ports(settings)
    if busy:
        shown = ", ".join(f"{port} ({name})" for name, port in busy)
        raise PortTaken(f"already in use on {settings.bind}: {shown}; set other ports or stop it")
    server = None
    url = settings.database_url
    if url is None:
        server = embedded_postgres.start(settings.home)
        url = server.url
    try:
        migrations.migrate(url)
        yield Prepared(replace(settings, database_url=url), _ensure_administrator(url))
    finally:
        if server is not None:
            server.stop()


def children(settings: Settings) -> Sequence[ChildSpec]:
    """The processes of every role."""
    environment = child_environment(settings)
    counts = {
        "web": settings.web_processes,
        "dimse": settings.dimse_processes,
        "hl7": settings.hl7_processes,
        "worker": settings.worker_processes,
    }
    return [
        ChildSpec(
            name=role if count == 1 else f"{role}-{number}",
            argv=(sys.executable, "-m", "isocenter", "run", role),
            env=environment,
        )
        for role, count in counts.items()
        for number in range(1, count + 1)
    ]


def supervised(specs: Sequence[ChildSpec], settings: Settings, *, tell: Callable[[], None]) -> int:
    """Run the children until told to stop; ``tell`` is called once all of them are ready."""
    stop = stop_on_signals()
    supervisor = Supervisor(
        specs,
        grace_s=settings.drain_timeout_s + _GRACE_MARGIN_S,
        backoff_max_s=settings.restart_wait_max_s,
    )

    def announce() -> None:
        if supervisor.wait_ready(_READY_TIMEOUT_S) and not stop.is_set():
            tell()

    threading.Thread(target=announce, name="announce", daemon=True).start()
    return supervisor.run(stop)


def tell_password(password: str) -> None:
    """Show the administrator's password; it is written nowhere else."""
    session.out.print(f"\nAdministrator: user [bold]admin[/bold], password [bold]{password}[/bold]")
    session.out.print("This is shown once. Change it after signing in.\n")


def tell_addresses(settings: Settings) -> None:
    """Say where everything is."""
    session.out.print(f"Isocenter is ready: [bold]{settings.base_url}/[/bold]", markup=True)
    session.out.print(
        f"  DICOM {settings.ae_title} at {settings.bind}:{settings.dicom_port}"
        f"   HL7 at {settings.bind}:{settings.hl7_port}   API {settings.base_url}/api/docs"
    )


def _ensure_administrator(url: str) -> str | None:
    db = Database(
        url, router=session.Routes(), connections_max=2, application_name="isocenter-serve"
    )
    try:
        with db.transaction() as tx:
            return access.ensure_administrator(tx, now=utc_now())
    finally:
        db.close()
