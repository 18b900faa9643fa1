"""Unlearning: make a model forget."""

TITLE = "Unlearning: make a model forget"
ORDER = 18  # in which a newcomer would ask
