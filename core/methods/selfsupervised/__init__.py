"""Which pictures are alike."""

TITLE = "Which pictures are alike"
ORDER = 4  # in which a newcomer would ask
