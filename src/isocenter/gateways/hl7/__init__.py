"""HL7 v2 over MLLP: messages in become service calls, signed reports become messages out.

Framing, encoding and acknowledgement grammar are in ``standards.hl7v2``; what is done with a
patient or an order is in the domain. Here is the translation between them, and the sockets.
"""
