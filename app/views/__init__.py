"""Views: one file each, with `TITLE` and `show(artifact, context)`. The annotation of the first
argument says which artifacts it draws; an optional `fits(artifact, data) -> bool` narrows that (an
outline needs predictions with a place).

The folder is walked: to add a view, add its file. Every view works for every method that gives its
artifact type.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from core.artifacts import Artifact
from core.data.dataset import Dataset


class View(NamedTuple):
    """A way of looking: `show(artifact, context)` draws into the page."""

    id: str
    title: str
    takes: type[Artifact]
    show: Callable[[Any, Any], None]
    fits: Callable[[Any, Any], bool] = lambda artifact, data: True


@cache
def views() -> tuple[View, ...]:
    """All views, sorted by id."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"app.views.{path.stem}")
        takes = next(iter(get_type_hints(module.show).values()))
        narrowed = {"fits": module.fits} if hasattr(module, "fits") else {}
        found.append(View(path.stem, module.TITLE, takes, module.show, **narrowed))
    return tuple(found)


def views_of(artifact: Artifact, data: Dataset) -> list[View]:
    """The views that can draw this artifact of a run on `data`. What is said of single slices is
    drawn on the map.
    """
    return [
        v
        for v in views()
        if artifact.place is None and isinstance(artifact, v.takes) and v.fits(artifact, data)
    ]
