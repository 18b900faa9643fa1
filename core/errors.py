"""The two kinds of failure: a sentence for the person at the screen, and a request to stop. And what a log may say of an error."""

from __future__ import annotations

import re
import traceback

QUOTED = re.compile(r"""'[^']*'|"[^"]*"|“[^”]*”|`[^`]*`""")


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what is wrong, which file, row or field, what to do."""


class Cancelled(Exception):
    """Raised inside a run once the user has asked it to stop."""


def trace(error: BaseException, words: bool = True) -> str:
    """The traceback of `error` and its causes for a log, without what may come from the data: the quoted parts of messages are taken out, or (`words` False,
    while files of strangers are read) all of each message."""
    told: list[str] = []
    now: BaseException | None = error
    while now is not None and len(told) < 10:
        said = "".join(traceback.format_tb(now.__traceback__)) + type(now).__name__
        told.append(said + (f": {QUOTED.sub('‘…’', str(now))}" if words else " (what it says is left out: it may hold names)"))
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)
    return "\n\nwhich led to\n".join(told[::-1])
