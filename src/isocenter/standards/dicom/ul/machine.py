"""The state machine of the upper layer as data: 13 states, 19 events, 28 actions.

A cell that is absent cannot happen when both sides of the machine do their part; meeting one is a
defect of the caller. Bytes, PDU contents and time are no concern here: an action only says what
to do.

Standard: PS3.8 9.2, Tables 9-1 to 9-10
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final

from isocenter.standards import LocalProtocolError


class State(IntEnum):
    """Where an association is.

    Standard: PS3.8 Tables 9-1 to 9-5
    """

    IDLE = 1
    AWAITING_ASSOCIATE_RQ = 2
    AWAITING_ASSOCIATE_RESPONSE = 3  # our own user's decision
    AWAITING_TRANSPORT = 4
    AWAITING_ASSOCIATE_AC_OR_RJ = 5
    ESTABLISHED = 6
    AWAITING_RELEASE_RP = 7
    AWAITING_RELEASE_RESPONSE = 8  # our own user's
    COLLISION_REQUESTOR_AWAITING_RESPONSE = 9
    COLLISION_ACCEPTOR_AWAITING_RELEASE_RP = 10
    COLLISION_REQUESTOR_AWAITING_RELEASE_RP = 11
    COLLISION_ACCEPTOR_AWAITING_RESPONSE = 12
    AWAITING_CLOSE = 13


class Event(IntEnum):
    """What can happen to it: our user's requests, PDUs, the transport, the timer.

    Standard: PS3.8 Table 9-10
    """

    ASSOCIATE_REQUEST = 1
    TRANSPORT_CONFIRMED = 2
    ASSOCIATE_AC_RECEIVED = 3
    ASSOCIATE_RJ_RECEIVED = 4
    TRANSPORT_INDICATED = 5
    ASSOCIATE_RQ_RECEIVED = 6
    ASSOCIATE_RESPONSE_ACCEPT = 7
    ASSOCIATE_RESPONSE_REJECT = 8
    P_DATA_REQUEST = 9
    P_DATA_RECEIVED = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ_RECEIVED = 12
    RELEASE_RP_RECEIVED = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT_RECEIVED = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU_RECEIVED = 19


class Action(Enum):
    """What to do about it, by the standard's names.

    Standard: PS3.8 Tables 9-6 to 9-9
    """

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


class Send(Enum):
    """The PDU that an action sends."""

    NOTHING = 0
    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT_BY_USER = 7
    ABORT_BY_PROVIDER = 8


class Artim(Enum):
    """What an action does to the ARTIM timer. Starting a running timer restarts it."""

    KEEP = 0
    START = 1
    STOP = 2


class Indicate(Enum):
    """What an action tells its user."""

    NOTHING = 0
    ASSOCIATE = 1
    ASSOCIATE_CONFIRMED = 2
    ASSOCIATE_REFUSED = 3
    P_DATA = 4
    RELEASE = 5
    RELEASE_COLLISION = 6
    RELEASE_CONFIRMED = 7
    ABORT = 8  # A-ABORT or A-P-ABORT, by the source in the PDU
    PROVIDER_ABORT = 9


class Transport(Enum):
    """What an action does to the transport connection."""

    KEEP = 0
    OPEN = 1
    CLOSE = 2


@dataclass(frozen=True, slots=True)
class Effect:
    """One action spelt out.

    ``next_state`` is the requestor's where requestor and acceptor differ;
    ``next_state_of_acceptor`` is then set too.
    """

    next_state: State
    send: Send = Send.NOTHING
    indicate: Indicate = Indicate.NOTHING
    artim: Artim = Artim.KEEP
    transport: Transport = Transport.KEEP
    next_state_of_acceptor: State | None = None


_S = State
# AE-6 leads to Sta13 instead when the provider itself refuses: the caller then steps on with a
# rejection, which sends the same A-ASSOCIATE-RJ and starts ARTIM just the same (AE-8).
EFFECTS: Final[Mapping[Action, Effect]] = MappingProxyType({
    Action.AE_1: Effect(_S.AWAITING_TRANSPORT, transport=Transport.OPEN),
    Action.AE_2: Effect(_S.AWAITING_ASSOCIATE_AC_OR_RJ, Send.ASSOCIATE_RQ),
    Action.AE_3: Effect(_S.ESTABLISHED, indicate=Indicate.ASSOCIATE_CONFIRMED),
    Action.AE_4: Effect(_S.IDLE, indicate=Indicate.ASSOCIATE_REFUSED, transport=Transport.CLOSE),
    Action.AE_5: Effect(_S.AWAITING_ASSOCIATE_RQ, artim=Artim.START),
    Action.AE_6: Effect(
        _S.AWAITING_ASSOCIATE_RESPONSE, indicate=Indicate.ASSOCIATE, artim=Artim.STOP
    ),
    Action.AE_7: Effect(_S.ESTABLISHED, Send.ASSOCIATE_AC),
    Action.AE_8: Effect(_S.AWAITING_CLOSE, Send.ASSOCIATE_RJ, artim=Artim.START),
    Action.DT_1: Effect(_S.ESTABLISHED, Send.P_DATA_TF),
    Action.DT_2: Effect(_S.ESTABLISHED, indicate=Indicate.P_DATA),
    Action.AR_1: Effect(_S.AWAITING_RELEASE_RP, Send.RELEASE_RQ),
    Action.AR_2: Effect(_S.AWAITING_RELEASE_RESPONSE, indicate=Indicate.RELEASE),
    Action.AR_3: Effect(_S.IDLE, indicate=Indicate.RELEASE_CONFIRMED, transport=Transport.CLOSE),
    Action.AR_4: Effect(_S.AWAITING_CLOSE, Send.RELEASE_RP, artim=Artim.START),
    Action.AR_5: Effect(_S.IDLE, artim=Artim.STOP),
    Action.AR_6: Effect(_S.AWAITING_RELEASE_RP, indicate=Indicate.P_DATA),
    Action.AR_7: Effect(_S.AWAITING_RELEASE_RESPONSE, Send.P_DATA_TF),
    Action.AR_8: Effect(
        _S.COLLISION_REQUESTOR_AWAITING_RESPONSE,
        indicate=Indicate.RELEASE_COLLISION,
        next_state_of_acceptor=_S.COLLISION_ACCEPTOR_AWAITING_RELEASE_RP,
    ),
    Action.AR_9: Effect(_S.COLLISION_REQUESTOR_AWAITING_RELEASE_RP, Send.RELEASE_RP),
    Action.AR_10: Effect(
        _S.COLLISION_ACCEPTOR_AWAITING_RESPONSE, indicate=Indicate.RELEASE_CONFIRMED
    ),
    Action.AA_1: Effect(_S.AWAITING_CLOSE, Send.ABORT_BY_USER, artim=Artim.START),
    Action.AA_2: Effect(_S.IDLE, artim=Artim.STOP, transport=Transport.CLOSE),
    Action.AA_3: Effect(_S.IDLE, indicate=Indicate.ABORT, transport=Transport.CLOSE),
    Action.AA_4: Effect(_S.IDLE, indicate=Indicate.PROVIDER_ABORT),
    Action.AA_5: Effect(_S.IDLE, artim=Artim.STOP),
    Action.AA_6: Effect(_S.AWAITING_CLOSE),
    Action.AA_7: Effect(_S.AWAITING_CLOSE, Send.ABORT_BY_PROVIDER),
    Action.AA_8: Effect(
        _S.AWAITING_CLOSE,
        Send.ABORT_BY_PROVIDER,
        indicate=Indicate.PROVIDER_ABORT,
        artim=Artim.START,
    ),
})

_A = Action
# Columns are Sta1 to Sta13, exactly as Table 9-10 is printed.
_ROWS: Final[Mapping[Event, tuple[Action | None, ...]]] = {
    Event.ASSOCIATE_REQUEST: (
        _A.AE_1, None, None, None, None, None, None, None, None, None, None, None, None,
    ),
    Event.TRANSPORT_CONFIRMED: (
        None, None, None, _A.AE_2, None, None, None, None, None, None, None, None, None,
    ),
    Event.ASSOCIATE_AC_RECEIVED: (
        None, _A.AA_1, _A.AA_8, None, _A.AE_3, _A.AA_8, _A.AA_8,
        _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6,
    ),
    Event.ASSOCIATE_RJ_RECEIVED: (
        None, _A.AA_1, _A.AA_8, None, _A.AE_4, _A.AA_8, _A.AA_8,
        _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6,
    ),
    Event.TRANSPORT_INDICATED: (
        _A.AE_5, None, None, None, None, None, None, None, None, None, None, None, None,
    ),
    Event.ASSOCIATE_RQ_RECEIVED: (
        None, _A.AE_6, _A.AA_8, None, _A.AA_8, _A.AA_8, _A.AA_8,
        _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_7,
    ),
    Event.ASSOCIATE_RESPONSE_ACCEPT: (
        None, None, _A.AE_7, None, None, None, None, None, None, None, None, None, None,
    ),
    Event.ASSOCIATE_RESPONSE_REJECT: (
        None, None, _A.AE_8, None, None, None, None, None, None, None, None, None, None,
    ),
    Event.P_DATA_REQUEST: (
        None, None, None, None, None, _A.DT_1, None, _A.AR_7, None, None, None, None, None,
    ),
    Event.P_DATA_RECEIVED: (
        None, _A.AA_1, _A.AA_8, None, _A.AA_8, _A.DT_2, _A.AR_6,
        _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6,
    ),
    Event.RELEASE_REQUEST: (
        None, None, None, None, None, _A.AR_1, None, None, None, None, None, None, None,
    ),
    Event.RELEASE_RQ_RECEIVED: (
        None, _A.AA_1, _A.AA_8, None, _A.AA_8, _A.AR_2, _A.AR_8,
        _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_6,
    ),
    Event.RELEASE_RP_RECEIVED: (
        None, _A.AA_1, _A.AA_8, None, _A.AA_8, _A.AA_8, _A.AR_3,
        _A.AA_8, _A.AA_8, _A.AR_10, _A.AR_3, _A.AA_8, _A.AA_6,
    ),
    Event.RELEASE_RESPONSE: (
        None, None, None, None, None, None, None, _A.AR_4, _A.AR_9, None, None, _A.AR_4, None,
    ),
    Event.ABORT_REQUEST: (
        None, None, _A.AA_1, _A.AA_2, _A.AA_1, _A.AA_1, _A.AA_1,
        _A.AA_1, _A.AA_1, _A.AA_1, _A.AA_1, _A.AA_1, None,
    ),
    Event.ABORT_RECEIVED: (
        None, _A.AA_2, _A.AA_3, None, _A.AA_3, _A.AA_3, _A.AA_3,
        _A.AA_3, _A.AA_3, _A.AA_3, _A.AA_3, _A.AA_3, _A.AA_2,
    ),
    Event.TRANSPORT_CLOSED: (
        None, _A.AA_5, _A.AA_4, _A.AA_4, _A.AA_4, _A.AA_4, _A.AA_4,
        _A.AA_4, _A.AA_4, _A.AA_4, _A.AA_4, _A.AA_4, _A.AR_5,
    ),
    Event.ARTIM_EXPIRED: (
        None, _A.AA_2, None, None, None, None, None, None, None, None, None, None, _A.AA_2,
    ),
    Event.INVALID_PDU_RECEIVED: (
        None, _A.AA_1, _A.AA_8, None, _A.AA_8, _A.AA_8, _A.AA_8,
        _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_8, _A.AA_7,
    ),
}  # fmt: skip

TABLE: Final[Mapping[tuple[State, Event], Action]] = MappingProxyType({
    (State(column), event): action
    for event, row in _ROWS.items()
    for column, action in enumerate(row, start=1)
    if action is not None
})


class Machine:
    """One association's state. Knows only whether it is the requestor.

    Attributes:
        state: where the association is.
        artim_epoch: ``None`` while the ARTIM timer is stopped, else a number that changes with
            every
            start; the caller sets a deadline when it sees a new number.
    """

    __slots__ = ("_requestor", "_starts", "artim_epoch", "state")

    def __init__(self, *, requestor: bool) -> None:
        self.state = State.IDLE
        self.artim_epoch: int | None = None
        self._requestor = requestor
        self._starts = 0

    def step(self, event: Event) -> Effect:
        """What to do about ``event``, after moving to the next state.

        Raises:
            LocalProtocolError: the event cannot happen in this state; the state is unchanged.
        """
        action = TABLE.get((self.state, event))
        if action is None:
            raise LocalProtocolError(f"{event.name} in state {self.state.name}")
        effect = EFFECTS[action]
        acceptor_state = effect.next_state_of_acceptor
        if acceptor_state is not None and not self._requestor:
            self.state = acceptor_state
        else:
            self.state = effect.next_state
        if effect.artim is Artim.START:
            self._starts += 1
            self.artim_epoch = self._starts
        elif effect.artim is Artim.STOP:
            self.artim_epoch = None
        return effect
