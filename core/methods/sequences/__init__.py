"""Genomes."""

TITLE = "Genomes"
ORDER = 11  # in which a newcomer would ask
