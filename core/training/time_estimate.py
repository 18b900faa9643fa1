"""How long a training will take: from this machine's own runs of like size, or not said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.dataset import Dataset
from core.method import Method, check_params
from core.training.presets import cases
from core.training.run import gpu_here
from core.workspace.workspace import Workspace

STARTUP = 4.0  # seconds a worker needs to import what it needs
LIKE = 5.0  # factor in work up to which an earlier run is of like size
MOST = 5  # latest runs of like size that count


@dataclass(frozen=True)
class Estimate:
    """Expected `seconds`, None where no run of like size was made here, and how many `runs` they
    rest on.
    """

    seconds: float | None
    runs: int = 0


def estimate(
    ws: Workspace,
    kind: type[Method],
    params: dict[str, object],
    data: Dataset,
    device: str = "auto",
) -> Estimate:
    """Return what a training takes here, by the last runs of this method of like size on the same
    device.

    The work of a training is the values it looks at. Each run of at most `LIKE` times more or
    less work counts with its time scaled by the work; beyond that, fixed costs would be scaled
    into minutes, so nothing is said.
    """
    work = _work(kind, params, data)
    place = "cuda" if device != "cpu" and gpu_here() else "cpu"
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    times: list[float] = []
    for job in ws.runs():
        if job.kind != "train" or job.method != kind.id or job.status != "done":
            continue
        if job.dataset not in names or not (slugs := ws.slugs(job.id)):
            continue
        origin = ws.artifact(job.id, slugs[0]).made_by
        done = _work(kind, job.params, ws.dataset(names[job.dataset]))
        if origin.device.startswith(place) and work / LIKE <= done <= work * LIKE:
            times.append(origin.seconds * work / done)
        if len(times) == MOST:
            break
    return Estimate(STARTUP + float(np.median(times)), len(times)) if times else Estimate(None)


def guess_seconds(kind: type[Method], params: dict[str, object], data: Dataset) -> float:
    """Seconds by the cost a method declares, to choose between methods; too rough to be shown."""
    return STARTUP + kind.takes.seconds_per_value * _work(kind, params, data)


def _work(kind: type[Method], params: dict[str, object], data: Dataset) -> float:
    method = kind(check_params(kind, dict(params)))
    n = cases(kind, data, method.params)
    values = method.values(tuple(data.shape))
    share = values * len(data.part("train")) / max(1, n)  # a slice has its share of the volume's
    return max(1.0, method.passes(n) * max(1, share))
