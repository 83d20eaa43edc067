"""Measures ours and the peers side by side in one run; see ``python -m tools.bench --help``."""
