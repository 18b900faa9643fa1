"""Unlearning: make a model forget."""

TITLE = "Unlearning: make a model forget"
QUESTION = "Can a model forget some cases?"
ORDER = 18  # in which a newcomer would ask
