"""What happens to an error nobody foresaw: its traceback goes into the workspace's log under an id that the user is told."""

from __future__ import annotations

import uuid
from pathlib import Path

from core.errors import trace
from core.settings import Settings


def noted(error: BaseException) -> tuple[str, Path]:
    """Write the traceback of `error` to the log; what it quotes left out; gives its id (8 hex digits) and the log's path."""
    bug = uuid.uuid4().hex[:8]
    log = Path(Settings().home).expanduser() / "log" / "errors.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as f:
        f.write(f"{bug} {type(error).__name__}\n{trace(error)}\n")
    return bug, log
