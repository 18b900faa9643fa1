"""Novel classes."""

TITLE = "Novel classes"
ORDER = 5  # in which a newcomer would ask
