"""Measurements of speed, memory and distance to the truth. Not part of the package."""
