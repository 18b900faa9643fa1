"""Conformal prediction: how sure an earlier model is."""

TITLE = "Conformal prediction: how sure an earlier model is"
ORDER = 16  # in which a newcomer would ask
