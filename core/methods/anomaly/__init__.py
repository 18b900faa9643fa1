"""Anomaly detection: what is unusual, and where."""

TITLE = "Anomaly detection: what is unusual, and where"
QUESTION = "Which cases are unusual, and where?"
ORDER = 3  # in which a newcomer would ask
