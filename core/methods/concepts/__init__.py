"""Features an earlier run has learned."""

TITLE = "Features an earlier run has learned"
ORDER = 15  # in which a newcomer would ask
