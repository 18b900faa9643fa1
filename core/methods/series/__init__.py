"""Signals over time."""

TITLE = "Signals over time"
QUESTION = "What drives the signals over time?"
ORDER = 9  # in which a newcomer would ask
