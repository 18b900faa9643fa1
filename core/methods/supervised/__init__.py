"""Classification."""

TITLE = "Classification"
QUESTION = "Can the label be predicted?"
ORDER = 6  # in which a newcomer would ask
