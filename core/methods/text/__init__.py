"""Read texts."""

TITLE = "Read texts"
ORDER = 10  # in which a newcomer would ask
