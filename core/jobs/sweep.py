"""A sweep: methods × settings × seeds on one dataset, each a training of its own in the queue, and
one table of what they measured.

Nothing is stored of it but its runs: each is known by a token made of what it is to learn from and
how, so that asking again for the same sweep finds those that are there, whoever asked, goes on with
those that were broken off, and trains only what is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.artifacts import Metrics
from core.errors import UserError, require_train
from core.jobs import queue
from core.jobs.reconciling import reconcile
from core.method import check_params
from core.registry import method_class, methods
from core.training.compatibility import why_not
from core.training.fit import key_of
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

TOKEN = "sweep-"
MOST = 1000  # trainings of one sweep


@dataclass(frozen=True)
class Cell:
    """One training of a sweep. `setting`: the parameters that were asked for; `token` names the
    training, whichever sweep it is of.
    """

    method: str
    setting: tuple[tuple[str, str], ...]
    seed: int
    token: str

    @property
    def words(self) -> str:
        """The setting in words; "" where nothing was asked for."""
        return ", ".join(f"{name}={value}" for name, value in self.setting)


@dataclass(frozen=True)
class Sweep:
    """What is trained, on which dataset and device (see `core.jobs.queue.train`)."""

    dataset: str
    device: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Value:
    """A measure over the seeds that are done: mean, least and largest."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Line:
    """The trainings of one method with one setting, those of other seeds beside it. `values`: by
    (name, split) of what was measured on all cases of the split.
    """

    method: str
    setting: str
    jobs: tuple[Job | None, ...]
    values: dict[tuple[str, str], Value]

    @property
    def done(self) -> int:
        """How many have been trained."""
        return sum(job is not None and job.status == "done" for job in self.jobs)


def plan(
    ws: Workspace,
    dataset: str,
    names: list[str],
    settings: list[tuple[str, str, str]],
    seeds: list[int],
    device: str = "auto",
) -> Sweep:
    """Return the sweep of these methods, with every combination of the settings (method or "" for
    all, parameter, value) and every seed; of a method whose result no seed changes the first.

    UserError before anything is asked for where a method is unknown or does not fit the data, a
    parameter is out of its bounds, or there are more than `MOST` trainings.
    """
    require_train()
    data, id = ws.dataset(dataset), ws.entry(dataset)["id"]
    if strange := next((m for m, _, _ in settings if m and m not in names), None):
        raise UserError(f"A setting is of “{strange}”, which is not among the methods.")
    cells = []
    for name in dict.fromkeys(names):
        kind = method_class(name)
        if kind is None:
            raise UserError(f"There is no method “{name}” (there are: {', '.join(methods())}).")
        if said := why_not(kind, data):
            raise UserError(f"{kind.title} does not fit “{data.name}”: {said}")
        if kind.takes.on or kind.takes.chosen == "needed":
            raise UserError(
                f"{kind.title} builds on an earlier run or on chosen cases, which a sweep does not"
                " give; train it by itself."
            )
        for setting in _combined(name, settings):
            params = check_params(kind, dict(setting)).model_dump(mode="json")
            for seed in seeds[:1] if kind.takes.deterministic else dict.fromkeys(seeds):
                key = key_of("sweep", id, data.hash, name, params, seed, device)
                cells.append(Cell(name, setting, seed, TOKEN + key))
    if len(cells) > MOST:
        raise UserError(f"That is {len(cells):,} trainings; a sweep has at most {MOST:,}.")
    unique = {cell.token: cell for cell in reversed(cells)}
    return Sweep(dataset, device, tuple(reversed(unique.values())))


def _combined(
    method: str, settings: list[tuple[str, str, str]]
) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield every combination of the values that each parameter of a method is to have."""
    values: dict[str, list[str]] = {}
    for whose, name, value in settings:
        if whose in ("", method):
            values.setdefault(name, []).append(value)
    for chosen in itertools.product(*values.values()):
        yield tuple(zip(values, chosen, strict=True))


def start(ws: Workspace, sweep: Sweep) -> None:
    """Queue what is missing, and have those go on that were interrupted, cancelled or failed; not
    what would fail again.
    """
    reconcile(ws)
    there = find_jobs(ws, sweep)
    for cell in sweep.cells:
        job = there[cell.token]
        if job is None:
            label = ", ".join(filter(None, (cell.words, f"seed {cell.seed}")))
            queue.train(
                ws,
                sweep.dataset,
                cell.method,
                dict(cell.setting),
                seed=cell.seed,
                device=sweep.device,
                label=label,
                token=cell.token,
            )
        elif job.ended and job.status != "done" and not queue.why_would_fail_again(ws, job):
            queue.resume(ws, job.id)
    queue.ensure_supervisor(ws)


def find_jobs(ws: Workspace, sweep: Sweep) -> dict[str, Job | None]:
    """Return the training of each cell by its token, None where it was not asked for yet."""
    found = {job.token: job for job in ws.catalogue.jobs(kind="train") if job.token}
    return {cell.token: found.get(cell.token) for cell in sweep.cells}


def cancel(ws: Workspace, sweep: Sweep) -> int:
    """Stop all that wait and then what is being trained; gives how many were stopped."""
    return cancel_all(ws, [job for job in find_jobs(ws, sweep).values() if job is not None])


def cancel_all(ws: Workspace, jobs: list[Job]) -> int:
    """Cancel those that have not ended: what waits, the last first, so that none begins meanwhile,
    and then what runs; gives how many.
    """
    here = [job for job in jobs if not job.ended]
    for job in sorted(here, key=lambda job: (job.status == "running", -job.created)):
        queue.cancel(ws, job.id)
    return len(here)


class Table:
    """What a sweep has come to: `lines` looks; what was measured in a run is read once."""

    def __init__(self, ws: Workspace, sweep: Sweep) -> None:
        self.ws, self.sweep = ws, sweep
        self._measured: dict[str, dict[tuple[str, str], float]] = {}

    def lines(self) -> list[Line]:
        """Return a line for each method and setting, in the order of the sweep."""
        jobs = find_jobs(self.ws, self.sweep)
        groups: dict[tuple[str, str], list[Job | None]] = {}
        for cell in self.sweep.cells:
            groups.setdefault((cell.method, cell.words), []).append(jobs[cell.token])
        return [
            Line(method, setting, tuple(some), self._values(some))
            for (method, setting), some in groups.items()
        ]

    def _values(self, jobs: list[Job | None]) -> dict[tuple[str, str], Value]:
        found: dict[tuple[str, str], list[float]] = {}
        for job in jobs:
            if job is not None and job.status == "done":
                for key, value in self._of(job).items():
                    found.setdefault(key, []).append(value)
        return {key: Value(float(np.mean(v)), min(v), max(v), len(v)) for key, v in found.items()}

    def _of(self, job: Job) -> dict[tuple[str, str], float]:
        if job.id not in self._measured:
            metrics = self.ws.artifact(job.id, "metrics")
            assert isinstance(metrics, Metrics)
            self._measured[job.id] = {
                (m.name, m.split): float(m.value)
                for m in metrics
                if m.value is not None and m.group == "all" and np.isfinite(m.value)
            }
        return self._measured[job.id]


def as_json(table: Table) -> dict[str, Any]:
    """Return the whole table as plain values."""
    return {
        "dataset": table.sweep.dataset,
        "lines": [
            {
                "method": line.method,
                "setting": line.setting,
                "runs": [
                    {"run": j.id, "seed": j.seed, "status": j.status, "error": j.error or None}
                    for j in line.jobs
                    if j is not None
                ],
                "measures": [
                    {"name": name, "split": split, **vars(value)}
                    for (name, split), value in line.values.items()
                ],
            }
            for line in table.lines()
        ],
    }
