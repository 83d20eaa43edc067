"""DICOM message service over TCP and TLS: associations in, services called, responses out.

``server`` listens; ``association`` drives one peer; ``storage``, ``query`` and ``echo`` are the
services; ``admission`` makes received objects durable in batches; ``scu`` calls other peers;
``ports`` says what the gateway needs from the rest of the system. No medical rule lives here.
"""
