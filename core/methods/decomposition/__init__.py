"""A quick first look."""

TITLE = "A quick first look"
ORDER = 1  # in which a newcomer would ask
