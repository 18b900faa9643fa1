"""Make a model forget."""

TITLE = "Make a model forget"
ORDER = 18  # in which a newcomer would ask
