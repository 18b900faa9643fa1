"""Domain adaptation to another site."""

TITLE = "Domain adaptation to another site"
QUESTION = "Will it work at another site?"
ORDER = 17  # in which a newcomer would ask
