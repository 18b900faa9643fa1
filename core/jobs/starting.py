"""Starting the supervisor of a workspace, and saying so when it cannot live: one that dies as it
starts would be started again for ever.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.io.files import write_json
from core.io.locks import hold_lock
from core.jobs.attempts import describe_exit, last_line
from core.jobs.engines import spawn

SUPERVISOR = "supervisor.lock"  # held by the one at work
TAKEN = "supervisor.json"  # the process that has held the lock last
WANTED = "supervisor.wanted"  # touched while somebody looks at the workspace
LOG = Path("log") / "supervisor.log"
# seconds within which the death of one that was at work already counts as one at the start
QUICK = 60.0
STUCK = 180.0  # seconds after which one that never took the lock is ended
TRIES = 2


@dataclass
class _Start:
    process: subprocess.Popen[bytes]
    began: float
    deaths: int  # in a row, before this start


_LAST: dict[Path, _Start] = {}  # workspace -> what this process has started for it last
_LOCK = threading.Lock()


def mark_supervisor_started(home: Path, pid: int) -> None:
    """Written by a supervisor once it holds the lock."""
    write_json(home / TAKEN, {"pid": pid})


def request_supervisor(home: Path) -> None:
    """Somebody looks at this workspace and may soon ask for something: have a supervisor there, and
    stay.
    """
    with suppress(OSError):
        (home / WANTED).touch()
        start_supervisor(home)


def release_supervisor(home: Path) -> None:
    """Nobody looks at this workspace any longer: its supervisor need not stay once all is done."""
    with suppress(OSError):
        (home / WANTED).unlink()


def last_request(home: Path) -> int:
    """When `request_supervisor` was called last, in a count that only says whether it was again; 0
    after `release_supervisor`.
    """
    with suppress(OSError):
        return (home / WANTED).stat().st_mtime_ns
    return 0


def start_supervisor(home: Path) -> str:
    """Start the supervisor process of this workspace unless there is one, or one is starting. Gives
    a sentence, and starts none, when the last TRIES that this process started have died as they
    started; the next call tries again.
    """
    held = hold_lock(home / SUPERVISOR)
    if held is None:
        return ""
    held.close()
    with _LOCK:
        last = _LAST.get(home)
        if last is not None and _is_starting(home, last):
            return ""
        deaths = _count_deaths(home, last)
        if deaths >= TRIES:
            del _LAST[home]
            assert last is not None
            return _describe_death(home, last.process.returncode)
        process = spawn("core.jobs.scheduler", [str(home)], home / LOG)
        _LAST[home] = _Start(process, time.monotonic(), deaths)
        return ""


def supervisor_has_died(home: Path) -> bool:
    """Whether the supervisor that this process started last did not end well. Costs next to
    nothing.
    """
    last = _LAST.get(home)
    return last is not None and last.process.poll() not in (None, 0)


def _is_starting(home: Path, last: _Start) -> bool:
    """Whether it lives and has not held the lock yet; one that takes too long over that is
    ended.
    """
    if last.process.poll() is not None or _has_started(home, last.process.pid):
        return False
    if time.monotonic() - last.began < STUCK:
        return True
    last.process.kill()
    last.process.wait()
    return False


def _count_deaths(home: Path, last: _Start | None) -> int:
    """How many starts in a row have ended badly before they got to work, or soon after; 0 after one
    that lived, or left well.
    """
    if last is None or last.process.poll() in (None, 0):
        return 0
    at_start = not _has_started(home, last.process.pid) or time.monotonic() - last.began < QUICK
    return last.deaths + 1 if at_start else 0


def _has_started(home: Path, pid: int) -> bool:
    try:
        return json.loads((home / TAKEN).read_text())["pid"] == pid
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _describe_death(home: Path, code: int) -> str:
    said = last_line(home / LOG)
    return (
        f"Nothing can be started here: the process that starts the work ended at once, {TRIES}"
        f" times ({describe_exit(code)}). "
        + (f"The last line of its log: {said.rstrip('.')}. " if said else "It wrote nothing. ")
        + f"The log is {home / LOG}."
    )
