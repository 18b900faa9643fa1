"""Segmentation."""

TITLE = "Segmentation"
QUESTION = "Where is what was outlined?"
ORDER = 7  # in which a newcomer would ask
