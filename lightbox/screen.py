"""The open screen from Python: see what it shows, and move it, as `lightbox screen` does.

The app must be served (`lightbox app`) from the workspace of LIGHTBOX_HOME and a page be open in a
browser. Each function takes `session`, the id of one of several open pages (see `sessions`);
without it, it means the page that a person used last. Each that moves returns what is shown then,
as `show` does, and raises UserError, one sentence, with nothing moved, where that cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.outside import client

__all__ = ["clear", "colour", "look", "move", "page", "run", "select", "sessions", "show", "undo"]


def sessions() -> list[dict[str, Any]]:
    """The pages that are open in browsers, that which a person used last first: `session`, `page`,
    `dataset`, `run`, `selected` (a number of cases), `seconds_since_used`.
    """
    return list(client.ask("sessions")["sessions"])


def show(session: str = "") -> dict[str, Any]:
    """What a page shows: `page`, `dataset`, `run`, `colour`, `projection`, `dimensions`,
    `selection` (n, source, row ids `rows`, `names`), `case` (row, name; None for none) and `moved`.
    """
    return client.ask("show", session)


def move(session: str = "", **to: Any) -> dict[str, Any]:
    """Move a page in one step: any of page, dataset, run, colour, projection, dims, select (a
    rule), ids, cluster, group, clear, mode, look.
    """
    return client.ask("move", session, to)


def page(name: str, session: str = "") -> dict[str, Any]:
    """Open a page, by the name in its address; "map" is the latent map."""
    return move(session, page=name)


def run(id: str, session: str = "") -> dict[str, Any]:
    """Open a finished run, by its id or an unambiguous start of it."""
    return move(session, run=id)


def colour(column: str, session: str = "") -> dict[str, Any]:
    """Colour by a column."""
    return move(session, colour=column)


def select(what: str | Iterable[Any], mode: str = "set", session: str = "") -> dict[str, Any]:
    """Select cases: by a rule, as "age > 60 and sex = F" (see `core.row_rules`), or by their row
    numbers or file names. `mode`: set, add, remove or intersect.
    """
    if isinstance(what, str):
        return move(session, select=what, mode=mode)
    ids = [v.item() if hasattr(v, "item") else v for v in what]
    return move(session, ids=ids, mode=mode)


def clear(session: str = "") -> dict[str, Any]:
    """Select nothing."""
    return move(session, clear=True)


def look(case: int | str, session: str = "") -> dict[str, Any]:
    """Put one case into the inspector, by its row number or file name."""
    return move(session, look=str(case))


def undo(session: str = "") -> dict[str, Any]:
    """Show again what was shown before the newest move from outside."""
    return move(session, undo=True)
