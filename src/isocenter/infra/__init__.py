"""Technical capability without medical meaning: database, outbox, blobs, clock, processes.

Nothing here knows what a patient, an order or an image is, and nothing here reads settings: callers
pass what is needed.
"""
