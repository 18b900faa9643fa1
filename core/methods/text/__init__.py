"""Texts."""

TITLE = "Texts"
ORDER = 10  # in which a newcomer would ask
