"""Compare methods fairly."""

TITLE = "Compare methods fairly"
ORDER = 19  # in which a newcomer would ask
