"""The latent map on screen at 1,000,000 and 10,000,000 points, in a real Chromium: `python -m
tests.benchmarks.bench_map_screen [ROWS ...] [--all]`.

Frames a second while one zooms and pans without a pause (frames of the map that were drawn, over
four seconds each), and the browser's processor time a frame; from the wheel's last turn until more
points are drawn where one looks; from releasing the lasso until what is selected stands in the tabs
below; what the server sends for that; memory of the page and of the server. `--all` draws every
point at once, as without levels of detail, for comparison.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser.conftest import FLAGS, Address, chromium, frame_sizes, serving

SIZES = (1_000_000, 10_000_000)
MAP = "Object.values(window.lightboxMaps)[0].map"
SECONDS = 4
GL = """() => {
  const gl = document.createElement('canvas').getContext('webgl');
  const named = gl.getExtension('WEBGL_debug_renderer_info');
  return gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""
# a frame counts once the graphics have really finished it: a pixel of it is read back
COUNT = f"""() => {{
  const map = {MAP}, gl = map.plot.get('regl')._gl, pixel = new Uint8Array(4);
  window.frames_drawn = 0;
  map.plot.subscribe('draw', () => {{
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    window.frames_drawn += 1;
  }});
}}"""


def open_page(p: Any, url: Address) -> tuple[Any, Any, list[int]]:
    """A browser, a page in it that the app at `url` lets in, and the bytes of what it hears."""
    browser = p.chromium.launch(executable_path=chromium(), args=FLAGS)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.context.add_cookies([url.cookie])
    page.set_default_timeout(120_000)
    return browser, page, frame_sizes(page)


def prepare(home: Path, rows: int) -> str:
    """A workspace with a table of so many rows in 20 groups, a PCA run and its map; gives the run's
    id.
    """
    import pandas as pd

    from core.data.dataset import Dataset
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    rng = np.random.default_rng(0)
    group = rng.integers(0, 20, rows)
    middles = 4 * rng.normal(size=(20, 3)).astype("f4")
    x = middles[group] + rng.normal(size=(rows, 3)).astype("f4")
    table = pd.DataFrame({"class": np.array([f"class {k}" for k in range(20)], object)[group]})
    ws = Workspace(home)
    ws.add(
        Dataset(
            name="many",
            modality="table",
            table=table,
            samples=x,
            features=["a", "b", "c"],
            roles={"label": "class"},
        )
    )
    run = queue.wait(ws, queue.train(ws, "many", "pca", {"dimensions": 3}).id, timeout=3600)
    drawn = queue.derive(ws, "map", run.id, {"how": "pca", "dims": 2})
    drawn = queue.wait(ws, drawn.id, timeout=3600)
    assert (run.status, drawn.status) == ("done", "done"), (run.error, drawn.error)
    return run.id


class Told(dict[str, Any]):
    """Figures that are printed as they are found."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}", flush=True)


def measure(home: Path, run: str, rows: int, everything: bool) -> dict[str, Any]:
    import psutil
    from playwright.sync_api import sync_playwright

    from app.outside import client

    found: dict[str, Any] = Told({"points": rows, "all at once": everything})
    env = {"LIGHTBOX_HOME": str(home)}
    os.environ |= env  # for the client
    with serving(env, home / "app.log") as url, sync_playwright() as p:
        browser, page, sizes = open_page(p, url)
        page.goto(f"{url}/library?dataset=many&run={run}")
        page.wait_for_selector("[data-testid=stSidebar]")
        page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        found |= {"browser": browser.version, "GL": page.evaluate(GL)}
        began = time.perf_counter()
        client.ask("move", move={"page": "map", "projection": "pca"})
        page.locator(".lm").wait_for()
        if everything:
            page.wait_for_function(
                "() => Object.values(window.lightboxMaps ?? {}).some(m => m.map)"
            )
            page.evaluate(f"() => {{ {MAP}.most = 1e9; return {MAP}.show({MAP}.message); }}")
        page.locator(".lm[data-ready]").wait_for()
        found["first drawn, s"] = round(time.perf_counter() - began, 1)
        found["largest frame, MB"] = round(max(sizes) / 1e6, 1)
        found["drawn"] = int(page.locator(".lm").get_attribute("data-drawn"))
        page.locator(".lm-bar").get_by_text("Move", exact=True).click()
        page.evaluate(COUNT)
        for how in ("zoom", "pan"):
            found[f"{how}, frames a second"], taken = frames_a_second(page, how)
            found[f"{how}, processor time a frame, s"] = taken
        if not everything and found["drawn"] < rows:
            found["more points after a zoom, s"] = refined(page)
            found["drawn after it"] = int(page.locator(".lm").get_attribute("data-drawn"))
        page.locator(".lm-bar").get_by_text("Whole map", exact=True).click()
        page.wait_for_timeout(3000)
        sizes.clear()
        found["lasso to panels, s"] = lasso(page)
        found["sent for it, largest frame, bytes"] = max(sizes)
        heap = page.evaluate("() => performance.memory.usedJSHeapSize")
        found["memory of the page, MB"] = round(heap / 1e6)
        server = psutil.Process(json.loads((home / "server.json").read_text())["pid"])
        found["memory of the server, MB"] = round(server.memory_info().rss / 1e6)
        browser.close()
    return found


def browser_time() -> float:
    """Seconds of processor time that the browser, with all its processes, has taken so far: what
    else runs on the machine changes it little.
    """
    import psutil

    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name():
                total += sum(process.cpu_times()[:2])
    return total


def frames_a_second(page: Any, how: str) -> tuple[float, float]:
    """(Frames drawn while the wheel is turned to and fro, or the map dragged to and fro, a second;
    the browser's processor time a frame.)
    """
    box = page.locator(".lm-stage canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    if how == "pan":
        page.mouse.down()
    page.evaluate("() => { window.frames_drawn = 0 }")
    began, spent, k = time.perf_counter(), browser_time(), 0
    while time.perf_counter() - began < SECONDS:
        if how == "pan":
            page.mouse.move(x + 4 * abs(k % 40 - 20), y)
        else:
            page.mouse.wheel(0, -30 if k % 40 < 20 else 30)
        k += 1
    many = page.evaluate("() => window.frames_drawn")
    seconds, spent = time.perf_counter() - began, browser_time() - spent
    if how == "pan":
        page.mouse.up()
    return round(many / seconds, 1), round(spent / max(1, many), 3)


def refined(page: Any) -> float:
    """Seconds from the wheel's last turn until more points are drawn where one looks."""
    box = page.locator(".lm-stage canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(8):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(30)
    before = page.evaluate(f"() => {MAP}.part.key")
    began = time.perf_counter()
    page.wait_for_function(f"b => {MAP}.part.key !== b && !{MAP}.refining", arg=before)
    return round(time.perf_counter() - began, 2)


def lasso(page: Any) -> float:
    """Seconds from releasing the lasso around the middle of the map until the tabs of the selection
    are drawn.
    """
    page.locator(".lm-bar").get_by_text("Lasso", exact=True).click()
    box = page.locator(".lm-stage canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    r = min(box["width"], box["height"]) * 0.2
    page.mouse.move(x + r, y)
    page.mouse.down()
    for a in np.linspace(0, 2 * np.pi, 24)[1:]:
        page.mouse.move(x + r * np.cos(a), y + r * np.sin(a))
    began = time.perf_counter()
    page.mouse.up()
    page.get_by_role("tab", name="Table").wait_for()
    page.locator("[data-testid=stDataFrame]").first.wait_for()
    return round(time.perf_counter() - began, 2)


def main() -> None:
    everything = "--all" in sys.argv
    sizes = [int(a.replace(",", "")) for a in sys.argv[1:] if a != "--all"] or list(SIZES)
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            run = prepare(home, rows)
            print(f"{rows:,} points prepared", flush=True)
            print(measure(home, run, rows, everything), end="\n\n")


if __name__ == "__main__":
    main()
