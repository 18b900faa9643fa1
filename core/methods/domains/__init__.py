"""Learn from several sites."""

TITLE = "Learn from several sites"
ORDER = 13  # in which a newcomer would ask
