"""Conformal prediction: how sure an earlier model is."""

TITLE = "Conformal prediction: how sure an earlier model is"
QUESTION = "How sure can a prediction be?"
ORDER = 16  # in which a newcomer would ask
