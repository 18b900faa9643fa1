"""A served app on an empty workspace, and a real Chromium that notes every request it makes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FLAGS = [  # WebGL is drawn by the processor; pages, which need none, are not drawn that way as well
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
    "--disable-gpu-rasterization",
    "--disable-background-networking",
]


def chromium() -> str | None:
    return next(
        (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))),
        None,
    )


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _host(url: str) -> str:
    return url.split("/")[2] if url.startswith("http") else url.split(":")[0]


def settled(page: Any) -> None:
    """Wait until the server has answered all that was sent and the script has finished, and see
    that no exception is on screen.
    """
    page.wait_for_selector("[data-testid=stSidebar]")
    page.wait_for_timeout(400)
    until = time.monotonic() + 20
    while time.monotonic() < until and _unanswered(page):
        page.wait_for_timeout(50)
    page.wait_for_selector(
        "[data-testid=stApp][data-test-script-state=notRunning]", timeout=180_000
    )
    shown = page.locator("[data-testid=stException]")
    assert shown.count() == 0, shown.first.inner_text()


def note_frames(page: Any) -> None:
    """Note from now on when the page last sent something to its server, and when it last heard from
    it (seconds).
    """
    page.last = {"sent": 0.0, "heard": 0.0}

    def opened(socket: Any) -> None:
        socket.on("framesent", lambda _: page.last.update(sent=time.monotonic()))
        socket.on("framereceived", lambda _: page.last.update(heard=time.monotonic()))

    page.on("websocket", opened)


def frame_sizes(page: Any) -> list[int]:
    """Bytes of each message that the page hears from its server from now on; the list grows."""
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda f: sizes.append(len(f))))
    return sizes


def _unanswered(page: Any) -> bool:
    """Whether the page still says "not running" of a click because the busy server has not begun
    with it.
    """
    last = getattr(page, "last", None)
    return bool(last) and last["sent"] > last["heard"]


def go(page: Any, name: str) -> None:
    """Open a page by its link in the sidebar."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    page.wait_for_function("n => document.title.startsWith(n)", arg=name)
    settled(page)


def choose_method(page: Any, title: str) -> None:
    """On the training page: pick a method among all that fit."""
    if not page.get_by_label("Search", exact=True).is_visible():
        page.get_by_text("All methods that fit").click()
    button = page.locator('[class*="st-key-find-"]').get_by_role("button", name=title, exact=True)
    button.click()
    page.get_by_role("heading", name=title, exact=True).wait_for()
    settled(page)


def loop_around(page: Any, share: float = 0.42) -> None:
    """Draw a circle with the lasso over the middle of the map; `share` of its smaller side is the
    radius.
    """
    box = page.locator(".lm-stage canvas").first.bounding_box()
    x, y, r = (
        box["x"] + box["width"] / 2,
        box["y"] + box["height"] / 2,
        min(box["width"], box["height"]) * share,
    )
    page.mouse.move(x + r, y)
    page.mouse.down()
    for a in np.linspace(0, 2 * np.pi, 24)[1:]:
        page.mouse.move(x + r * np.cos(a), y + r * np.sin(a))
    bar = page.locator(".st-key-top-bar")
    before = bar.inner_text()
    page.mouse.up()
    page.wait_for_function(
        "b => document.querySelector('.st-key-top-bar').innerText !== b", arg=before
    )
    settled(page)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the served app."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Address]:
    """Address of an app whose workspace is empty at first."""
    if chromium() is None:
        pytest.skip(
            "No Chromium here: install it (Debian: apt-get install chromium) to run the browser"
            " tests."
        )
    with serving({"LIGHTBOX_HOME": str(home)}, home / "app.log") as url:
        yield url


def train_on_digits(home: Path, dimensions: int, *maps: str) -> str:
    """Id of a run of principal components on the digits in the workspace, with these maps of it:
    the same for the same question, since drawing a map costs more than most tests.
    """
    from core.data.samples.catalogue import make_sample
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    ws = Workspace(home)
    if not any(e["name"] == "digits" for e in ws.catalogue.datasets()):
        ws.add(make_sample("digits"), sample=True)
    asked = queue.train(
        ws, "digits", "pca", {"dimensions": dimensions}, token=f"digits-{dimensions}"
    )
    trained = queue.wait(ws, asked.id, timeout=500)
    for how in maps:
        made = queue.derive(ws, "map", trained.id, {"how": how, "dims": 2})
        queue.wait(ws, made.id, timeout=500)
    return trained.id


@pytest.fixture(scope="module")
def run(home: Path) -> str:
    """A run on the digits whose map is drawn."""
    return train_on_digits(home, 8, "auto")


def bring(page: Any, served: str, upload: Path) -> None:
    """Hand a file to the page that adds data."""
    page.goto(f"{served}/data")
    settled(page)
    if page.get_by_role("tab", name="Add data").count():
        page.get_by_role("tab", name="Add data").click()
        settled(page)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(upload))


class Address(str):
    """Where an app is served; `token` opens it."""

    token: str = ""

    @property
    def cookie(self) -> dict[str, str]:
        """The cookie that a browser has that was here by the whole address."""
        return {"name": f"lightbox-{self.rpartition(':')[2]}", "value": self.token, "url": self}


@contextmanager
def serving(
    env: dict[str, str], log: Path, *flags: str, port: int | None = None
) -> Iterator[Address]:
    """An app of its own on a free port, or on `port`, with `env` beside this process's environment:
    its address, once it answers.
    """
    port = port or _free_port()
    url = Address(f"http://127.0.0.1:{port}")
    with open(log, "w") as out:
        app = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "app", "--port", str(port), *flags],
            env=os.environ | env,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            for _ in range(480):
                try:
                    urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                    break
                except OSError:
                    time.sleep(0.25)
            else:
                pytest.fail(f"The app did not start: {log.read_text()[-2000:]}")
            url.token = log.read_text().partition("?token=")[2].split("\n")[0]
            yield url
        finally:
            os.killpg(app.pid, 15)
            app.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for the tests of a file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        started = p.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(served: Address, browser: Any) -> Iterator[Any]:
    """A page at 1440 x 900 that knows nothing of pages before; `page.hosts` are the hosts it asked
    for anything (what the content policy stopped never left).
    """
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.add_cookies([served.cookie])
    page = context.new_page()
    page.set_default_timeout(180_000)
    note_frames(page)
    page.hosts = set()
    page.errors = []
    page.on("requestfinished", lambda r: page.hosts.add(_host(r.url)))
    page.on(
        "requestfailed",
        lambda r: page.hosts.add(_host(r.url)) if "csp" not in (r.failure or "") else None,
    )
    page.on("pageerror", lambda e: page.errors.append(str(e)))
    yield page
    if folder := os.environ.get("LIGHTBOX_SHOTS"):
        page.screenshot(path=f"{folder}/last.png")
    context.close()


@pytest.fixture
def shot(page: Any) -> Any:
    """`shot(name)` keeps a screenshot where LIGHTBOX_SHOTS points, and does nothing otherwise."""
    folder = os.environ.get("LIGHTBOX_SHOTS")

    def take(name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    return take
