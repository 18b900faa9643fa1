"""First look: linear embedding."""

TITLE = "First look: linear embedding"
QUESTION = "What do the cases look like at a glance?"
ORDER = 1  # in which a newcomer would ask
