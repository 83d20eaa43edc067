"""Finds out which order a study belongs to, and asks a person where the facts do not tell."""
