"""Segmentation."""

TITLE = "Segmentation"
ORDER = 7  # in which a newcomer would ask
