"""What was done with patient data and by whom: append-only, sealed into a hash chain."""
