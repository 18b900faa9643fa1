"""Benchmarks."""

TITLE = "Benchmarks"
QUESTION = "Which method is best when sites differ?"
ORDER = 19  # in which a newcomer would ask
