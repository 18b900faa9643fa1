"""Read genomes."""

TITLE = "Read genomes"
ORDER = 11  # in which a newcomer would ask
