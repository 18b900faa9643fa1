"""Generative models: a latent space to walk through."""

TITLE = "Generative models: a latent space to walk through"
QUESTION = "What varies from case to case?"
ORDER = 2  # in which a newcomer would ask
