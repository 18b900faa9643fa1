"""Seconds a user waits, in a real Chromium at 10,000 rows: `python -m tests.benchmarks.bench_app`.

First page: from opening the address to the sidebar drawn, server warm. Page switch: from the click
to the new page's script finished and its title shown. Lasso: from releasing the mouse to the
gallery of the selection drawn.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.browser.conftest import FLAGS, chromium, serving

ROWS = 10_000


def prepared(home: Path) -> str:
    """A workspace with 10,000 digits (real ones with a little noise), a PCA run and its map; gives
    the run's id.
    """
    from sklearn.datasets import load_digits

    from core.data.readers import read
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    rng, digits = np.random.default_rng(0), load_digits()
    at = rng.integers(0, len(digits.images), ROWS)
    images = np.clip(digits.images[at] * 15.9 + rng.normal(0, 8, (ROWS, 8, 8)), 0, 255).astype(
        np.uint8
    )
    np.savez(home / "many.npz", images=images, labels=digits.target[at])
    ws = Workspace(home / "ws")
    ws.add(read(home / "many.npz", name="many"))
    run = queue.wait(ws, queue.train(ws, "many", "pca", {"dimensions": 16}).id)
    queue.wait(ws, queue.derive(ws, "map", run.id, {"how": "umap", "dims": 2}).id)
    return run.id


def idle(page: Any) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = prepared(home)
        with (
            serving({"LIGHTBOX_HOME": str(home / "ws")}, home / "app.log") as url,
            sync_playwright() as p,
        ):
            page = p.chromium.launch(executable_path=chromium(), args=FLAGS).new_page(
                viewport={"width": 1440, "height": 900}
            )
            page.context.add_cookies([url.cookie])
            page.set_default_timeout(60_000)
            page.goto(url)
            page.wait_for_selector("[data-testid=stSidebar]")
            times = [first_page(page, f"{url}/?dataset=many&run={run}") for _ in range(3)]
            print(f"first page: {median(times):.2f} s")
            for name in ("Latent map", "Anomalies", "Runs", "Data"):
                times = [switch(page, name) for _ in range(4)][1:]
                print(f"switch to {name}: {median(times):.2f} s")
            switch(page, "Latent map")
            page.locator(".lm-stage canvas").first.wait_for()
            page.wait_for_timeout(3000)
            print(
                "lasso to gallery:"
                f" {median([lasso(page, share) for share in (0.3, 0.35, 0.4)]):.2f} s"
            )


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
