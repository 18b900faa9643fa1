"""One run trained by one process and by two together (`core.training.ranks`): seconds a step.

`python -m tests.benchmarks.bench_together`; with arguments METHOD SIDE RANK SIZE THREADS FOLDER it
is one of the processes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.children import ROOT, environment, python_command
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.errors import Cancelled
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_along
from core.training.ranks import Ranks
from core.training.run import Run
from tests.benchmarks._common import enlarged

CASES = (("swav", 64), ("classifier", 64), ("gaussian_vae", 8))
SHAPES = ((1, 1), (1, 2), (2, 1))  # processes, threads of each
WARM, STEPS = 4, 16


def small_digits(side: int) -> Dataset:
    """512 digits of `side` pixels, in memory."""
    digits = make_sample("digits")
    some = np.flatnonzero(digits.splits == "train")[:512]
    data = replace(
        digits,
        samples=np.asarray(digits.samples[some]),
        table=digits.table.iloc[some].reset_index(drop=True),
    )
    return enlarged(data, side // 8) if side > 8 else data


def one_process(method: str, side: int, ranks: Ranks) -> float:
    """Median seconds a step, of batches of 64, in this process."""
    kind, at = methods()[method], list[float]()

    def report(step: int, total: int, scalars: dict[str, Any]) -> None:
        if "loss" in scalars:  # not where measures are looked at, which the first alone does
            at.append(time.perf_counter())

    run = Run(device="cpu", ranks=ranks, report_to=report, stop=lambda: len(at) >= WARM + STEPS)
    params = check_params(kind, {"epochs": 20, "batch_size": 64})
    try:
        fit_along(kind, params, small_digits(side), run)
    except Cancelled:
        ranks.leave()
    return float(np.median(np.diff(at[WARM:])))


def measured(method: str, side: int, size: int, threads: int) -> float:
    """Seconds a step of `size` processes."""
    with tempfile.TemporaryDirectory() as folder:
        given = [method, str(side), "{}", str(size), str(threads), folder]
        env = environment(OMP_NUM_THREADS=str(threads))
        several = [
            subprocess.Popen(
                python_command("tests.benchmarks.bench_together", *(g.format(rank) for g in given)),
                cwd=ROOT,
                env=env,
            )
            for rank in range(size)
        ]
        assert [one.wait() for one in several] == [0] * size
        return float((Path(folder) / "seconds").read_text())


def main() -> None:
    """Print all, twice in turn and the least, since other work may run beside."""
    for method, side in CASES:
        took = {shape: 1e9 for shape in SHAPES}
        for _ in range(2):
            for shape in SHAPES:
                took[shape] = min(took[shape], measured(method, side, *shape))
        words = [
            f"{size} process{'es' if size > 1 else ''} of {threads} thread"
            f"{'s' if threads > 1 else ''} {1000 * took[size, threads]:.1f} ms"
            for size, threads in SHAPES
        ]
        print(f"{method}, {side} x {side}, a step of 64: {'; '.join(words)}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        method, side, rank, size, threads, folder = sys.argv[1:]
        meeting = Path(folder) / "meeting"
        found = one_process(method, int(side), Ranks(int(rank), int(size), meeting))
        if rank == "0":
            (Path(folder) / "seconds").write_text(str(found))
    else:
        main()
