"""The SQL of schema ``peers``. One function is one statement."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from isocenter.domain.peers.model import (
    DicomPeer,
    Hl7Peer,
    PendingCaller,
)
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class DicomPeerRow:
    """One DICOM peer."""

    name: str
    ae_title: str
    host: str
    port: int
    allow: list[str]
    tls: bool
    enabled: bool
    identity_required: bool
    steps_forwarded: bool
    steps_notified: bool
    quirks: list[str]

    def peer(self) -> DicomPeer:
        """The row as the model's peer."""
        return DicomPeer(
            name=self.name,
            ae_title=self.ae_title,
            host=self.host,
            port=self.port,
            allow=frozenset(self.allow),
            tls=self.tls,
            enabled=self.enabled,
            identity_required=self.identity_required,
            steps_forwarded=self.steps_forwarded,
            steps_notified=self.steps_notified,
            quirks=frozenset(self.quirks),
        )


@dataclass(frozen=True, slots=True)
class Hl7PeerRow:
    """One HL7 peer."""

    name: str
    host: str
    port: int | None
    send: list[str]
    receive: list[str]
    application: str | None
    facility: str | None
    assigning_authority: str
    version: str
    character_set: str
    ack_timeout_s: float
    result_statuses: list[str]
    tls: bool
    enabled: bool
    order_responses: bool
    sequence_numbers: bool
    sequence_numbers_sent: bool
    ordering: str
    rate_per_s_max: float
    gap_s: float
    order_message: str
    patient_update: str
    report_forms: list[str]
    field_map: str
    received_map: str
    trusted_authorities: list[str]

    def peer(self) -> Hl7Peer:
        """The row as the model's peer."""
        return Hl7Peer(
            name=self.name,
            host=self.host,
            port=self.port,
            send=frozenset(self.send),
            receive=frozenset(self.receive),
            application=self.application,
            facility=self.facility,
            assigning_authority=self.assigning_authority,
            version=self.version,
            character_set=self.character_set,
            ack_timeout_s=self.ack_timeout_s,
            result_statuses=frozenset(self.result_statuses),
            tls=self.tls,
            enabled=self.enabled,
            order_responses=self.order_responses,
            sequence_numbers=self.sequence_numbers,
            sequence_numbers_sent=self.sequence_numbers_sent,
            ordering=self.ordering,
            rate_per_s_max=self.rate_per_s_max,
            gap_s=self.gap_s,
            order_message=self.order_message,
            patient_update=self.patient_update,
            report_forms=frozenset(self.report_forms),
            field_map=self.field_map,
            received_map=self.received_map,
            trusted_authorities=frozenset(self.trusted_authorities),
        )


def insert_dicom_peer(tx: Tx, peer: DicomPeer, now: datetime) -> int:
    """Add a peer; 0 when its name or AE title is taken."""
    return tx.run(
        """
        insert into peers.dicom_peer
               (name, ae_title, host, port, allow, tls, enabled, identity_required,
                steps_forwarded, steps_notified, quirks, added_at)
        values (%(name)s, %(ae_title)s, %(host)s, %(port)s, %(allow)s::text[], %(tls)s,
                %(enabled)s, %(identity_required)s, %(steps_forwarded)s,
                %(steps_notified)s, %(quirks)s::text[], %(now)s)
            on conflict do nothing
        """,
        {
            **asdict(peer),
            "allow": sorted(peer.allow),
            "quirks": sorted(peer.quirks),
            "now": now,
        },
    )


def insert_hl7_peer(tx: Tx, peer: Hl7Peer, now: datetime) -> int:
    """Add a peer; 0 when its name is taken."""
    return tx.run(
        """
        insert into peers.hl7_peer
               (name, host, port, send, receive, application, facility, assigning_authority,
                version, character_set, ack_timeout_s, result_statuses, tls, enabled,
                order_responses, sequence_numbers, sequence_numbers_sent, ordering,
                rate_per_s_max, gap_s,
                order_message, patient_update, report_forms, field_map, received_map,
                trusted_authorities,
                added_at)
        values (%(name)s, %(host)s, %(port)s, %(send)s::text[], %(receive)s::text[],
                %(application)s, %(facility)s, %(assigning_authority)s, %(version)s,
                %(character_set)s, %(ack_timeout_s)s, %(result_statuses)s::text[], %(tls)s,
                %(enabled)s, %(order_responses)s, %(sequence_numbers)s,
                %(sequence_numbers_sent)s, %(ordering)s,
                %(rate_per_s_max)s, %(gap_s)s, %(order_message)s, %(patient_update)s,
                %(report_forms)s::text[], %(field_map)s, %(received_map)s,
                %(trusted_authorities)s::text[],
                %(now)s)
            on conflict do nothing
        """,
        {
            **asdict(peer),
            "send": sorted(peer.send),
            "receive": sorted(peer.receive),
            "result_statuses": sorted(peer.result_statuses),
            "report_forms": sorted(peer.report_forms),
            "trusted_authorities": sorted(peer.trusted_authorities),
            "now": now,
        },
    )


def replace_hl7_peer(tx: Tx, peer: Hl7Peer, now: datetime) -> None:
    """Have the peer of this name be as described."""
    delete_hl7_peer(tx, peer.name)
    insert_hl7_peer(tx, peer, now)


def dicom_peers(tx: Tx) -> list[DicomPeer]:
    """All DICOM peers by name."""
    rows = tx.all(
        DicomPeerRow,
        """
        select name, ae_title, host, port, allow, tls, enabled, identity_required, steps_forwarded,
               steps_notified, quirks
          from peers.dicom_peer order by name
        """,
    )
    return [row.peer() for row in rows]


def dicom_peer_by_title(tx: Tx, ae_title: str) -> DicomPeer | None:
    """The DICOM peer with an AE title."""
    row = tx.maybe(
        DicomPeerRow,
        """
        select name, ae_title, host, port, allow, tls, enabled, identity_required, steps_forwarded,
               steps_notified, quirks
          from peers.dicom_peer where ae_title = %s
        """,
        (ae_title,),
    )
    return row.peer() if row else None


def hl7_peers(tx: Tx) -> list[Hl7Peer]:
    """All HL7 peers by name."""
    rows = tx.all(
        Hl7PeerRow,
        """
        select name, host, port, send, receive, application, facility, assigning_authority,
               version, character_set, ack_timeout_s, result_statuses, tls, enabled,
               order_responses, sequence_numbers, sequence_numbers_sent, ordering,
               rate_per_s_max, gap_s, order_message, patient_update, report_forms, field_map,
               received_map, trusted_authorities
          from peers.hl7_peer order by name
        """,
    )
    return [row.peer() for row in rows]


def set_dicom_quirks(tx: Tx, name: str, quirks: Iterable[str]) -> int:
    """Have a peer known by these quirks alone; 0 when there is none."""
    return tx.run(
        "update peers.dicom_peer set quirks = %s::text[] where name = %s", (sorted(quirks), name)
    )


def delete_dicom_peer(tx: Tx, name: str) -> int:
    """Remove a peer; 0 when there is none."""
    return tx.run("delete from peers.dicom_peer where name = %s", (name,))


def delete_hl7_peer(tx: Tx, name: str) -> int:
    """Remove a peer; 0 when there is none."""
    return tx.run("delete from peers.hl7_peer where name = %s", (name,))


def note_caller(
    tx: Tx, protocol: str, caller: tuple[str, str], now: datetime, *, rows_max: int
) -> None:
    """Remember who called (name, address); beyond ``rows_max`` the longest silent one goes."""
    tx.run(
        """
        with crowded as (
            delete from peers.pending_caller
             where pending_key in (select pending_key from peers.pending_caller
                                    order by last_seen_at desc
                                   offset greatest(%(rows_max)s - 1, 0))
               and (protocol, caller, address) <> (%(protocol)s, %(caller)s, %(address)s)
        )
        insert into peers.pending_caller (protocol, caller, address, first_seen_at, last_seen_at)
        values (%(protocol)s, %(caller)s, %(address)s, %(now)s, %(now)s)
            on conflict (protocol, caller, address) do update
           set last_seen_at = excluded.last_seen_at, attempts = pending_caller.attempts + 1
        """,
        {
            "protocol": protocol,
            "caller": caller[0],
            "address": caller[1],
            "now": now,
            "rows_max": rows_max,
        },
    )


def pending_callers(tx: Tx) -> list[PendingCaller]:
    """Who called without being known and was not dismissed, latest first."""
    return tx.all(
        PendingCaller,
        """
        select pending_key, protocol, caller, address, first_seen_at, last_seen_at, attempts
          from peers.pending_caller where dismissed_at is null
         order by last_seen_at desc, pending_key
        """,
    )


def take_pending(tx: Tx, pending_key: int, protocol: str) -> PendingCaller | None:
    """Remove a pending caller and give it."""
    return tx.maybe(
        PendingCaller,
        """
        delete from peers.pending_caller where pending_key = %s and protocol = %s
        returning pending_key, protocol, caller, address, first_seen_at, last_seen_at, attempts
        """,
        (pending_key, protocol),
    )


def dismiss_pending(tx: Tx, pending_key: int, now: datetime) -> int:
    """No longer show a caller; 0 when there is none."""
    return tx.run(
        """
        update peers.pending_caller set dismissed_at = %s
         where pending_key = %s and dismissed_at is null
        """,
        (now, pending_key),
    )
