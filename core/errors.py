"""The two kinds of failure: a sentence for the person at the screen, and a request to stop. And
what a log may say of an error.
"""

from __future__ import annotations

import errno
import re
import traceback
from importlib.util import find_spec

QUOTED = re.compile(r"""'[^']*'|"[^"]*"|“[^”]*”|`[^`]*`""")


class UserError(Exception):
    """Something the user can fix. The message is one sentence, on one line whatever names it
    quotes: what is wrong, which file, row or field, what to do.
    """

    def __init__(self, words: object = "") -> None:
        super().__init__(" ".join(str(words).split()))


class Damaged(UserError):
    """Stored data is no longer what was written: a file of it is lost or changed."""


class Full(UserError):
    """The disk takes nothing more."""

    def __init__(self) -> None:
        super().__init__(FAULTS[errno.ENOSPC])


class Cancelled(Exception):
    """Raised inside a run once the user has asked it to stop."""


# packages of the extra `train`, by the names they are imported by
TRAIN = ("torch", "lightning_fabric", "kornia", "captum", "faiss", "pacmap")
NEEDS_TRAIN = "This needs the extra for training: pip install lightbox[train]."


FAULTS = {
    errno.ENOSPC: "The disk is full; free some space and try again.",
    getattr(
        errno, "EDQUOT", -1
    ): "Your share of the disk is used up; free some space and try again.",
    errno.EFBIG: (
        "A file would become larger than this system allows; raise its limit on file sizes, or use"
        " fewer rows."
    ),
    errno.EIO: (
        "The disk could not be read or written (input/output error); it may be failing: look at it"
        " before you try again."
    ),
    errno.EROFS: (
        "The disk can only be read, not written; choose another place, or another workspace with"
        " LIGHTBOX_HOME."
    ),
    errno.EACCES: (
        "The system does not allow it to be read or written (permission denied); give yourself the"
        " right, or choose another workspace with LIGHTBOX_HOME."
    ),
    errno.EMFILE: (
        "Too many files are open at once; raise the system's limit (ulimit -n) and try again."
    ),
    errno.ENOMEM: (
        "The machine ran out of memory; close other programs, or use fewer rows or smaller images."
    ),
}


def require_train() -> None:
    """UserError where the extra `train` is not installed."""
    if not has_train():
        raise UserError(NEEDS_TRAIN)


def has_train() -> bool:
    """Whether the extra `train` is installed."""
    return find_spec("torch") is not None


def user_sentence(error: BaseException) -> str | None:
    """Return what to tell the user when `error`, or what led to it, is something they can fix: a
    UserError, the machine's own refusal (disk full, not allowed), or a package of the extra `train`
    that is not installed. None for a bug. Of the machine's refusals no path is told: it may hold a
    name.
    """
    if isinstance(error, UserError):
        return str(error)
    now: BaseException | None = error
    for _ in range(10):
        if isinstance(now, ModuleNotFoundError) and (now.name or "").partition(".")[0] in TRAIN:
            return NEEDS_TRAIN
        if isinstance(now, OSError) and now.errno in FAULTS:
            return FAULTS[now.errno]
        now = now and (now.__cause__ or (None if now.__suppress_context__ else now.__context__))
    return None


def private_traceback(error: BaseException, words: bool = True) -> str:
    """Return the traceback of `error` and its causes for a log, without what may come from the
    data: the quoted parts of messages are taken out, or (`words` False, while files of strangers
    are read) all of each message.
    """
    told: list[str] = []
    now: BaseException | None = error
    while now is not None and len(told) < 10:
        said = "".join(traceback.format_tb(now.__traceback__)) + type(now).__name__
        told.append(
            said
            + (
                f": {QUOTED.sub('‘…’', str(now))}"
                if words
                else " (what it says is left out: it may hold names)"
            )
        )
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)
    return "\n\nwhich led to\n".join(told[::-1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, the machine's or the GPU's, did not suffice. Told by names and words: torch
    has several ways to say so, and is not imported here.
    """
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or getattr(error, "errno", None) == errno.ENOMEM
    ):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    )
