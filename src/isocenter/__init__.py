"""Isocenter: radiology from order to report on published standards."""
