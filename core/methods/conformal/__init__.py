"""How sure an earlier model is."""

TITLE = "How sure an earlier model is"
ORDER = 16  # in which a newcomer would ask
