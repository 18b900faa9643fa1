"""Outline structures."""

TITLE = "Outline structures"
ORDER = 7  # in which a newcomer would ask
