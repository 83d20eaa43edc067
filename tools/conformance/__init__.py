"""Generated parts of the conformance statements: what the code offers, asked of the code itself."""
