"""Genomes."""

TITLE = "Genomes"
QUESTION = "Which places in the genomes tell groups apart?"
ORDER = 11  # in which a newcomer would ask
