"""Benchmarks."""

TITLE = "Benchmarks"
ORDER = 19  # in which a newcomer would ask
