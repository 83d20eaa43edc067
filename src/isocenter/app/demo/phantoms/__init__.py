"""Phantoms that look like anatomy: smooth shapes, tissue noise and projections, from a seed alone.

They are made for people to look at and for viewers to scroll; they are not models for measurement.
Axes follow the patient coordinate system, in millimetres: x to the left, y to the back, z to the
head.
"""
