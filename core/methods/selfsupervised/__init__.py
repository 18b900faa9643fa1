"""Self-supervised learning: which pictures are alike."""

TITLE = "Self-supervised learning: which pictures are alike"
ORDER = 4  # in which a newcomer would ask
