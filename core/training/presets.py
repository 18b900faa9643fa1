"""The parameters of a preset, which follow the number of cases."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from core.data.dataset import Dataset
from core.method import Method
from core.params import EpochParams


def cases(kind: type[Method], data: Dataset, params: BaseModel | None = None) -> int:
    """How many training cases `kind` sees in `data`: its training rows, or the slices of its
    training volumes.
    """
    n = len(data.part("train"))
    return n * data.shape[1] if data.modality == "volume" and kind(params).slicewise else n


def preset(kind: type[Method], name: str, n: int) -> dict[str, Any]:
    """Return the parameters of preset `name` for `n` training cases (see `cases`): an epoch of few
    rows has few steps, so all presets' epochs grow by the same factor.
    """
    values = dict(kind.presets[name])
    if not kind.least_steps or not issubclass(kind.Params, EpochParams):
        return values
    fields = kind.Params.model_fields
    quick = next(iter(kind.presets.values())).get("epochs", fields["epochs"].default)
    steps = quick * -(-n // fields["batch_size"].default)
    more = max(1.0, kind.least_steps / max(steps, 1))
    most = next(m.le for m in fields["epochs"].metadata if hasattr(m, "le"))
    return values | {"epochs": min(most, round(values.get("epochs", quick) * more))}
