"""Follow a structure through time."""

TITLE = "Follow a structure through time"
ORDER = 8  # in which a newcomer would ask
