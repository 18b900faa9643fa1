"""Tracking through time."""

TITLE = "Tracking through time"
QUESTION = "Where does it move through the film?"
ORDER = 8  # in which a newcomer would ask
