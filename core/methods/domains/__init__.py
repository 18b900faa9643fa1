"""Several sites."""

TITLE = "Several sites"
ORDER = 13  # in which a newcomer would ask
