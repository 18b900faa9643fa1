"""Which open page (a browser session of Streamlit) belongs to whom, and what it was given: files
and the socket of one person are closed to another, even by their exact address.
"""

from __future__ import annotations

import threading
from typing import Any

SWEEP = 2000  # files noted between two sweeps of what belonged to closed pages
_owners: dict[str, str] = {}  # Streamlit's id of a session -> person
_files: dict[str, set[str]] = {}  # id of a media file -> the sessions it was given to
_lock = threading.Lock()


def claim_session(session: str, person: str) -> None:
    """Note at the start of a page's script whose it is."""
    with _lock:
        _owners[session] = person


def is_owner(session: str, person: str) -> bool:
    """Whether the session is this person's; one that never ran a script is nobody's."""
    with _lock:
        return _owners.get(session) == person


def may_take_up(session: str, person: str) -> bool:
    """Whether a lost connection to a session may be taken up by this person: theirs, or unknown, as
    after a restart, when a new one is begun.
    """
    with _lock:
        return _owners.get(session, person) == person


def may_read_file(file: str, person: str) -> bool:
    """Whether a page of this person was given the media file `file` ("<id>.<ending>")."""
    with _lock:
        given = _files.get(file.partition(".")[0], ())
        return any(_owners.get(session) == person for session in given)


def watch_files() -> None:
    """Note from now on which session is given which file. Trap: what Streamlit (1.67) itself knows
    of that is emptied at the start of each run of a script, while its pictures are still asked for.
    """
    from streamlit.runtime import get_instance

    files: Any = get_instance().media_file_mgr
    if getattr(files, "watched", False):
        return
    files.watched = True
    add, defer, make = files.add, files.add_deferred, files.execute_deferred

    def added(*args: Any, **more: Any) -> str:
        address: str = add(*args, **more)
        _note(_id(address), {_own_session()})
        return address

    def deferred(*args: Any, **more: Any) -> str:
        id: str = defer(*args, **more)
        _note(id, {_own_session()})
        return id

    def made(id: str) -> str:
        address: str = make(id)
        _note(_id(address), _files.get(id, set()))
        return address

    files.add, files.add_deferred, files.execute_deferred = added, deferred, made


def _id(address: str) -> str:
    return address.rpartition("/")[2].partition(".")[0]


def _own_session() -> str:
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    return context.session_id if context else ""


def _note(file: str, given: set[str]) -> None:
    with _lock:
        _files.setdefault(file, set()).update(given - {""})
        full = not len(_files) % SWEEP
    if full:
        sweep()


def sweep() -> None:
    """Forget pages that are closed for good, and what they were given."""
    from streamlit.runtime import get_instance

    runtime: Any = get_instance()
    open_ = {one.session.id for one in runtime._session_mgr.list_sessions()}
    with _lock:
        for session in set(_owners) - open_:
            del _owners[session]
        for id in [id for id, given in _files.items() if not given & open_]:
            del _files[id]
