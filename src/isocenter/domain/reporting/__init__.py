"""Reports: drafts that change, and signed versions that never do."""
