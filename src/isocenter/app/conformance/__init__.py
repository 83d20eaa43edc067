"""``isocenter conformance``: the cases of SWF.b and PIR, played against a running installation.

An ADT source, an order placer, a modality and a receiver of results talk over real sockets to an
installation that they know by its addresses only. What it did is judged by what it answers in HL7,
in DICOM and under ``/api``: nothing here reads a database or calls a service.
"""
