"""Attributions of many cases, shared out where the job has helpers (`core.jobs.sharing`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from core.artifacts import Attributions
from core.errors import Cancelled
from core.explain.attribution import BATCH, Question, attribute
from core.explain.explained_targets import PREDICTED, predicted_targets
from core.io.shared_work import Work, do, helpers
from core.jobs.explaining import open_question
from core.training.loader import device_of
from core.workspace.workspace import Workspace

Unit = tuple[np.ndarray, str]  # positions [k] among the rows, and the target of them all
Opened = tuple[Any, Any, Question, str]  # model, data, question, way


def attribute_shared(
    ws: Workspace,
    job: str,
    asked: tuple[Any, Any, np.ndarray, Question],
    how: str,
    target: str,
    report: Callable[[float], None],
    stop: Callable[[], bool],
) -> Attributions:
    """`attribute` of `asked` (model, data, rows, question), on all the processors that a cluster
    has to spare; here alone where the job is on none, or the cases are volumes or on a GPU.
    """
    model, data, rows, ask = asked
    alone = data.modality == "volume" or not len(rows) or device_of(model.nets()).type != "cpu"
    if alone or helpers() is None:
        return attribute(model, data, rows, how, target, report, stop, ask)
    each = predicted_targets(model, data, rows) if target == PREDICTED else [target] * len(rows)
    units = cut(each)
    done: dict[int, list[tuple[np.ndarray, Attributions]]] = {}

    def here(part: range) -> list[Attributions]:
        return [
            attribute(model, data, rows[at], how, one, stop=stop, ask=ask)
            for at, one in gather([units[i] for i in part])
        ]

    def keep(part: range, made: list[Attributions]) -> None:
        ats = [at for at, _ in gather([units[i] for i in part])]
        done[part.start] = list(zip(ats, made, strict=True))

    def check() -> None:
        if stop():
            raise Cancelled

    work = Work(
        units=len(units),
        here=here,
        keep=keep,
        common=lambda: (str(ws.home), job, how),
        send=lambda part: [(rows[at], one) for at, one in gather([units[i] for i in part])],
        open=open_asked,
        there=attribute_part,
        unit_bytes=8 * BATCH,
    )
    do(work, check, report)
    return join([one for start in sorted(done) for one in done[start]], target)


def cut(targets: list[str]) -> list[Unit]:
    """Return whole batches: of the cases of each target, in the order targets come in."""
    named = np.array(targets, object)
    return [
        (some[i : i + BATCH], target)
        for target in dict.fromkeys(targets)
        for some in [np.flatnonzero(named == target)]
        for i in range(0, len(some), BATCH)
    ]


def gather(units: list[Unit]) -> list[Unit]:
    """Return units of one target that follow one another as one."""
    return [
        (np.concatenate([at for at, _ in some]), target)
        for target, some in groupby(units, key=lambda unit: unit[1])
    ]


def join(done: list[tuple[np.ndarray, Attributions]], target: str) -> Attributions:
    """Return the attributions of all cases, in their order."""
    back = np.argsort(np.concatenate([at for at, _ in done]), kind="stable")
    made = [one for _, one in done]
    joined: dict[str, Any] = {
        key: None
        if getattr(made[0], key) is None
        else np.concatenate([getattr(one, key) for one in made])[back]
        for key in ("rows", *Attributions.per_row)
    }
    return replace(made[0], target=target, **joined)


def open_asked(common: tuple[str, str, str]) -> Opened:
    """Return what is asked of the job that `common` names (home, job, way)."""
    home, job, how = common
    ws = Workspace(Path(home))
    model, data, _, ask = open_question(ws, ws.job(job), "cpu")
    return model, data, ask, how


def attribute_part(asked: Opened, sent: list[tuple[np.ndarray, str]]) -> list[Attributions]:
    """Return the attributions of some rows, each with its target."""
    model, data, ask, how = asked
    return [attribute(model, data, rows, how, target, ask=ask) for rows, target in sent]
