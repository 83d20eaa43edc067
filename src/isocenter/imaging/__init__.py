"""Pixels: pure functions over bytes and arrays, from encoded frames to shown images."""
