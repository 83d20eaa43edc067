"""What ``doctor`` finds: every setting with its origin, every dependency reachable or not."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from isocenter.app.object_stores import open_blobs
from isocenter.app.ports import busy_ports
from isocenter.app.settings import Settings
from isocenter.app.settings_reader import EffectiveSettings, declared_settings
from isocenter.errors import IsocenterError
from isocenter.infra import embedded_postgres, tls
from isocenter.infra.db import migrate

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``state`` is "ok", "warning" or "failed"."""

    what: str
    state: str
    detail: str

    def as_row(self) -> dict[str, Any]:
        """The finding for JSON."""
        return asdict(self)


def settings_rows(effective: EffectiveSettings) -> list[dict[str, Any]]:
    """Name, value, origin and meaning of each setting; secrets are only said to be set."""
    rows: list[dict[str, Any]] = []
    for name, about in declared_settings().items():
        value = cast("object", getattr(effective.settings, name))
        shown = "set" if about.secret and value else "" if value is None else str(value)
        if name == "expectations_s":
            pairs = effective.settings.expectations_s.items()
            shown = ", ".join(f"{hop}={limit_s:g}" for hop, limit_s in pairs)
        place = effective.origins[name].place
        rows.append({"setting": name, "value": shown, "from": place, "meaning": about.meaning})
    return rows


def inspect(settings: Settings) -> list[Finding]:
    """Look at everything that the product needs."""
    looks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("home", _home),
        ("database", _database),
        ("object store", _storage),
        ("listeners", _ports),
        ("certificates", _certificates),
    )
    findings: list[Finding] = []
    for what, look in looks:
        try:
            findings.append(look(settings))
        except (IsocenterError, OSError) as error:
            findings.append(Finding(what, "failed", str(error)))
    return findings


def _home(settings: Settings) -> Finding:
    settings.home.mkdir(parents=True, exist_ok=True)
    probe = settings.home / ".writable"
    probe.touch()
    probe.unlink()
    return Finding("home", "ok", str(settings.home.resolve()))


def _database(settings: Settings) -> Finding:
    if settings.database_url:
        return _schema(settings.database_url, "at its URL")
    server = embedded_postgres.start(settings.home, share=True)
    try:
        state = "embedded, started for this look" if server.owned else "embedded, running"
        return _schema(server.url, state)
    finally:
        server.stop()


def _schema(url: str, where: str) -> Finding:
    missing = migrate.pending(url)
    if missing:
        return Finding(
            "database", "warning", f"{where}; {len(missing)} migrations missing: isocenter migrate"
        )
    return Finding("database", "ok", f"{where}; schema current")


def _storage(settings: Settings) -> Finding:
    blobs = open_blobs(settings)
    details: list[str] = []
    low = False
    for name in blobs.names:
        store = blobs.named(name)
        blob = store.put(b"isocenter doctor")
        returned = store.read(blob.key)
        store.delete(blob.key)
        if returned != b"isocenter doctor":
            detail = f"{name} gives back other bytes than were written"
            return Finding("object store", "failed", detail)
        free = store.free_bytes()
        room = "" if free is None else f", {free / _GIB:.1f} GiB free"
        low |= free is not None and free < settings.storage_free_bytes_min
        details.append(f"{name} writes and reads{room}")
    return Finding("object store", "warning" if low else "ok", "; ".join(details))


def _ports(settings: Settings) -> Finding:
    busy = busy_ports(settings)
    if not busy:
        return Finding("listeners", "ok", "all ports are free")
    shown = ", ".join(f"{name} {port}" for name, port in busy)
    return Finding("listeners", "warning", f"in use (is `isocenter serve` running?): {shown}")


def _certificates(settings: Settings) -> Finding:
    found: list[str] = []
    for protocol in ("http", "dicom", "hl7"):
        certificate = cast("Path | None", getattr(settings, f"{protocol}_tls_certificate"))
        key = cast("Path | None", getattr(settings, f"{protocol}_tls_key"))
        if certificate and key:
            tls.server_context(certificate, key)
            found.append(protocol)
    detail = (
        f"usable for {', '.join(found)}" if found else "none set: connections are not encrypted"
    )
    loopback = settings.bind in {"127.0.0.1", "::1", "localhost"}
    return Finding("certificates", "ok" if found or loopback else "warning", detail)
