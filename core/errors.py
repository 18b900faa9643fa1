"""The two kinds of failure: a sentence for the person at the screen, and a request to stop."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what is wrong, which file, row or field, what to do."""


class Cancelled(Exception):
    """Raised inside a run once the user has asked it to stop."""
