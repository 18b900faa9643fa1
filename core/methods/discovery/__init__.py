"""New kinds of cases."""

TITLE = "New kinds of cases"
ORDER = 5  # in which a newcomer would ask
