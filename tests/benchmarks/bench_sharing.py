"""Work over a whole dataset by one process without Ray, and by jobs on a Ray cluster of this
machine, of one processor (the job's own) and of two: `python -m tests.benchmarks.bench_sharing`.
Cases a second of the time from a job's start to its end, and whether the bits agree.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.jobs.explaining import explain_spec
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.clusters import two_nodes

LEARNED, MARKED = 240, 2400  # pictures that the model of the heat maps learns from, and marks
EXPLAINED = 1797  # digits


def enlarged(name: str, rows: int) -> Any:
    """The first `rows` digits as pictures of 32 x 32, again from the first where there are more."""
    digits = make_sample("digits")
    at = np.arange(rows) % len(digits)
    samples = np.asarray(digits.samples[:])[at].repeat(4, -1).repeat(4, -2)
    return replace(
        digits, name=name, samples=samples, table=digits.table.iloc[at].reset_index(drop=True)
    )


def explain(ws: Workspace, runs: dict[str, str], name: str) -> Job:
    spec = explain_spec("predicted", ws.dataset("digits").rows[:EXPLAINED])
    spec |= {"how": "occlusion", "asked": name}
    return queue.derive(ws, "explain", runs["classifier"], spec)


def apply(ws: Workspace, runs: dict[str, str], name: str) -> Job:
    return queue.apply(ws, runs["ear"], "many")


WORKS: dict[str, tuple[Callable[[Workspace, dict[str, str], str], Job], int]] = {
    "explaining, occlusion": (explain, EXPLAINED),
    "applying, heat maps of EAR": (apply, MARKED),
}


def main() -> None:
    os.environ |= {"LIGHTBOX_JOB_CPUS": "1", "LIGHTBOX_STANDBY": "0", "LIGHTBOX_IDLE_SECONDS": "2"}
    os.environ |= {"OMP_NUM_THREADS": "1", "LIGHTBOX_ENGINE": "local"}
    rows: dict[str, list[tuple[str, float, Any]]] = {work: [] for work in WORKS}
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(Path(folder) / "ws")
        ws.add(make_sample("digits"), sample=True)
        ws.add(enlarged("large", LEARNED), sample=True)
        ws.add(enlarged("many", MARKED), sample=True)
        runs = {}
        for method, data in (("classifier", "digits"), ("ear", "large")):
            job = queue.wait(ws, queue.train(ws, data, method, {"epochs": 1}).id)
            assert job.status == "done", job.error
            runs[method] = job.id
        measure(ws, runs, "one process, no Ray", rows)
        for name, nodes in (("Ray, 1 processor", 1), ("Ray, 2 processors", 2)):
            with two_nodes(computing=nodes) as cluster:
                os.environ["LIGHTBOX_ENGINE"] = cluster.address
                time.sleep(4)  # the supervisor of the engine before leaves
                measure(ws, runs, name, rows)
                time.sleep(4)
    for work, found in rows.items():
        alone, bits = found[0][1:]
        for name, seconds, values in found:
            same = "the same bits" if values == bits else "OTHER BITS"
            print(
                f"{work}, {name}: {WORKS[work][1] / seconds:.1f} cases a second ({seconds:.1f} s),"
                f" {alone / seconds:.2f} times as fast, {same}"
            )


def measure(
    ws: Workspace, runs: dict[str, str], name: str, rows: dict[str, list[tuple[str, float, Any]]]
) -> None:
    for work, (ask, _) in WORKS.items():
        job = queue.wait(ws, ask(ws, runs, name).id)
        assert job.status == "done", job.error
        made = ws.artifacts(job.id).values()
        bits = [
            np.asarray(getattr(a, key)).tobytes()
            for a in made
            for key in a.per_row
            if getattr(a, key) is not None
        ]
        rows[work].append((name, job.seconds, bits))
        ws.remove_run(job.id)  # asked again, it would be answered by this one
        print(f"{work}, {name}: {job.seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
