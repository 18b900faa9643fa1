"""Seconds a user waits, in a real Chromium, beside what they may be at most:
`python -m tests.benchmarks.bench_app [--rows 100000] [--home FOLDER]`.

First page: from opening the address to the sidebar drawn, server warm. Page switch: from the click
to the new page's script finished and its title shown. Lasso: from releasing the mouse to the
gallery of the selection drawn; then from the click on each other panel about the selection, the
first of anybody since the server's start, and then once more.
Memory of the server after many sessions is told by `bench_clients --sessions 30`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.browser.conftest import FLAGS, chromium, frame_sizes, serving

ROWS = 10_000
PAGES = ("Latent map", "Results", "Clusters", "Anomalies", "Runs", "Data")


def prepared(home: Path, rows: int = ROWS) -> str:
    """A workspace with `rows` digits (real ones with a little noise), a PCA run and its map; gives
    the run's id.
    """
    from sklearn.datasets import load_digits

    from core.data.readers import read
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    rng, digits = np.random.default_rng(0), load_digits()
    at = rng.integers(0, len(digits.images), rows)
    images = np.clip(digits.images[at] * 15.9 + rng.normal(0, 8, (rows, 8, 8)), 0, 255).astype(
        np.uint8
    )
    np.savez(home / "many.npz", images=images, labels=digits.target[at])
    ws = Workspace(home / "ws")
    ws.add(read(home / "many.npz", name="many"))
    run = queue.wait(ws, queue.train(ws, "many", "pca", {"dimensions": 16}).id, timeout=1800)
    queue.wait(ws, queue.derive(ws, "map", run.id, {"how": "umap", "dims": 2}).id, timeout=1800)
    return run.id


def find_prepared(home: Path) -> str:
    """Id of the run of a folder that was prepared before, "" where none was."""
    from core.workspace.workspace import Workspace

    runs = Workspace(home / "ws").runs()
    return next((job.id for job in runs if job.method == "pca"), "")


def idle(page: Any) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def main() -> None:
    from playwright.sync_api import sync_playwright

    asked = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_app")
    asked.add_argument("--rows", type=int, default=ROWS)
    asked.add_argument("--home", type=Path, help="a folder prepared before, or to prepare")
    told = asked.parse_args()
    rows = told.rows
    with tempfile.TemporaryDirectory() as folder:
        home = told.home or Path(folder)
        run = find_prepared(home) or prepared(home, rows)
        with (
            serving({"LIGHTBOX_HOME": str(home / "ws")}, home / "app.log") as url,
            sync_playwright() as p,
        ):
            page = p.chromium.launch(executable_path=chromium(), args=FLAGS).new_page(
                viewport={"width": 1440, "height": 900}
            )
            page.context.add_cookies([url.cookie])
            page.set_default_timeout(60_000)
            frames = frame_sizes(page)
            page.goto(url)
            page.wait_for_selector("[data-testid=stSidebar]")
            times = [first_page(page, f"{url}/?dataset=many&run={run}") for _ in range(3)]
            print(f"{rows:,} rows, {os.cpu_count()} cores")
            print(f"first page: {median(times):.2f} s")
            for name in PAGES:
                times = [switch(page, name) for _ in range(4)][1:]
                tell(f"switch to {name}", median(times), 1.0)
            switch(page, "Latent map")
            page.locator(".lm-stage canvas").first.wait_for()
            page.wait_for_timeout(3000)
            first, sent = [], []
            for share in (0.3, 0.35, 0.4):
                frames.clear()
                first.append(lasso(page, share))
                sent.append(sum(frames))
            tell("lasso to gallery", median(first), 1.0)
            print(f"frames after a lasso: {median(sent) / 1000:.1f} kB")
            names = tabs(page)
            for name in names[1:]:
                tell(f"its panel “{name}”, from the click", panel(page, name), 1.0)
            panel(page, names[0])
            for name in names[1:]:
                tell(f"its panel “{name}” once more", panel(page, name), 1.0)


def tell(what: str, seconds: float, most: float) -> None:
    """Print seconds beside what they may be at most."""
    words = "kept" if seconds < most else "MISSED"
    print(f"{what}: {seconds:.2f} s (budget {most:.0f} s {words})", flush=True)


def tabs(page: Any) -> list[str]:
    """Names of the panels about a selection."""
    return [t.inner_text() for t in page.get_by_role("tab").all()]


def panel(page: Any, name: str) -> float:
    """Seconds from the click on a panel's name until it is drawn."""
    began = time.perf_counter()
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_timeout(50)
    idle(page)
    return time.perf_counter() - began


def first_page(page: Any, url: str) -> float:
    began = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("[data-testid=stSidebar]")
    idle(page)
    return time.perf_counter() - began


def switch(page: Any, name: str) -> float:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Home", exact=True).click()
    page.wait_for_function("document.title.startsWith('Home')")
    page.wait_for_timeout(300)
    idle(page)
    began = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    page.wait_for_function("n => document.title.startsWith(n)", arg=name)
    idle(page)
    return time.perf_counter() - began


def lasso(page: Any, share: float) -> float:
    box = page.locator(".lm-stage canvas").first.bounding_box()
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] * share
    before = page.locator(".st-key-top-bar").get_by_text("Selection:").inner_text()
    page.mouse.move(x + r, y)
    page.mouse.down()
    for a in np.linspace(0, 2 * np.pi, 24)[1:]:
        page.mouse.move(x + r * np.cos(a), y + r * np.sin(a), steps=2)
    began = time.perf_counter()
    page.mouse.up()
    page.wait_for_function(
        "b => { const e = [...document.querySelectorAll('.st-key-top-bar p')].find(s"
        " => s.innerText.startsWith('Selection')); return e && !b.startsWith(e.innerText); }",
        arg=before,
    )
    page.get_by_role("tab", name="Pictures").wait_for()
    idle(page)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
