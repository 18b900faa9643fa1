"""Imported once by the process that readers of damaged files are forked from: every reader."""

import importlib
import pkgutil

from core.data import readers

for module in pkgutil.iter_modules(readers.__path__):
    importlib.import_module(f"{readers.__name__}.{module.name}")
