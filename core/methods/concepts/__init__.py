"""Sparse features of an earlier run."""

TITLE = "Sparse features of an earlier run"
QUESTION = "What do latent features stand for?"
ORDER = 15  # in which a newcomer would ask
