"""The screen and the command line.

Importing it takes the current folder off Python's path, where `python -m app.cli` puts it: a
`numpy.py` beside somebody's pictures is not ours to run. A `core` that is not the one beside it
(another package of that name stands before ours) ends the process in a sentence, before it is run.
"""

import os
import sys
from importlib.util import find_spec

_ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def _leave_current_folder() -> None:
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # it is gone
        here = ""
    if here != _ROOT:
        sys.path[:] = [p for p in sys.path if p and os.path.realpath(p) != here]


def _refuse_other_core() -> None:
    found = find_spec(__name__.removesuffix("app") + "core")  # installed: lightbox.core
    origin = (found and found.origin) or ""
    if os.path.realpath(origin) != os.path.join(_ROOT, "core", "__init__.py"):
        where = os.path.dirname(origin) or "nowhere"
        print(
            f"Lightbox's own package “core” is hidden by another of that name ({where}); take that"
            " folder off PYTHONPATH, or install Lightbox into an environment of its own.",
            file=sys.stderr,
        )
        sys.exit(2)


_leave_current_folder()
_refuse_other_core()
