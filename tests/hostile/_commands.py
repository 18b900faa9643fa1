"""Imported once by the process that commands are forked from, in the folder somebody stands in:
what most commands import, after what reads settings there.
"""

import sys

from core.children import import_from_elsewhere

import_from_elsewhere()

import pandas  # noqa: E402, F401
import sklearn.linear_model  # noqa: E402, F401
import torch  # noqa: E402, F401
import zarr  # noqa: E402, F401

from app.cli import main  # noqa: E402
from core.registry import measures, methods  # noqa: E402

methods()
measures()


def command(*words: str) -> None:
    """Do the command that the words say, as the console script does."""
    sys.argv = ["lightbox", *words]
    main()
