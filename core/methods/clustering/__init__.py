"""Clustering of an earlier run."""

TITLE = "Clustering of an earlier run"
ORDER = 14  # in which a newcomer would ask
