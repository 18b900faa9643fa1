"""Measured numbers with their intervals over the patients of the evaluated rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Metric
from core.stats.bootstrap import BLOCKS, EVERYWHERE, interval, mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def mean_metric(
    name: str,
    values: np.ndarray,
    data: Dataset,
    within: tuple[float, float] = EVERYWHERE,
    **about: Any,
) -> Metric:
    """Return the mean of `values` (float or bool [n]), one for each row of `data`, with its 95 %
    interval.

    `within`: the least and largest value there can be (bool: 0 to 1); `about`: further fields of
    the `Metric`, such as `split` and `note`.
    """
    one = Metric(name, float(np.mean(values)), n=len(values), **about)
    return one.within(mean_interval(values, data.groups, within))


def counted_metric(
    name: str,
    value: Callable[[np.ndarray], float],
    data: Dataset,
    within: tuple[float, float] = EVERYWHERE,
    classes: np.ndarray | None = None,
    blocks: int = BLOCKS,
    **about: Any,
) -> Metric:
    """`value(positions)` over the rows of `data`, with its 95 % interval (see
    `core.stats.bootstrap.interval`, which says what `within`, `classes` and `blocks` are).

    `about`: further fields of the `Metric`, such as `split` and `note`.
    """
    n = len(data)
    one = Metric(name, value(np.arange(n)), n=n, **about)
    return one.within(interval(value, n, data.groups, within, classes, blocks=blocks))
