"""Limits of the DIMSE gateway: every resource that a peer can use up has one, with a default."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one ``dimse`` process grants its peers.

    Attributes:
        associations_max: associations at a time; one more is refused as local limit exceeded.
        associations_per_address_max: the same for one remote address.
        connections_max: TCP connections at a time, with or without association; one more is closed.
        pdu_length_bytes: the longest P-DATA-TF that is announced to peers.
        receive_buffer_bytes_max: per association; also the longest PDU that is accepted at all.
        operations_max: operations that a peer may have outstanding on one association.
        dataset_bytes_max: the largest object.
        identifier_bytes_max: the largest C-FIND identifier.
        operation_bytes_max: the largest data set of an N- request.
        header_bytes: how much of an object is kept in memory to read its header without its file.
        header_reread_bytes_max: how much is read back when the header is longer than that.
        batch_instances_max: instances that share one commit.
        at_once_s_max: while objects take no longer to be made durable, by what the last ones took,
            they are not handed to another thread for it; 0: always.
        at_once_bytes_max: larger ones always are.
        durability_threads: batches of bytes that are made durable beside each other.
        gather_s: how long instances are collected for that commit, once their senders are answered.
        unsettled_instances_max: instances that may be answered and not visible; more wait.
        settle_timeout_s: how long a release and other operations of an association wait for what it
            stored to be visible.
        free_bytes_min: storage below which objects are refused as out of resources.
        artim_timeout_s: for the association request, and for the peer to close.
        idle_timeout_s: without any message under way.
        stall_timeout_s: without a byte in the middle of a message.
        query_threads: queries at a time; more wait.
        operation_threads: N- operations at a time; more wait.
        retrieve_threads: objects that are read ahead at a time, by all retrievals.
        retrievals_max: retrievals at a time; more wait.
        retrieve_associations_max: associations to the destination of one C-MOVE.
        retrieve_pauses_s: before each further attempt to reach the destination of a C-MOVE.
        retrieve_ahead_bytes: objects up to this size are read before their turn; larger ones come
            from the store while they are sent.
        response_bytes: pending C-FIND responses are written in lots of about this size.
    """

    associations_max: int = 100
    associations_per_address_max: int = 50
    connections_max: int = 400
    pdu_length_bytes: int = 131072
    receive_buffer_bytes_max: int = 1 << 20
    operations_max: int = 16
    dataset_bytes_max: int = 64 << 30
    identifier_bytes_max: int = 1 << 20
    operation_bytes_max: int = 8 << 20
    header_bytes: int = 1 << 16
    header_reread_bytes_max: int = 16 << 20
    batch_instances_max: int = 64
    at_once_s_max: float = 0.002
    at_once_bytes_max: int = 4 << 20
    durability_threads: int = 2
    gather_s: float = 0.03
    unsettled_instances_max: int = 256
    settle_timeout_s: float = 5.0
    free_bytes_min: int = 1 << 30
    artim_timeout_s: float = 30.0
    idle_timeout_s: float = 600.0
    stall_timeout_s: float = 60.0
    query_threads: int = 4
    operation_threads: int = 2
    retrieve_threads: int = 4
    retrievals_max: int = 16
    retrieve_associations_max: int = 2
    retrieve_pauses_s: tuple[float, ...] = (0.2, 1.0, 5.0)
    retrieve_ahead_bytes: int = 8 << 20
    response_bytes: int = 1 << 16
