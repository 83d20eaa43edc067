"""Addresses of host names, remembered for a minute: peers are checked at every association."""

import ipaddress
import socket
import threading
import time

_KEPT_S = 60.0
_NAMES_MAX = 1000

_known: dict[str, tuple[float, frozenset[str]]] = {}
_lock = threading.Lock()


def resolve(host: str) -> frozenset[str]:
    """The addresses of a host name in ``ipaddress`` notation; empty when it has none."""
    moment = time.monotonic()
    with _lock:
        found = _known.get(host)
    if found is not None and moment < found[0]:
        return found[1]
    addresses = _asked(host)
    with _lock:
        if len(_known) >= _NAMES_MAX:
            _known.clear()
        _known[host] = (moment + _KEPT_S, addresses)
    return addresses


def _asked(host: str) -> frozenset[str]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(
        str(ipaddress.ip_address(str(each[4][0]).partition("%")[0])) for each in answers
    )
