"""Feature selection: which columns matter."""

TITLE = "Feature selection: which columns matter"
QUESTION = "Which columns matter?"
ORDER = 12  # in which a newcomer would ask
