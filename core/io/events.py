"""What happens on a server, as lines of JSON for those who run it: jobs, requests, disk, errors.

Only what FACTS lists is ever written, and only in its form: ids that were made here, words of ours,
numbers. So no name of a patient, a person, a file or a dataset can stand in it.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress

from core.io.files import append_line
from core.settings import read_settings

_ID, _WORD = re.compile(r"[a-f0-9]{8,32}"), re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_PROJECT = re.compile(r"[a-z0-9-]{0,40}")
# a text fact -> its form; all other facts are numbers
FACTS = {
    "id": _ID,
    "project": _PROJECT,
    "kind": _WORD,
    "method": _WORD,
    "state": _WORD,
    "level": _WORD,
    "route": _WORD,
    "type": _WORD,
}
NUMBERS = frozenset(
    {"pid", "port", "status", "milliseconds", "seconds", "free_bytes", "used_bytes", "quota_bytes"}
)


def log_event(event: str, **facts: str | float | None) -> None:
    """Append one line to LIGHTBOX_EVENTS, where it is set; a full disk takes none.

    `facts` are those of FACTS and NUMBERS (others raise ValueError); a text that has not the form
    of its fact is written as "?", and what is None is left out.
    """
    unknown = facts.keys() - FACTS.keys() - NUMBERS
    if unknown or not _WORD.fullmatch(event):
        raise ValueError(f"no fact of an event: {sorted(unknown) or event}")
    place = read_settings().events
    if place is None:
        return
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    told = {k: _safe(k, v) for k, v in facts.items() if v is not None}
    with suppress(OSError):
        append_line(place.expanduser(), json.dumps({"at": at, "event": event, **told}) + "\n")


def _safe(name: str, value: str | float) -> str | float | None:
    if name in NUMBERS:
        return round(value, 3) if isinstance(value, int | float) else None
    return value if isinstance(value, str) and FACTS[name].fullmatch(value) else "?"
