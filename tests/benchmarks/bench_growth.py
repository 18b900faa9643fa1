"""Seconds and memory of each step at 1,000 to 1,000,000 rows, and how they grow with the rows:
`python -m tests.benchmarks growth`, or `python -m tests.benchmarks.bench_growth --up-to 100000
--only map lasso`.

Each step at each number of rows runs in a process of its own, once on at most 10,000 rows to load
and compile what it needs (not counted), then timed: the clock, processor time of all threads, and
the most memory above what the process had before the step, files it maps included. A step of less
than a second is the best of three. Slope: of a straight line through logarithms of rows and of
seconds or bytes, over all numbers of rows, and in brackets the steepest from one number of rows to
the next among those that end above 0.2 s or 128 MiB (less is often found in memory freed before): 1
= in proportion. Marked are slopes above 1.15; docs/performance.md says why each is there.

The steps: a table and pictures brought in and stored; the check of a dataset's rows; one epoch of
training; the 15 nearest neighbours of every row; a UMAP; the measures of a run that cost little;
the map's page drawn for the first time by the server; the page drawn again by the server after a
lasso of a quarter of the cases, with the pictures of the selected and with what sets them apart.
The latents have 32 dimensions in 20 groups; the pictures have 8 x 8 pixels.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile._peak import highest

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LIMIT = 1.15  # slope above which a step is marked
WARM = 10_000  # rows at most of the call that is not counted
DIMENSIONS = 32
Action = Callable[[], Any]


# -- what the steps work on ------------------------------------------------------------------------
def prepare(folder: Path, rows: int) -> None:
    """Write all inputs of the steps for so many rows: files to bring in, latents, and a workspace
    with a dataset, a PCA run and its map.
    """
    import pandas as pd

    from core.artifacts import Embedding
    from core.data.dataset import Dataset
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    folder.mkdir()
    rng = np.random.default_rng(0)
    label = rng.integers(0, 10, rows)
    table = pd.DataFrame(
        {
            "patient": [f"P{k // 4:07d}" for k in range(rows)],
            "site": rng.choice(["bern", "graz", "ulm"], rows),
            "class": [f"class {k}" for k in label],
            "split": np.where(np.arange(rows) // 4 % 5 == 4, "val", "train"),
            "age": rng.integers(18, 95, rows),
            **{f"x{j}": rng.normal(size=rows).round(4) for j in range(5)},
        }
    )
    table.to_csv(folder / "table.csv", index=False)
    shapes = rng.uniform(0, 255, (10, 8, 8))
    pictures = np.empty((rows, 8, 8), np.uint8)
    groups = 1.5 * rng.normal(size=(20, DIMENSIONS)).astype(np.float32)
    z = np.empty((rows, DIMENSIONS), np.float32)
    for i in range(0, rows, 50_000):
        part = label[i : i + 50_000]
        noisy = shapes[part] + rng.normal(0, 40, (len(part), 8, 8))
        pictures[i : i + 50_000] = noisy.clip(0, 255)
        within = rng.normal(size=(len(part), 8)) @ rng.normal(size=(8, DIMENSIONS))
        z[i : i + 50_000] = groups[rng.integers(0, 20, len(part))] + 0.5 * within
    np.savez(folder / "pictures.npz", images=pictures, labels=label)
    Embedding(rows=np.arange(rows), z=z).save(folder / "embedding")
    ws = Workspace(folder / "ws")
    ws.add(
        Dataset(
            name="many",
            modality="image",
            table=table,
            samples=pictures[:, None],
            roles={"label": "class", "group": "patient", "domain": "site", "split": "split"},
            input_range=(0.0, 255.0),
        )
    )
    run = queue.wait(ws, queue.train(ws, "many", "pca", {"dimensions": 16}).id, timeout=3600)
    drawn = queue.derive(ws, "map", run.id, {"how": "pca", "dims": 2})
    drawn = queue.wait(ws, drawn.id, timeout=3600)
    assert (run.status, drawn.status) == ("done", "done"), (run.error, drawn.error)
    (folder / "run").write_text(run.id)


# -- the steps: what is ready before the clock starts, and what is timed --------------------------
def bring(name: str) -> Callable[[Path], Action]:
    def ready(folder: Path) -> Action:
        from core.data.readers import read
        from core.workspace.workspace import Workspace

        def act() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                Workspace(Path(place)).add(read(folder / name, name="brought"))

        return act

    return ready


def check(folder: Path) -> Action:
    from core.data.checks import check_dataset
    from core.workspace.workspace import Workspace

    data = Workspace(folder / "ws").dataset("many")
    return lambda: check_dataset(data)


def train(folder: Path) -> Action:
    from core.methods.generative.gaussian_vae import GaussianVAE
    from core.training.run import Run
    from core.workspace.workspace import Workspace

    data = Workspace(folder / "ws").dataset("many")
    params: Any = GaussianVAE.Params(epochs=1, batch_size=1024, width=2, classifier=False)

    def act() -> None:
        run = Run(seed=0)
        with run.seeded():
            GaussianVAE(params).fit(data, run)

    return act


def find_neighbours(folder: Path) -> Action:
    from core.artifacts import Embedding
    from core.neighbours import neighbours

    z = np.array(Embedding.load(folder / "embedding").z)
    return lambda: neighbours(z, 15)


def draw_map(folder: Path) -> Action:
    from core.artifacts import Embedding
    from core.maps.make import make_map

    embedding: Any = Embedding.load(folder / "embedding")
    return lambda: make_map(embedding)


def measure_run(folder: Path) -> Action:
    from core.evaluate import measure
    from core.workspace.workspace import Workspace

    ws = Workspace(folder / "ws")
    run = (folder / "run").read_text()
    return lambda: measure(ws.dataset("many"), ws.artifacts(run), None)


def _latent_page() -> None:
    import runpy

    from app import state

    state.adopt_url()
    runpy.run_path("pages/latent.py")


def _page(folder: Path) -> Any:
    from streamlit.testing.v1 import AppTest

    os.environ["LIGHTBOX_HOME"] = str(folder / "ws")
    page = AppTest.from_function(_latent_page, default_timeout=3600)
    page.query_params["dataset"] = "many"
    page.query_params["run"] = (folder / "run").read_text()
    page.session_state["kept-map-how"] = "pca"
    return page


def _drawn(page: Any) -> Any:
    assert not page.run().exception, page.exception
    return page


def open_page(folder: Path) -> Action:
    import streamlit as st

    def act() -> None:
        st.cache_data.clear()
        st.cache_resource.clear()
        _drawn(_page(folder))

    return act


def lasso(tab: str) -> Callable[[Path], Action]:
    def ready(folder: Path) -> Action:
        from app.components import latent_map as component
        from app.panels.map_figure import scale_points
        from app.state import Selection
        from core.artifacts import Map
        from core.workspace.workspace import Workspace

        page = _page(folder)
        page.session_state["selection-tabs"] = tab
        _drawn(page)
        run = page.session_state["run"]
        ws = Workspace(folder / "ws")
        of = next(j for j in ws.catalogue.jobs() if j.kind == "map" and j.on_run == run)
        made = ws.artifact(of.id, "map")
        assert isinstance(made, Map)
        xy = scale_points(made)[0]
        middle, reach = np.median(xy, 0), np.quantile(np.abs(xy - np.median(xy, 0)).max(1), 0.25)
        turns = np.linspace(0, 2 * np.pi, 24)
        polygon = (middle + reach * np.stack([np.cos(turns), np.sin(turns)], 1)).tolist()

        def act() -> None:
            rows = np.unique(np.asarray(made.rows)[component.inside(xy, polygon)])
            page.session_state["selection"] = Selection(rows, source="lasso on the map")
            _drawn(page)

        act()
        return act

    return ready


STEPS: dict[str, Callable[[Path], Action]] = {
    "import of a table": bring("table.csv"),
    "import of pictures": bring("pictures.npz"),
    "check of a dataset": check,
    "training, one epoch": train,
    "neighbours": find_neighbours,
    "map": draw_map,
    "measures": measure_run,
    "page of the map": open_page,
    "lasso, table": lasso("Table"),
    "lasso, why this group": lasso("Why this group"),
}


# -- measuring -------------------------------------------------------------------------------------
def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def measured(step: str, folder: Path, warm: Path) -> dict[str, float]:
    """Seconds, processor seconds and bytes of memory of a step, in this process."""
    import psutil

    STEPS[step](warm)()
    act = STEPS[step](folder)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the most memory so far begins anew
    before = psutil.Process().memory_info().rss
    found: list[tuple[float, float]] = []
    while len(found) < 3 and sum(seconds for seconds, _ in found) < 1:
        began = time.perf_counter(), processor_seconds()
        act()
        found.append((time.perf_counter() - began[0], processor_seconds() - began[1]))
        if len(found) == 1:
            most = highest()
    seconds, processor = np.min(found, 0)
    return {"seconds": seconds, "processor": processor, "bytes": max(0, most - before)}


def slope(rows: list[int], values: list[float], counts: float) -> tuple[float, float]:
    """Of a line through the logarithms over all points, and the steepest from one point to a next
    of at least `counts` (where none is, the former again); less than a hundredth of `counts` counts
    as the hundredth.
    """
    x, y = np.log(rows), np.log(np.maximum(values, counts / 100))
    every = float(np.polyfit(x, y, 1)[0])
    steep = (np.diff(y) / np.diff(x))[np.array(values[1:]) >= counts]
    return every, float(steep.max()) if len(steep) else every


def tell(step: str, found: dict[int, dict[str, float]]) -> None:
    """Print the slopes of a step; `found`: what was measured, by number of rows."""
    rows, said = list(found), []
    for what, key, counts in (
        ("time", "seconds", 0.2),
        ("processor time", "processor", 0.2),
        ("memory", "bytes", 2**27),
    ):
        every, steepest = slope(rows, [found[n][key] for n in rows], counts)
        mark = " ABOVE" if max(every, steepest) > LIMIT else ""
        said.append(f"{what} {every:.2f} ({steepest:.2f}){mark}")
    print(f"{step}: slope of {', '.join(said)}", flush=True)


def child(*given: str) -> str:
    """What this file prints when it is called so, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.bench_growth", *given]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def compare(folder: Path, sizes: list[int], only: list[str]) -> None:
    for rows in sizes:
        if not (folder / str(rows) / "run").exists():
            child("--prepare", str(rows), "--home", str(folder))
            print(f"{rows:,} rows are ready", flush=True)
    for step in STEPS:
        if only and not any(step.startswith(word) for word in only):
            continue
        found = {}
        for rows in sizes:
            said = child("--step", step, "--rows", str(rows), "--home", str(folder))
            found[rows] = one = json.loads(said.splitlines()[-1])
            print(
                f"{step}, {rows:,} rows: {one['seconds']:.3f} s, processor"
                f" {one['processor']:.3f} s, {one['bytes'] / 2**20:.0f} MiB",
                flush=True,
            )
        if len(sizes) > 1:
            tell(step, found)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--up-to", type=int, default=SIZES[-1], help="the most rows")
    asked.add_argument("--only", nargs="*", default=[], help="steps, by how their names begin")
    asked.add_argument("--home", type=Path, help="a folder prepared before, or to prepare")
    for inner in ("--step", "--rows", "--prepare"):
        asked.add_argument(inner, help=argparse.SUPPRESS)
    told = asked.parse_args()
    if told.prepare:
        prepare(told.home / told.prepare, int(told.prepare))
    elif told.step:
        folder = told.home / told.rows
        warm = told.home / str(min(int(told.rows), WARM))
        print(json.dumps(measured(told.step, folder, warm)))
    else:
        from core.jobs.threads import Load, bound_environment

        os.environ.update(bound_environment(Load().free_threads()))  # as many as a run would get
        os.environ.update({"LIGHTBOX_STANDBY": "0", "LIGHTBOX_IDLE_SECONDS": "1"})
        with tempfile.TemporaryDirectory() as temporary:
            home = told.home or Path(temporary)
            home.mkdir(exist_ok=True)
            compare(home, [n for n in SIZES if n <= told.up_to], told.only)


if __name__ == "__main__":
    main()
