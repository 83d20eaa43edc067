"""HL7 version 2 without I/O: framing, ER7, character sets, acknowledgements, data types.

Deliberately absent: message profiles and meaning. What an ADT^A40 does is decided in the HL7
gateway.
"""
