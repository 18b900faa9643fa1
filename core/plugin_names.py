"""The name by which plug-ins import the engine, `core`, where the engine is installed as
`lightbox.core`: both are then the same modules.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

KNOWN = "core"  # to plug-ins
INSTALLED = __name__.rpartition(".")[0]  # `core` in a checkout


def serve_plugin_names() -> None:
    """Let `import core.method` give the installed module from now on. Called before a plug-in is
    loaded and not earlier, since whoever only uses the library may have a `core` of their own.
    """
    if INSTALLED != KNOWN and not any(isinstance(f, _SameModules) for f in sys.meta_path):
        sys.meta_path.insert(0, _SameModules())


class _SameModules:
    """Finds `core` and what is below it as the installed modules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] != KNOWN:
            return None
        return ModuleSpec(name, _Same(importlib.import_module(INSTALLED + name[len(KNOWN) :])))


class _Same(Loader):
    """Gives a module that is there already, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import has just written its own
