"""What happens to an error nobody foresaw: its traceback goes into the workspace's log under an id
that the user is told.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from core.errors import private_traceback
from core.io.events import log_event
from core.io.files import append_line, make_folder
from core.settings import Settings


def log_error(error: BaseException, on_screen: bool = False) -> str:
    """Write the traceback of `error` to the log, what it quotes left out; gives the sentence for
    the user, with the id (8 hex digits) under which the log has it (`on_screen`: without the path).
    Where the log cannot be written, the sentence has the traceback's last line instead.
    """
    bug = uuid.uuid4().hex[:8]
    log = Path(Settings().home).expanduser() / "log" / "errors.log"
    said = private_traceback(error)
    log_event("error", id=bug, type=type(error).__name__)
    try:
        append_line(make_folder(log.parent) / log.name, f"{bug} {type(error).__name__}\n{said}\n")
    except OSError as e:
        return (
            f"Something went wrong inside, and the log cannot be written ({e.strerror}):"
            f" {said.splitlines()[-1][:300]}"
        )
    return (
        f"Something went wrong inside (id {bug}); {log.name if on_screen else log} has the details."
    )
