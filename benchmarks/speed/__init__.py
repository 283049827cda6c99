"""Seconds and memory, beside what the same work takes at least."""
