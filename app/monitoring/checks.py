"""Whether a server can do its work: catalogue, disk and supervisor of each of its workspaces."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.access import gate
from core.errors import user_sentence
from core.io.files import has_room
from core.io.locks import hold_lock
from core.io.room import look_at_room
from core.jobs.starting import SUPERVISOR
from core.settings import Settings
from core.workspace.workspace import Workspace

GRACE = 60.0  # seconds that a job may wait until a supervisor is at work
FRESH = 5.0  # seconds for which what was found is told again, to whoever asks
_found: tuple[float, dict[str, Any]] = (-1e9, {})
_lock = threading.Lock()


@dataclass(frozen=True)
class Check:
    """One part of a workspace: `ok`, and a sentence about it without names."""

    ok: bool
    says: str


@lru_cache(maxsize=256)
def open_workspace(home: str) -> Workspace:
    """Return the workspace in `home`, its catalogue opened once for all who look."""
    return Workspace(Path(home))


def homes() -> dict[str, Path]:
    """Return the workspace folder of each project by its id; of the one workspace under "" where
    one person uses the server. UserError where the register of people does not answer.
    """
    people = gate.register()
    if people is None:
        return {"": Path(Settings().home)}
    return {project.id: people.folder / project.id for project in people.projects()}


def check_server() -> dict[str, Any]:
    """Return {"ok": whether all is well, "projects": {id: {part: {"ok", "says"}}}}, not older than
    FRESH seconds. Cost: one question to each catalogue, and 64 kB written to each disk.
    """
    global _found
    with _lock:
        if time.monotonic() - _found[0] > FRESH:
            _found = time.monotonic(), _look()
        return _found[1]


def _look() -> dict[str, Any]:
    try:
        projects = homes()
    except Exception as e:
        said = user_sentence(e) or f"{type(e).__name__}"
        return {"ok": False, "register": asdict(Check(False, said)), "projects": {}}
    checks = {id: check_workspace(home) for id, home in projects.items()}
    return {
        "ok": all(one.ok for parts in checks.values() for one in parts.values()),
        "projects": {
            id: {part: asdict(one) for part, one in parts.items()} for id, parts in checks.items()
        },
    }


def check_workspace(home: Path) -> dict[str, Check]:
    """Return what is found of the catalogue, the disk and the supervisor of a workspace."""
    return {
        "catalogue": _check(lambda: _catalogue(home)),
        "disk": _check(lambda: _disk(home)),
        "supervisor": _check(lambda: _supervisor(home)),
    }


def _check(look: Any) -> Check:
    try:
        found: Check = look()
        return found
    except Exception as e:  # whatever it is, it is what was to be found out
        return Check(False, user_sentence(e) or f"It could not be looked at ({type(e).__name__}).")


def _catalogue(home: Path) -> Check:
    open_workspace(str(home)).catalogue.count_jobs()
    return Check(True, "It answers.")


def _disk(home: Path) -> Check:
    room = look_at_room(home)
    if not has_room(home):
        return Check(False, "The disk takes nothing more.")
    return Check(room.level != "full", room.sentence or "There is room.")


def _supervisor(home: Path) -> Check:
    catalogue = open_workspace(str(home)).catalogue
    waiting = catalogue.jobs(status=["queued", "running"])
    if not waiting:
        return Check(True, "Nothing is to be done.")
    held = hold_lock(home / SUPERVISOR)
    if held is None:
        return Check(True, "It is at work.")
    held.close()
    oldest = time.time() - min(job.created for job in waiting)
    if oldest < GRACE:
        return Check(True, "It is starting.")
    return Check(
        False, f"{len(waiting)} jobs wait, the first for {oldest:.0f} s, and none is there."
    )
