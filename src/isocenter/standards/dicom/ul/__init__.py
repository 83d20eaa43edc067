"""The DICOM upper layer protocol without a socket or a clock: bytes in, events out, and back.

``pdu`` and ``items`` are the bytes, ``machine`` the state table, ``negotiation`` the acceptor's
decision, ``connection`` what a transport drives.

Standard: PS3.8 section 9
"""
