"""Sparse features of an earlier run."""

TITLE = "Sparse features of an earlier run"
ORDER = 15  # in which a newcomer would ask
