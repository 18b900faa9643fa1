"""Imported once by the process that workers are forked from: all that a small training needs."""

import lightning_fabric  # noqa: F401
import pyarrow.parquet  # noqa: F401
import sklearn.cluster
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401
import zarr  # noqa: F401

import core.evaluate
import core.jobs.worker  # noqa: F401
from core.registry import measures, methods

methods()
measures()
