"""What happens to an error nobody foresaw: its traceback goes into the workspace's log under an id that the user is told."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

from core.errors import trace
from core.settings import Settings
from core.store.files import append, make_folder


def noted(error: BaseException) -> tuple[str, Path]:
    """Write the traceback of `error` to the log; what it quotes left out; gives its id (8 hex digits) and the log's path."""
    bug = uuid.uuid4().hex[:8]
    log = Path(Settings().home).expanduser() / "log" / "errors.log"
    with suppress(OSError):  # a full disk must not hide what happened
        append(make_folder(log.parent) / log.name, f"{bug} {type(error).__name__}\n{trace(error)}\n")
    return bug, log
