"""Brings signed reports to their recipients, in order, and knows who has them."""
