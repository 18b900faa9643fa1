"""One fit per method and parameters, shared by the tests of a session."""

from __future__ import annotations

from functools import cache
from typing import Any

from core.artifacts import Artifact
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run


def fit(
    id: str, data: Dataset, seed: int = 0, on: dict[str, Artifact] | None = None, **params: Any
) -> tuple[Any, dict[str, Any]]:
    """The fitted method and its artifacts by slug."""
    kind = methods()[id]
    method, found = fit_and_apply(
        kind, check_params(kind, params), data, Run(seed=seed, device="cpu", on=on or {})
    )
    return method, {a.slug: a for a in found}


def curves_of(
    id: str, data: Dataset, on: dict[str, Artifact] | None = None, **params: Any
) -> list[dict[str, float]]:
    """What a fit of seed 0 reported along its training, step by step."""
    found: list[dict[str, float]] = []

    def keep(step: int, total: int, scalars: dict[str, float]) -> None:
        found.append({name: float(value) for name, value in scalars.items()})

    kind = methods()[id]
    run = Run(seed=0, device="cpu", on=on or {}, report_to=keep)
    fit_and_apply(kind, check_params(kind, params), data, run)
    return [scalars for scalars in found if scalars]


@cache
def sample(name: str) -> Dataset:
    return make_sample(name)


@cache
def on_digits(id: str, **params: Any) -> tuple[Any, dict[str, Any]]:
    return fit(id, sample("digits"), **params)
