"""Novel classes."""

TITLE = "Novel classes"
QUESTION = "Are there classes that nobody has named?"
ORDER = 5  # in which a newcomer would ask
