"""Views: one file each, with `TITLE` and `show(artifact, context)`. The annotation of the first argument says which artifacts it draws.

The folder is walked: to add a view, add its file. Every view works for every method that gives its artifact type.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from core.artifacts import Artifact


class View(NamedTuple):
    """A way of looking: `show(artifact, context)` draws into the page."""

    id: str
    title: str
    takes: type[Artifact]
    show: Callable[[Any, Any], None]


@cache
def views() -> tuple[View, ...]:
    """All views, sorted by id."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"app.views.{path.stem}")
        takes = next(iter(get_type_hints(module.show).values()))
        found.append(View(path.stem, module.TITLE, takes, module.show))
    return tuple(found)


def views_of(artifact: Artifact) -> list[View]:
    """The views that can draw this artifact."""
    return [v for v in views() if isinstance(artifact, v.takes)]
