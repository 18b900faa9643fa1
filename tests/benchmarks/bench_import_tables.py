"""A table of 1,000,000 × 50 brought in: seconds, memory, opening; against pandas on the same file.
`python -m tests.benchmarks.bench_import_tables [ROWS]`.

Import = `core.data.readers.read` and `Dataset.save`, in a process of its own on two cores; peak =
the largest resident memory of that process. The rival is `pandas.read_csv` (pandas.read_parquet),
which only reads: no decimal commas, no ids with leading zeros, no split, no hash, nothing stored.
Asked for: under 60 s and 3 GB; opening under 0.5 s. Best of three for opening, one import each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

CORES = 2

BRING = """
import json, resource, sys, time
from pathlib import Path
from core.data.readers import read
began = time.perf_counter()
data = read(Path(sys.argv[1]), name="large")
middle = time.perf_counter()
data.save(Path(sys.argv[2]))
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"n": len(data), "read": middle - began, "save": done - middle, "peak": peak}))
"""
RIVAL = """
import json, resource, sys, time
import pandas as pd
began = time.perf_counter()
frame = pd.read_csv(sys.argv[1]) if sys.argv[1].endswith("csv") else pd.read_parquet(sys.argv[1])
seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"n": len(frame), "read": seconds, "peak": peak * 1024}))
"""
OPEN = """
import json, sys, time
from pathlib import Path
import zarr
from core.data.dataset import Dataset
began = time.perf_counter()
data = Dataset.load(Path(sys.argv[1]))
n = len(data)
opened = time.perf_counter() - began
labels = len(data.labels)
print(json.dumps({"open": opened, "labels": time.perf_counter() - began - opened}))
"""


def large(rows: int) -> pa.Table:
    """50 columns: an id of the patient, site, diagnosis, sex, age, a code with leading zeros, and
    44 measurements, a hundredth of some missing.
    """
    rng = np.random.default_rng(0)
    columns: dict[str, pa.Array] = {"patient_id": pa.array([f"P{k // 4:07d}" for k in range(rows)])}
    for name, words in (
        ("site", ("bern", "graz", "ulm")),
        ("diagnosis", ("ill", "well")),
        ("sex", ("f", "m")),
    ):
        columns[name] = pa.array(np.array(words, dtype=object)[rng.integers(0, len(words), rows)])
    columns["age"] = pa.array(rng.integers(18, 95, rows))
    columns["zip"] = pa.array([f"{k:05d}" for k in rng.integers(0, 99_999, rows)])
    for j in range(44):
        columns[f"x{j}"] = pa.array(
            rng.normal(size=rows).round(4), mask=rng.random(rows) < 0.01 if j % 4 == 0 else None
        )
    return pa.table(columns)


def child(code: str, *given: Path) -> dict[str, float]:
    """What the code prints as json, run in a process of its own on `CORES` cores."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, given)],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return json.loads(out.stdout)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as place:
        folder, table = Path(place), large(rows)
        pa.csv.write_csv(table, folder / "large.csv")
        pa.parquet.write_table(table, folder / "large.parquet")
        for name in ("large.csv", "large.parquet"):
            ours, theirs = (
                child(BRING, folder / name, folder / f"stored-{name}"),
                child(RIVAL, folder / name),
            )
            opened = min(
                (child(OPEN, folder / f"stored-{name}") for _ in range(3)), key=lambda o: o["open"]
            )
            print(
                f"{name}: {int(ours['n']):,} × {table.num_columns},"
                f" {(folder / name).stat().st_size >> 20:,} MB, {CORES} cores\n  import"
                f" {ours['read'] + ours['save']:.1f} s (read {ours['read']:.1f}, store"
                f" {ours['save']:.1f}), peak {ours['peak'] / 1e9:.2f} GB\n  pandas, reading alone"
                f" {theirs['read']:.1f} s, peak {theirs['peak'] / 1e9:.2f} GB; our reading takes"
                f" {ours['read'] / theirs['read']:.2f} times as long\n  opening"
                f" {opened['open']:.3f} s, its labels {opened['labels']:.2f} s more",
                flush=True,
            )


if __name__ == "__main__":
    main()
