"""Tell the labelled classes apart."""

TITLE = "Tell the labelled classes apart"
ORDER = 6  # in which a newcomer would ask
