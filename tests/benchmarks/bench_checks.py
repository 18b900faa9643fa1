"""What the check costs and how well it finds wrong labels: `python -m
tests.benchmarks.bench_checks`.

Prints seconds and peak memory for 10,000 generated pictures of 224 x 224 and a generated table of
1,000,000 x 50 (with planted copies and swapped labels), the seconds it takes to have the stored
findings again and after an exclusion, and precision and recall for swapped labels of digits.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from core.data.checks import collect_facts, dataset_findings
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.workspace import review
from core.workspace.workspace import Workspace


def pictures(n: int = 10_000) -> Dataset:
    """Smooth random pictures of two classes (one has a bright square); 40 exact copies and 20
    nearly exact ones over the split.
    """
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 160, (n, 1, 14, 14), dtype=np.uint8)
    y = rng.integers(0, 2, n)
    coarse[y == 1, :, 4:9, 4:9] += 90
    x = coarse.repeat(16, 2).repeat(16, 3)
    x[n - 40 :] = x[:40]
    x[n - 60 : n - 40] = x[40:60] + 1
    table = pd.DataFrame(
        {
            "dx": np.array(["ill", "well"])[y],
            "part": np.repeat(["train", "test"], [n - n // 5, n // 5]),
        }
    )
    return Dataset(
        "pictures", "image", table, x, roles={"label": "dx", "split": "part"}, input_range=(0, 255)
    )


def columns(n: int = 1_000_000, d: int = 50) -> Dataset:
    """Three classes in clouds of their own, 2 % of the labels swapped, 100 exact copies."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.standard_normal((n, d), dtype=np.float32)
    x[:, :6] += 2.5 * rng.normal(size=(3, 6)).astype(np.float32)[y]
    x[n - 100 :] = x[:100]
    bad = rng.choice(n, n // 50, replace=False)
    y[bad] = (y[bad] + rng.integers(1, 3, len(bad))) % 3
    frame = pd.DataFrame(x, columns=[f"c{j}" for j in range(d)]).assign(
        dx=np.array(["a", "b", "c"])[y], part=np.where(np.arange(n) % 5, "train", "test")
    )
    return Dataset(
        "columns",
        "table",
        frame,
        x,
        roles={"label": "dx", "split": "part"},
        features=tuple(f"c{j}" for j in range(d)),
    )


def timed(data: Dataset) -> None:
    with tempfile.TemporaryDirectory() as home:
        ws = Workspace(Path(home))
        ws.add(data)
        name = data.name
        del data
        began, worked = time.perf_counter(), time.process_time()
        found = dataset_findings(ws, name)
        first, worked = time.perf_counter() - began, time.process_time() - worked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        began = time.perf_counter()
        dataset_findings(ws, name)
        again = time.perf_counter() - began
        review.exclude(ws, name, np.arange(10), "bench")
        began = time.perf_counter()
        dataset_findings(ws, name)
        print(
            f"{name}: {first:.1f} s at first ({worked:.1f} s of processor time), {again:.2f} s from"
            f" what is kept, {time.perf_counter() - began:.1f} s after an exclusion; peak memory of"
            f" the process {peak:.1f} GB"
        )
        for f in found:
            print(f"    [{f.severity}] {f.title}: {f.words}")


def labels() -> None:
    data = make_sample("digits")
    y, k = data.labels, len(data.classes)
    for share in (0.01, 0.02, 0.05, 0.1):
        rows = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            bad = rng.choice(len(y), int(share * len(y)), replace=False)
            mixed = y.copy()
            mixed[bad] = (y[bad] + rng.integers(1, k, len(bad))) % k
            doubts = collect_facts(
                replace(data, table=data.table.assign(digit=np.array(data.classes)[mixed]))
            ).doubts
            hit = np.isin(doubts["rows"], bad)
            rows.append(
                (hit.mean(), hit.sum() / len(bad), doubts["found"], doubts["low"], doubts["high"])
            )
        p, r, found, low, high = np.mean(rows, axis=0)
        print(
            f"digits, {share:.0%} of the labels swapped, 5 seeds: precision {p:.2f}, recall"
            f" {r:.2f}; its own trial said recall {found:.2f}, precision {low:.2f} to {high:.2f}"
        )


def main() -> None:
    labels()
    timed(pictures())
    if "--small" not in sys.argv:
        timed(columns())


if __name__ == "__main__":
    main()
