"""Groups in an earlier run."""

TITLE = "Groups in an earlier run"
ORDER = 14  # in which a newcomer would ask
