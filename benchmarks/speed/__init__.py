"""Seconds and memory, compared with the minimum for the same work."""
