"""Fit and apply one method on one dataset: the same few lines for a worker, the command line and
the contract tests.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from pydantic import BaseModel

from core import __version__
from core.artifacts import Artifact, MadeBy, Metrics, Model
from core.artifacts.base import NotFinite
from core.data.dataset import Dataset
from core.data.slices import as_model_input, find_filled_slices, slice_ids
from core.errors import Cancelled, UserError, is_out_of_memory
from core.method import Method
from core.params import EpochParams
from core.training.accumulation import split_batches
from core.training.compatibility import (
    check_inputs,
    why_not,
    why_not_chosen,
    why_not_on,
    why_not_shared,
)
from core.training.loader import device_of
from core.training.run import Run
from core.training.slices_to_volumes import Fold

PACKAGES = ("torch", "numpy", "scikit-learn", "lightning-fabric", "kornia", "numba", "captum")


def fit_and_apply(
    kind: type[Method],
    params: BaseModel,
    data: Dataset,
    run: Run,
    run_id: str = "",
    phase: Callable[[str], None] = lambda words: None,
) -> tuple[Method, list[Artifact]]:
    """Train and describe every row. UserError when the data does not fit; Cancelled when the user
    stopped it.

    A volume dataset goes to a method that takes volumes slice by slice as its slices, and what is
    found is folded back onto the volumes. Memory is that of as many pictures: every picture-like
    result is float32 of the size of all slices, held once.
    """
    began = time.monotonic()
    with run.seeded():
        method, described, fold = _learn(kind, params, data, run, phase)
        run.check()
        phase("describing every case")
        method.to(run.where)
        try:
            artifacts = fold(_described(method, described, run))
        except NotFinite as e:
            raise UserError(
                f"{kind.title} broke down: what it found is no finite number for some cases ({e})."
                " Train again, with a smaller step size where there is one."
            ) from e
        run.check()
    origin = describe_origin(
        run_id,
        kind.id,
        method.params.model_dump(mode="json"),
        data,
        run,
        run.spent + time.monotonic() - began,
    )
    for artifact in artifacts:
        artifact.made_by = origin
    return method, artifacts


def fit_along(kind: type[Method], params: BaseModel, data: Dataset, run: Run) -> None:
    """Train as one of several processes that is not the run's own (`Run.ranks`): what is learned
    is the same, and it is the first that describes it. Raises as `fit_and_apply` does.
    """
    with run.seeded():
        _learn(kind, params, data, run, lambda words: None)


def _learn(
    kind: type[Method],
    params: BaseModel,
    data: Dataset,
    run: Run,
    phase: Callable[[str], None],
) -> tuple[Method, Dataset, Callable[[list[Artifact]], list[Artifact]]]:
    """Return the fitted method, what it is to describe, and what brings that back to the rows of
    `data`.
    """
    reason = why_not(kind, data)
    if reason:
        raise UserError(reason)
    reason = why_not_on(kind, run.on, data) or why_not_chosen(kind, run.chosen, data)
    if reason:
        raise UserError(reason)
    if run.ranks.several and (reason := why_not_shared(kind)):
        raise UserError(reason)
    check_inputs(data)
    method = kind(params)
    learned, described = data, data
    fold: Callable[[list[Artifact]], list[Artifact]] = _as_they_are
    if (pictures := as_model_input(method, data)) is not data:
        phase("looking for empty slices")
        counts = find_filled_slices(data)
        learned, described, fold = (
            pictures.take(np.flatnonzero(counts.ravel())),
            pictures,
            Fold(data, counts),
        )
        reason = why_not(kind, learned)
        if reason:
            raise UserError(reason)
        if run.chosen is not None:
            run.chosen = np.intersect1d(slice_ids(data, run.chosen), learned.rows)
    phase("learning")
    method = _fitted(method, learned, run)
    if run.ranks.several and not run.ranks.shared:
        run.note("Its batches were too small to be shared out, so more processes saved no time.")
    run.ranks.leave()
    return method, described, fold


def _described(method: Method, data: Dataset, run: Run) -> list[Artifact]:
    """Return the artifacts of a fitted method, its Model first where it gives one."""
    found = list(method.apply(data, run))
    if Model in method.gives and not any(isinstance(a, Model) for a in found):
        found.insert(0, method.model(data))
    return found


def describe(method: Method, data: Dataset, run: Run) -> list[Artifact]:
    """Return what a fitted method says of every row of data it has not learned from.

    `data` is as the method is to see it (`core.training.other_data.as_the_model_sees`). What the
    method measures of itself and the model are left out: both belong to the run it was fitted in.
    """
    check_inputs(data)
    described, fold = data, _as_they_are
    if (pictures := as_model_input(method, data)) is not data:
        described, fold = pictures, Fold(data, find_filled_slices(data))
    with run.seeded():
        method.to(run.where)
        found = [a for a in method.apply(described, run) if not isinstance(a, (Metrics, Model))]
        run.check()
    return fold(found)


def describes_own_only(method: type[Method] | Method) -> str:
    """Why a method's model cannot be applied to other data, in one sentence."""
    return f"{method.title} describes only the data it learned from; it cannot be applied to other."


def _fitted(method: Method, data: Dataset, run: Run) -> Method:
    """Return `method` after its fit on `data`; where memory does not suffice, each batch is
    computed in parts.
    """
    import torch

    while True:
        if method.watched and run.ranks.leads:
            run.watch = watch(method, data)
        try:
            method.fit(data, run)
            return method
        except (UserError, Cancelled):
            raise
        except Exception as e:
            # weights that are no numbers fail in many ways before the loss is looked at: tell the
            # cause
            run.check_loss()
            if not is_out_of_memory(e):
                raise
            if run.ranks.several or not method.divides or not split_batches(run):
                raise UserError(_too_small(method, data)) from e
        gc.collect()  # out of the except block, whose error holds on to what filled the memory
        if run.where.type == "cuda":
            torch.cuda.empty_cache()
        torch.manual_seed(run.seed)
        method = type(method)(method.params)


def _too_small(method: Method, data: Dataset) -> str:
    if isinstance(method.params, EpochParams) and not method.divides:
        size = min(method.params.batch_size, len(data.part("train")))
        return (
            f"Memory does not suffice for {method.title} in batches of {size}; try"
            f" {max(1, size // 2)}, or choose smaller images or a smaller network."
        )
    return (
        f"Memory does not suffice for {method.title} with these cases; choose smaller images, a"
        " smaller network or fewer rows, or a machine with more memory."
    )


def _as_they_are(artifacts: list[Artifact]) -> list[Artifact]:
    return artifacts


def watch(method: Method, data: Dataset, most: int = 300) -> Callable[[], dict[str, float]]:
    """Return a look at `method` in training: the measures that declare `along_training`, on its
    embedding of `most` training rows, always the same.

    Networks are in evaluation mode meanwhile and no generator is drawn from, so what is learned is
    the same with and without.
    """
    from core.artifacts import Embedding
    from core.registry import measures

    train = data.part("train")
    some = train.take(
        np.sort(np.random.default_rng(0).choice(len(train), min(most, len(train)), replace=False))
    )
    asked = [m for m in measures().values() if m.along_training]
    inputs: list[Any] = []

    def look() -> dict[str, float]:
        import torch

        nets = method.nets()
        training = [net.training for net in nets]
        device = device_of(nets)
        if not inputs:
            inputs.append(torch.from_numpy(some.inputs()).to(device))
        for net in nets:
            net.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            z = method.embed(inputs[0]).float().cpu().numpy()  # type: ignore[attr-defined]
        for net, mode in zip(nets, training):
            net.train(mode)
        if not np.isfinite(z).all():
            return {}  # the loss will say so in a moment
        embedding = Embedding(rows=some.rows, z=z)
        found = [
            m
            for one in asked
            if one.declines(some, embedding) is None
            for m in one.compute(some, embedding, rng=np.random.default_rng(0))
        ]
        return {m.name: m.value for m in found if m.value is not None}

    return look


def describe_origin(
    run_id: str, method: str, params: dict[str, Any], data: Dataset, run: Run, seconds: float
) -> MadeBy:
    """Provenance of what `run` made."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return MadeBy(
        run=run_id,
        method=method,
        version=__version__,
        params=params,
        data_hash=data.hash[:16],
        seed=run.seed,
        device=str(run.where),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 2),
        packages=packages,
        notes=list(run.notes),
    )


def key_of(*parts: Any) -> str:
    """sha256 of json-able values: equal keys mean equal results."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]
