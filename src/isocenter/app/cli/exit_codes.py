"""The exit codes of every command, from the kind of failure."""

from isocenter.errors import Kind

OK = 0
FAILED = 1
USAGE = 2
NOT_REACHABLE = 3
NOT_FOUND = 4
CONFLICT = 5
FORBIDDEN = 6
BUSY = 7

MEANING = """Exit codes: 0 done; 1 failed; 2 wrong usage or setting; 3 something needed is not \
reachable; 4 not found; 5 contradicts what is there; 6 not permitted; 7 in use by another."""

OF_KIND = {
    Kind.INCORRECT: USAGE,
    Kind.UNSUPPORTED: USAGE,
    Kind.NOT_FOUND: NOT_FOUND,
    Kind.CONFLICT: CONFLICT,
    Kind.FORBIDDEN: FORBIDDEN,
    Kind.BUSY: BUSY,
    Kind.UNAVAILABLE: NOT_REACHABLE,
    Kind.FAULT: FAILED,
}
