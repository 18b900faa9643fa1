"""Work over many cases, shared out among the processors of the Ray cluster that a job runs on: one
result, with the bits of the unshared one, since a part is whole batches of it.

The job itself works from the one end, the cluster from the other; so it is done however little room
there is, and what a lost node had is done again by Ray or by the job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from core.artifacts import Attributions
from core.errors import Cancelled
from core.explain.attribution import BATCH, Question, attribute
from core.explain.explained_targets import PREDICTED, predicted_targets
from core.jobs.cluster_node import CLUSTER_AT
from core.jobs.explaining import open_question
from core.training.loader import device_of
from core.workspace.workspace import Workspace

PART = 4 * BATCH  # cases of a part
LEAST = 2 * PART  # cases below which nothing is shared out: a processor has to import first

Part = tuple[np.ndarray, str]  # positions [k] among the rows, and the target of them all


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
    has to spare; here alone where the job is on none, few cases are asked for, or they are volumes
    or on a GPU.
    """
    model, data, rows, ask = asked
    alone = data.modality == "volume" or len(rows) < LEAST or device_of(model.nets()).type != "cpu"
    ray = None if alone else _connect()
    if ray is None:
        return attribute(model, data, rows, how, target, report, stop, ask)
    report(0.0)
    each = predicted_targets(model, data, rows) if target == PREDICTED else [target] * len(rows)
    parts = cut(each)

    def here(part: Part) -> Attributions:
        return attribute(model, data, rows[part[0]], how, part[1], stop=stop, ask=ask)

    task = ray.remote(attribute_part).options(num_cpus=1, max_retries=3)
    sent = [task.remote(str(ws.home), job, rows[at], how, one) for at, one in parts]
    done = _gather(ray, parts, sent, here, report, stop)
    return join(parts, done, target)


def cut(targets: list[str]) -> list[Part]:
    """Return parts of whole batches: of the cases of each target, in the order targets come in."""
    named = np.array(targets, object)
    return [
        (some[i : i + PART], target)
        for target in dict.fromkeys(targets)
        for some in [np.flatnonzero(named == target)]
        for i in range(0, len(some), PART)
    ]


def join(parts: list[Part], done: list[Attributions], target: str) -> Attributions:
    """Return the attributions of all cases, in their order."""
    back = np.argsort(np.concatenate([at for at, _ in parts]), kind="stable")
    joined: dict[str, Any] = {
        key: None
        if getattr(done[0], key) is None
        else np.concatenate([getattr(one, key) for one in done])[back]
        for key in ("rows", *Attributions.per_row)
    }
    return replace(done[0], target=target, **joined)


def _gather(
    ray: Any,
    parts: list[Part],
    sent: list[Any],
    here: Callable[[Part], Attributions],
    report: Callable[[float], None],
    stop: Callable[[], bool],
) -> list[Attributions]:
    """Return what each part gives, from the cluster or, from the last part on, from here."""
    done: dict[int, Attributions] = {}
    while len(done) < len(parts):
        if stop():
            raise Cancelled
        open_ = {sent[k]: k for k in range(len(parts)) if k not in done}
        for answer in ray.wait(list(open_), num_returns=len(open_), timeout=0)[0]:
            k = open_.pop(answer)
            done[k] = _value(ray, answer) or here(parts[k])
        if open_:
            k = max(open_.values())
            ray.cancel(sent[k])  # where it still waits for room it need not begin
            done[k] = here(parts[k])
        report(len(done) / len(parts))
    return [done[k] for k in range(len(parts))]


def _value(ray: Any, answer: Any) -> Attributions | None:
    """Return what the cluster gives; None where it failed, so that the job does that part itself
    and says what is wrong where it is the work.
    """
    from ray.exceptions import RayError

    try:
        return ray.get(answer)  # type: ignore[no-any-return]
    except RayError:
        return None


def _connect() -> Any:
    """Return Ray, connected to the cluster this job runs on; None where it runs on none."""
    address = os.environ.get(CLUSTER_AT)
    if not address:
        return None
    import ray

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    return ray if ray.cluster_resources().get("CPU", 0) > 1 else None


def attribute_part(home: str, job: str, rows: np.ndarray, how: str, target: str) -> Attributions:
    """Return the attributions of some rows of an explanation; done by a process of Ray's."""
    model, data, _, ask = _asked(home, job)
    return attribute(model, data, rows, how, target, ask=ask)


@lru_cache(maxsize=1)
def _asked(home: str, job: str) -> tuple[Any, Any, np.ndarray, Question]:
    ws = Workspace(Path(home))
    return open_question(ws, ws.job(job), "cpu")
