"""Cards measured again, as jobs: the benchmark of each is a programme of the project's source
(`tests/benchmarks`), run as it always is, within the process of the job.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import evidence
from core.children import ROOT
from core.errors import UserError, require_train
from core.jobs import queue
from core.jobs.reconciling import reconcile
from core.jobs.sweep import cancel_all
from core.workspace.catalogue import EVIDENCE, Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.jobs.reporter import Reporter


def find_benchmarks() -> dict[str, str]:
    """Return the name of the benchmark that measures each method or measure, by id: its own file,
    or one that lists it in IDS.
    """
    found: dict[str, str] = {}
    for path in sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py")):
        own = path.stem.removeprefix("bench_")
        several = re.search(r"^IDS = \(([^)]*)\)", path.read_text(), re.MULTILINE)
        found |= {id: own for id in (re.findall(r'"(\w+)"', several[1]) if several else [own])}
    return found


def why_not_measured(id: str) -> str | None:
    """Return why the card of this id cannot be measured again here, in words, or None."""
    if id in find_benchmarks():
        return None
    return (
        f"There is no benchmark of “{id}” here; benchmarks are in the project's source, in"
        " tests/benchmarks."
    )


def run_benchmark(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Measure the card of `job.method` again; the process it is done in is changed by that, and
    does nothing else. UserError when there is no benchmark, or it ends badly.
    """
    from core.jobs.run_folder import save_artifacts

    if said := why_not_measured(job.method):
        raise UserError(said)
    name = find_benchmarks()[job.method]
    folder = Path(job.spec["folder"])
    os.environ[evidence.TARGET] = str(folder)
    sys.argv = [f"bench_{name}", *([job.method] if name != job.method else [])]
    warnings.simplefilter("ignore")
    os.chdir(ROOT)
    tell.phase("measuring")
    try:
        runpy.run_module(f"tests.benchmarks.bench_{name}", run_name="__main__", alter_sys=True)
    except SystemExit as e:
        if e.code:
            raise UserError(
                f"The benchmark of “{job.method}” did not end well; what it wrote in the run's log"
                " says why. The stored result is as it was."
            ) from e
    finally:
        os.chdir(ws.folder(job.id))
    save_artifacts(ws.folder(job.id), [])


@dataclass(frozen=True)
class Measuring:
    """Cards that are measured again, their results going into `folder`."""

    ids: tuple[str, ...]
    folder: Path

    def jobs(self, ws: Workspace) -> dict[str, Job | None]:
        """Return the last job of each, None where there was none."""
        found = {
            job.method: job
            for job in ws.catalogue.jobs(kind=EVIDENCE)
            if job.spec.get("folder") == str(self.folder)
        }
        return {id: found.get(id) for id in self.ids}

    def start(self, ws: Workspace) -> None:
        """Queue all of them; where the last time was broken off, only those that were not done
        then, or of which the code has changed since.
        """
        for id in self.ids:
            if said := why_not_measured(id):
                raise UserError(said)
        require_train()
        reconcile(ws)
        last = self.jobs(ws)
        codes = {id: evidence.code_of(id) for id in self.ids}
        done = {
            id
            for id, job in last.items()
            if job is not None and job.status == "done" and job.spec.get("code") == codes[id]
        }
        for id in self.ids:
            job = last[id]
            if id in done and len(done) < len(self.ids):
                continue
            if job is not None and not job.ended:
                continue
            if job is not None and job.status in ("cancelled", "interrupted"):
                queue.resume(ws, job.id, from_scratch=True)
                continue
            spec = {"params": {}, "folder": str(self.folder), "code": codes[id]}
            queue.measure_card(ws, id, spec)
        queue.ensure_supervisor(ws)

    def cancel(self, ws: Workspace) -> int:
        """Stop all that wait and then what runs; gives how many were stopped."""
        return cancel_all(ws, [job for job in self.jobs(ws).values() if job is not None])

    def lines(self, ws: Workspace) -> list[dict[str, Any]]:
        """Return of each card, in order: its id, job, status, seconds, and the verdict of its first
        table once it is done.
        """
        lines = []
        for id, job in self.jobs(ws).items():
            found = evidence.load_evidence(id, self.folder)
            told = found["tables"][0]["verdict"] if found and found["tables"] else ""
            done = job is not None and job.status == "done"
            lines.append(
                {
                    "id": id,
                    "run": job.id if job else None,
                    "status": job.status if job else "not begun",
                    "seconds": _seconds(job),
                    "error": (job.error or None) if job else None,
                    "verdict": told if done else "",
                }
            )
        return lines


def _seconds(job: Job | None) -> float:
    if job is None or job.started is None:
        return 0.0
    return round((job.finished or time.time()) - job.started if job.ended else job.seconds, 1)
