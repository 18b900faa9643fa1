"""The traversal on screen, pictures of 64 x 64 by a variational autoencoder, in a real Chromium:
`python -m tests.benchmarks.bench_traversal_screen`.

From the click on the page to the decoded case; a step of a slider, from the input to the picture
drawn (pixels read back) and until the second frame after it; the server's processor time for the
opening, and what it sends.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.bench_map_screen import Told, open_page
from tests.browser.conftest import serving

BENCH = "[data-testid=traversal]"
TIMES = 5
# one step after another over the whole slider and back, each with its picture read back
STEPS = """(input) => {
  const canvas = input.closest('.tv').querySelector('.tv-middle canvas');
  const pen = canvas.getContext('2d'), taken = [];
  for (let k = 0; k < 56; k++) {
    const at = Math.abs(14 - (k % 28));
    const began = performance.now();
    input.value = at;
    input.dispatchEvent(new Event('input'));
    pen.getImageData(0, 0, 1, 1);
    taken.push(performance.now() - began);
  }
  return taken;
}"""
# the same, until the browser has drawn the frame after it
FRAMES = """async (input) => {
  const taken = [];
  const next = () => new Promise((done) => requestAnimationFrame(done));
  for (let k = 0; k < 14; k++) {
    const began = performance.now();
    input.value = k;
    input.dispatchEvent(new Event('input'));
    await next();
    await next();
    taken.push(performance.now() - began);
  }
  return taken;
}"""


def prepare(home: Path) -> str:
    """A workspace with the head phantom, 64 x 64, and a short run; gives the run's id. How well it
    has learned changes no time.
    """
    from core.data.samples.catalogue import make_sample
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    ws = Workspace(home)
    ws.add(make_sample("head-phantom").take(np.arange(200)), sample=True)
    params = {"epochs": 1, "latent": 16}
    run = queue.wait(ws, queue.train(ws, "head-phantom", "gaussian_vae", params).id, timeout=3600)
    assert run.status == "done", run.error
    return run.id


def measure(home: Path, run: str) -> dict[str, Any]:
    import psutil
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = Told()
    env = {"LIGHTBOX_HOME": str(home)}
    os.environ |= env
    with serving(env, home / "app.log") as url, sync_playwright() as p:
        browser, page, sizes = open_page(p, url)
        server = psutil.Process(json.loads((home / "server.json").read_text())["pid"])
        found["browser"] = browser.version
        menu = page.get_by_test_id("stSidebarNav")
        page.goto(f"{url}/library?dataset=head-phantom&run={run}")
        still(page)
        opening, spent = [], []
        for _ in range(TIMES):
            menu.get_by_role("link", name="Library", exact=True).click()
            page.wait_for_function("() => document.title.startsWith('Library')")
            still(page)
            sizes.clear()
            before = sum(server.cpu_times()[:2])
            began = time.perf_counter()
            menu.get_by_role("link", name="Traversal", exact=True).click()
            page.locator(f"{BENCH} .tv-middle canvas").wait_for()
            opening.append(time.perf_counter() - began)
            still(page)
            spent.append(sum(server.cpu_times()[:2]) - before)
        found["opening, first, s"] = round(opening[0], 2)
        found["opening, again, s"] = [round(v, 2) for v in sorted(opening[1:])]
        found["opening, again, processor time of the server, s"] = round(min(spent[1:]), 2)
        found["opening, sent to the page, kB"] = round(sum(sizes) / 1e3)
        page.wait_for_timeout(1000)
        slider = page.locator(f"{BENCH} input[type=range]").first
        for name, code in (("drawn", STEPS), ("on screen", FRAMES)):
            taken = np.array(slider.evaluate(code))
            middle, most = np.percentile(taken, [50, 95])
            found[f"a step, {name}, ms, median and 95 of 100"] = [
                round(float(middle), 1),
                round(float(most), 1),
            ]
        found["load of the machine"] = round(os.getloadavg()[0], 1)
        browser.close()
    return found


def still(page: Any) -> None:
    """Wait until the script has finished."""
    page.wait_for_timeout(300)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = prepare(home)
        measure(home, run)


if __name__ == "__main__":
    main()
