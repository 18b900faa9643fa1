"""Several sites."""

TITLE = "Several sites"
QUESTION = "How often does each class occur at each site?"
ORDER = 13  # in which a newcomer would ask
