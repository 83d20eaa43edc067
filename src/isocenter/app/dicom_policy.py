"""Who may associate: what the list of peers says, and what the user behind it all may do."""

from datetime import datetime

from isocenter.domain.access import service as access
from isocenter.domain.access.model import DICOM_PERMISSION_ACTIONS, Action, Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, Resolve
from isocenter.gateways.dimse.ports import Caller, Grant, IdentityRefused, Service
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.standards.dicom.ul.items import UserIdentity, UserIdentityType


class PeerPolicy:
    """Grants what the list of peers says, as far as the user whose identity comes along may do it.

    An identity that is offered must be true, also where none is required. One that cannot be
    checked here (Kerberos, SAML) counts as none, and a name without proof is none that is required.

    Standard: PS3.7 D.3.3.7
    """

    def __init__(self, pool: Pool, *, clock: Clock, resolve: Resolve) -> None:
        self._pool, self._clock, self._resolve = pool, clock, resolve

    async def grant(self, caller: Caller) -> Grant | None:
        """What the caller may do; an unknown one is noted for approval by the same question."""
        found = await self._pool.run(self._decide, caller, now=self._clock())
        # Raised only now: what was noted about the refusal is committed.
        if isinstance(found, IdentityRefused):
            raise found
        return found

    async def record_unknown(self, caller: Caller) -> None:
        """Nothing more: ``grant`` has noted the caller."""

    def _decide(self, tx: Tx, caller: Caller, *, now: datetime) -> Grant | IdentityRefused | None:
        decision = peers.decide_association(
            tx,
            calling_ae_title=caller.calling_ae_title,
            address=caller.address,
            resolve=self._resolve,
            now=now,
        )
        if decision.peer is None:
            return None
        return _granted(tx, decision.peer, caller, now=now)


def _granted(tx: Tx, peer: DicomPeer, caller: Caller, *, now: datetime) -> Grant | IdentityRefused:
    identity = caller.user_identity
    if identity is None or identity.kind not in _CHECKED:
        if peer.identity_required:
            return IdentityRefused("this peer must say which user is behind it")
        return Grant(peer.name, _services(peer, None), quirks=peer.quirks)
    if peer.identity_required and identity.kind == UserIdentityType.USERNAME:
        return IdentityRefused("a user name alone proves nothing")
    user = _user(tx, identity, caller.address, now=now)
    if user is None:
        return IdentityRefused("the user identity is not accepted")
    return Grant(peer.name, _services(peer, user), user.name, peer.quirks)


_CHECKED = frozenset({
    UserIdentityType.USERNAME,
    UserIdentityType.USERNAME_AND_PASSCODE,
    UserIdentityType.JSON_WEB_TOKEN,
})


def _user(tx: Tx, identity: UserIdentity, source: str, *, now: datetime) -> Actor | None:
    primary = identity.primary.decode("utf-8", "replace")
    if identity.kind == UserIdentityType.USERNAME:
        return access.named_user(tx, primary, source=source, now=now)
    if identity.kind == UserIdentityType.JSON_WEB_TOKEN:
        return access.identify_by_token(tx, primary, source=source, now=now)
    passcode = identity.secondary.decode("utf-8", "replace")
    return access.identify(tx, primary, passcode, source=source, now=now)


def _services(peer: DicomPeer, user: Actor | None) -> frozenset[Service]:
    # Whoever may store need not be one who may reject: a rejection note of theirs is refused.
    allowed = {
        each
        for each in peer.allow
        if user is None or DICOM_PERMISSION_ACTIONS[each] - {Action.STUDY_REJECT} <= user.actions
    }
    return frozenset({Service.ECHO, *(Service(each) for each in allowed)})
