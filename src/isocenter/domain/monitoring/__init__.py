"""What should have happened by now: expectations, and alarms raised once and cleared once."""
