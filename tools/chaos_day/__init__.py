"""A hospital's day while processes die and receivers misbehave: nothing may be lost or doubled.

``python -m tools.chaos_day`` plays 24 hours of 600 beds: registrations, orders, images and reports
go through the real services, reactions and senders on a real database, with a clock that is moved.
Every transaction may be the last of its process, before its commit or after it. Receivers of
results are away, silent, late, answer for another message, refuse, or answer byte by byte. At the
end everything that was said is compared with what is there and with what the receivers filed.

It does not measure speed; that is ``make bench``.
"""
