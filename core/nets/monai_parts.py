"""What of MONAI is used here: two networks and a loss.

Importing any part of MONAI imports all of it, and with it each optional library that is installed.
Of these Hugging Face's transformers (for MONAI's TransCheX) takes twice as long as the rest of
MONAI together; so MONAI is imported here only, and does not find it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from typing import Any

__all__ = ["BasicUNet", "BasicUNetPlusPlus", "DiceCELoss"]


@contextmanager
def without(library: str) -> Iterator[None]:
    """While it lasts, this thread cannot import `library`, unless the process already has; other
    threads can.
    """
    finder = _Hides(library)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Hides:
    """Says to the thread that made it that there is no such library."""

    def __init__(self, library: str) -> None:
        self.library, self.thread = library, threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.split(".")[0] == self.library and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


with without("transformers"):
    from monai.losses import DiceCELoss
    from monai.networks.nets import BasicUNet, BasicUNetPlusPlus
