"""First look: linear embedding."""

TITLE = "First look: linear embedding"
ORDER = 1  # in which a newcomer would ask
