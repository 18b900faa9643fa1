"""How long a training will take: from earlier runs of the method here, else a first guess from its declared cost."""

from __future__ import annotations

import numpy as np

from core.data.dataset import Dataset
from core.method import Method, cases, check_params
from core.run import gpu_here
from core.store.workspace import Workspace

STARTUP = 4.0  # seconds a worker needs to import what it needs


def seconds(ws: Workspace, kind: type[Method], params: dict[str, object], data: Dataset, device: str = "auto") -> tuple[float, int]:
    """(estimated seconds, number of earlier runs it rests on, all on a card or all on the processor as this one would be; 0 = a first guess)."""
    work, place = _work(kind, params, data), "cuda" if device != "cpu" and gpu_here() else "cpu"
    rates: list[float] = []
    sizes = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    for job in ws.runs():
        slugs = ws.slugs(job.id) if job.kind == "train" and job.method == kind.id and job.status == "done" and job.dataset in sizes and len(rates) < 5 else []
        made = ws.artifact(job.id, slugs[0]).made_by if slugs else None
        if made is not None and made.device.startswith(place):
            rates.append(made.seconds / max(_work(kind, job.params, ws.dataset(sizes[job.dataset])), 1.0))
    rate = float(np.median(rates)) if rates else kind.takes.seconds_per_value
    return STARTUP + rate * work, len(rates)


def _work(kind: type[Method], params: dict[str, object], data: Dataset) -> float:
    method = kind(check_params(kind, dict(params)))
    n = cases(kind, data, method.params)
    values = method.values(tuple(data.shape))
    return method.passes(n) * max(1, values * len(data.part("train")) / max(1, n))  # a slice has its share of the volume's values
