"""What is unusual, and where."""

TITLE = "What is unusual, and where"
ORDER = 3  # in which a newcomer would ask
