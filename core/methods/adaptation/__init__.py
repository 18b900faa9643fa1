"""Move a model to another site."""

TITLE = "Move a model to another site"
ORDER = 17  # in which a newcomer would ask
