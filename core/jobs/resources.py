"""What a job asks of a cluster: processors, GPUs and memory."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import UserError
from core.settings import Settings
from core.training.loader import MEMORY_LIMIT, row_bytes
from core.workspace.catalogue import EVIDENCE, Job
from core.workspace.workspace import Workspace

BASE = 1 << 30  # bytes that libraries, a network and its optimiser take
COPIES = 2  # the samples as stored, and what is made of them


@dataclass(frozen=True)
class Needs:
    """Processors, GPUs and bytes of memory."""

    cpus: int
    gpus: int
    memory: int

    def __str__(self) -> str:
        cards = f", {self.gpus} GPU{'s' if self.gpus != 1 else ''}" if self.gpus else ""
        return (
            f"{self.cpus} CPU{'s' if self.cpus != 1 else ''}{cards} and"
            f" {self.memory / 2**30:.1f} GiB of memory"
        )


def estimate_needs(ws: Workspace, job: Job, gpus_there: bool) -> Needs:
    """Return what `job` needs. A training may take a GPU where the cluster has one, as on one
    machine, and has to where it was asked onto one; all else is done on one processor. Memory
    follows from the rule by which training keeps samples (`core.training.loader`): all of them as
    stored up to 2 GiB, larger data is read from disk.
    """
    trains = job.kind in ("train", EVIDENCE)
    wants_gpu = trains and (job.device == "cuda" or (job.device != "cpu" and gpus_there))
    return Needs(
        max(Settings().job_cpus, job.processes) if trains else 1,
        job.processes if wants_gpu else 0,
        job.processes * (BASE + COPIES * min(MEMORY_LIMIT, _stored_bytes(ws, job))),
    )


def _stored_bytes(ws: Workspace, job: Job) -> int:
    try:
        data = ws.dataset(job.dataset)
        return row_bytes(data) * len(data)
    except UserError:  # text has no samples; data that cannot be opened is the job's to tell
        return 0
