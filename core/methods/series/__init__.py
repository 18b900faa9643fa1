"""Signals over time."""

TITLE = "Signals over time"
ORDER = 9  # in which a newcomer would ask
