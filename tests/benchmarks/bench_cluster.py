"""Attributions of a whole dataset on a Ray cluster of two nodes on this machine, by one processor
and by two: `python -m tests.benchmarks.bench_cluster`. Cases a second, and whether the bits agree.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.jobs.explaining import explain_spec
from core.workspace.workspace import Workspace
from tests.clusters import two_nodes

HOW = "integrated_gradients"


def main() -> None:
    os.environ |= {"LIGHTBOX_JOB_CPUS": "1", "LIGHTBOX_STANDBY": "0", "LIGHTBOX_IDLE_SECONDS": "2"}
    with tempfile.TemporaryDirectory() as folder, two_nodes() as nodes:
        ws = Workspace(Path(folder) / "ws")
        ws.add(make_sample("digits"), sample=True)
        run = queue.wait(ws, queue.train(ws, "digits", "classifier", {"epochs": 2}).id).id
        rows = ws.dataset("digits").rows
        values, seconds = [], []
        for name, engine in (("1, this machine", "local"), ("2, a cluster", nodes.address)):
            time.sleep(4)  # the supervisor of the engine before leaves
            os.environ["LIGHTBOX_ENGINE"] = engine
            # the same question twice would be answered by the job that was asked it first
            spec = explain_spec("predicted", rows) | {"how": HOW, "asked": name}
            began = time.monotonic()
            job = queue.wait(ws, queue.derive(ws, "explain", run, spec).id)
            assert job.status == "done", job.error
            seconds.append(job.seconds)
            made = next(iter(ws.artifacts(job.id).values()))
            values.append(np.asarray(made.value))
            print(
                f"{name}: {len(rows) / job.seconds:.1f} cases a second ({len(rows)} cases in"
                f" {job.seconds:.1f} s at work, {time.monotonic() - began:.1f} s from asking)"
            )
    same = "the same bits" if np.array_equal(*values) else "OTHER BITS"
    print(f"{same}; {seconds[0] / seconds[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
