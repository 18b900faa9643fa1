"""Self-supervised learning: which pictures are similar."""

TITLE = "Self-supervised learning: which pictures are similar"
QUESTION = "Which pictures are similar?"
ORDER = 4  # in which a newcomer would ask
