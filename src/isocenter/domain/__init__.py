"""One package per stage of an exam, each with the same few modules."""
