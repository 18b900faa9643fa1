"""Feature selection: which columns matter."""

TITLE = "Feature selection: which columns matter"
ORDER = 12  # in which a newcomer would ask
