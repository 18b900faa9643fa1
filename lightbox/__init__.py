"""Lightbox in Python: read data, fit a method, draw a map, open stored runs, write a report.

Everything is imported at first use, so `import lightbox` by itself loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightbox.library import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'lightbox' has no attribute {name!r}")
    library = import_module("lightbox.library")
    if name not in library.__all__:
        raise AttributeError(f"module 'lightbox' has no attribute {name!r}")
    return getattr(library, name)


def __dir__() -> list[str]:
    return list(import_module("lightbox.library").__all__)
