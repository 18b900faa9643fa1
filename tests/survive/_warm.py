"""Imported once by the process that supervisors and workers are forked from (`tests/warm.py`): all
that a small training needs.
"""

import lightning_fabric  # noqa: F401
import pyarrow.parquet  # noqa: F401
import sklearn.cluster
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401
import zarr  # noqa: F401

import core.evaluate
import core.jobs.scheduler
import core.jobs.worker  # noqa: F401
from core.jobs import engines, starting
from core.registry import measures, methods
from tests import warm

methods()
measures()
engines.spawn = starting.spawn = warm.spawn  # type: ignore[assignment]


def main(module: str, *args: str) -> None:
    """`main` of `module`, with the methods that this process's own environment names."""
    import importlib

    methods.cache_clear()
    importlib.import_module(module).main(*args)
