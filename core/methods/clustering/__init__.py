"""Clustering of an earlier run."""

TITLE = "Clustering of an earlier run"
QUESTION = "Which groups do the cases form?"
ORDER = 14  # in which a newcomer would ask
