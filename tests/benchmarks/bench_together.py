"""One run trained by one process and by two together (`core.training.ranks`): milliseconds a step,
on the clock and of processor time, that of all processes together.

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


def one_process(method: str, side: int, ranks: Ranks) -> np.ndarray:
    """Median seconds of a step of batches of 64 in this process: on the clock, processor time."""
    kind, at = methods()[method], list[tuple[float, float]]()

    def report(step: int, total: int, scalars: dict[str, Any]) -> None:
        if "loss" in scalars:  # not where measures are looked at, which the first alone does
            at.append((time.perf_counter(), time.process_time()))

    run = Run(device="cpu", ranks=ranks, report_to=report, stop=lambda: len(at) >= WARM + STEPS)
    params = check_params(kind, {"epochs": 20, "batch_size": 64})
    try:
        fit_along(kind, params, small_digits(side), run)
    except Cancelled:
        ranks.leave()
    return np.median(np.diff(at[WARM:], axis=0), axis=0)


def measured(method: str, side: int, size: int, threads: int) -> np.ndarray:
    """What `one_process` gives, the clock of the first of `size` and the time of all."""
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
        found = np.array([np.loadtxt(Path(folder) / str(rank)) for rank in range(size)])
        return np.array([found[0, 0], found[:, 1].sum()])


def main() -> None:
    """Print all."""
    for method, side in CASES:
        for size, threads in SHAPES:
            clock, work = 1000 * measured(method, side, size, threads)
            print(
                f"{method}, {side} x {side}: processes {size}, threads of each {threads}:"
                f" {clock:.1f} ms, processor time {work:.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        method, side, rank, size, threads, folder = sys.argv[1:]
        meeting = Path(folder) / "meeting"
        found = one_process(method, int(side), Ranks(int(rank), int(size), meeting))
        np.savetxt(Path(folder) / rank, found)
    else:
        main()
