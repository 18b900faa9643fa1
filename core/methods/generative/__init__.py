"""A space you can walk through."""

TITLE = "A space you can walk through"
ORDER = 2  # in which a newcomer would ask
