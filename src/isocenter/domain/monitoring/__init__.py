"""What should have happened by now: expectations, and alarms that are raised once and cleared once."""
