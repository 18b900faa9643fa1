"""Classification."""

TITLE = "Classification"
ORDER = 6  # in which a newcomer would ask
