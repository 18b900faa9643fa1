"""Augmentation: more examples of what is rare."""

TITLE = "Augmentation: more examples of what is rare"
QUESTION = "Can more examples of what is rare be made?"
ORDER = 20  # in which a newcomer would ask
