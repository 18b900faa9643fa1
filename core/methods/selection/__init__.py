"""Which columns matter."""

TITLE = "Which columns matter"
ORDER = 12  # in which a newcomer would ask
