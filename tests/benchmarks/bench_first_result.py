"""Seconds from asking for a short job to its result, with a worker that waits and without, as it
was before: `python -m tests.benchmarks.bench_first_result`.

By the queue: from the call to the job's end. By the command line: the whole command. On screen:
from the click on the page to the map drawn, in a real Chromium. Medians of three, each of another
seed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from core.children import environment, python_command
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.benchmarks.bench_app import idle
from tests.browser.conftest import FLAGS, chromium, serving

TIMES = 3
SEEDS = count(1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(Path(folder) / "ws")
        ws.add(make_sample("digits"), sample=True)
        runs = [train(ws) for _ in range(1 + 2 * TIMES)]
        rows = {}
        for name, standby in (("a new process each", "0"), ("a worker that waits", "1")):
            os.environ["LIGHTBOX_STANDBY"] = standby
            leave(ws)
            rows[name] = [
                timed(ws, lambda: draw(ws, runs[0])),
                timed(ws, lambda: train(ws)),
                timed(ws, lambda: draw_by_command(ws, runs[0])),
                *on_screen(ws, Path(folder), [runs.pop() for _ in range(TIMES)]),
            ]
            leave(ws)
        heads = ["map of the digits", "pca on the digits", "lightbox map", "map, on screen"]
        for i, head in enumerate(heads):
            before, now = (row[i] for row in rows.values())
            print(f"{head}: {now:.2f} s, {before:.2f} s with {next(iter(rows))}", end="")
            print(f" ({before / now:.1f} times as long)")


def train(ws: Workspace) -> str:
    job = queue.train(ws, "digits", "pca", {"dimensions": 8}, seed=next(SEEDS))
    return queue.wait(ws, job.id).id


def draw(ws: Workspace, run: str) -> str:
    job = queue.derive(ws, "map", run, {"how": "umap", "dims": 2}, seed=next(SEEDS))
    return queue.wait(ws, job.id).id


def draw_by_command(ws: Workspace, run: str) -> None:
    words = ["map", run, "--seed", str(next(SEEDS))]
    env = environment(LIGHTBOX_HOME=str(ws.home))
    subprocess.run(python_command("app.cli", *words), env=env, check=True, capture_output=True)


def timed(ws: Workspace, do: Callable[[], Any]) -> float:
    """The median of TIMES, each begun when nothing is at work."""
    found = []
    for _ in range(TIMES):
        rest(ws)
        began = time.perf_counter()
        do()
        found.append(time.perf_counter() - began)
    return median(found)


def on_screen(ws: Workspace, folder: Path, runs: list[str]) -> Iterator[float]:
    """From the click on Latent map, of runs that have no map yet, to the map drawn."""
    with browsing(ws, folder) as (page, url):
        found = []
        for run in runs:
            page.goto(f"{url}/runs?dataset=digits&run={run}")
            page.wait_for_selector("[data-testid=stSidebar]")
            idle(page)
            rest(ws)
            began = time.perf_counter()
            page.get_by_test_id("stSidebarNav").get_by_role("link", name="Latent map").click()
            page.locator(".lm-stage canvas").first.wait_for()
            found.append(time.perf_counter() - began)
        yield median(found)


@contextmanager
def browsing(ws: Workspace, folder: Path) -> Iterator[tuple[Any, str]]:
    from playwright.sync_api import sync_playwright

    with (
        serving({"LIGHTBOX_HOME": str(ws.home)}, folder / "app.log") as url,
        sync_playwright() as p,
    ):
        page = p.chromium.launch(executable_path=chromium(), args=FLAGS).new_page(
            viewport={"width": 1440, "height": 900}
        )
        page.context.add_cookies([url.cookie])
        page.set_default_timeout(60_000)
        yield page, url


def rest(ws: Workspace) -> None:
    """Wait until nothing of this workspace works: what waits has imported all it needs."""
    queue.prepare_worker(ws)
    time.sleep(3)
    while sum(p.cpu_percent(1.0) for p in ours(ws)) > 20:
        pass


def ours(ws: Workspace) -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if str(ws.home) in (p.info["cmdline"] or []) and p.status() != psutil.STATUS_ZOMBIE
    ]


def leave(ws: Workspace) -> None:
    """End what waits in this workspace, and let it be asked for again at once."""
    queue._READY.clear()
    for process in ours(ws):
        os.kill(process.pid, signal.SIGKILL)
    time.sleep(1)


if __name__ == "__main__":
    main()
