"""Published standards as code: bytes and values in, values and bytes out.

Nothing here does I/O, reads a clock or settings, or logs. Two errors separate the guilty side.
"""


class ProtocolError(Exception):
    """A rule of a published protocol was broken."""


class LocalProtocolError(ProtocolError):
    """Our own side tried something that the protocol forbids now: a defect in the calling code."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol forbids."""
