"""The tools of the house: gates, locks, generators, bench."""
