"""Generative models: a latent space to walk through."""

TITLE = "Generative models: a latent space to walk through"
ORDER = 2  # in which a newcomer would ask
