"""Texts."""

TITLE = "Texts"
QUESTION = "What do the texts say?"
ORDER = 10  # in which a newcomer would ask
