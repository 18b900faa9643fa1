"""Tracking through time."""

TITLE = "Tracking through time"
ORDER = 8  # in which a newcomer would ask
