"""The open page moved from outside, by the command line and from Python, with two people at two
pages: which of them moves, what is refused, the way back, and that an idle page is sent nothing.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import lightbox
from app.outside.orders import PATH
from core.errors import UserError
from tests.browser.conftest import note_frames, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture
def cli(home: Path) -> Any:
    """`cli(*words)`: what `lightbox screen` printed as JSON, or the sentence it refused with."""

    def call(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", "screen", *words, "--json"],
            env=os.environ | {"LIGHTBOX_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 2), done.stderr
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    return call


@pytest.fixture
def python(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    return lightbox.screen


@pytest.fixture
def two(page: Any, served: str, browser: Any, run: str) -> Any:
    """(page of one person, page of another), both of whom see the digits' run."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([served.cookie])  # type: ignore[attr-defined]
    other = context.new_page()
    other.set_default_timeout(180_000)
    note_frames(other)
    for one in (other, page):  # so that `page` was used last
        one.goto(f"{served}/data?dataset=digits&run={run}")
        settled(one)
    yield page, other
    context.close()


def moved(page: Any) -> str:
    return "".join(page.locator(".st-key-moved").all_inner_texts())


def test_the_screen_moves_by_command_and_from_python_and_goes_back(
    two: Any, cli: Any, python: Any, run: str, shot: Any
) -> None:
    page, other = two
    shown = cli("--page", "map", "--run", run, "--colour", "anomaly score")
    assert (shown["page"], shown["run"], shown["colour"]) == ("latent", run, "anomaly score")
    page.wait_for_function("() => document.title.startsWith('Latent map')")
    page.locator(".lm[data-ready]").wait_for()
    assert "colour = anomaly score" in moved(page)
    assert page.locator(".st-key-w-colour input").input_value() == "anomaly score"

    cli("--select", "digit in (3, 8)", "--look", "17")
    page.get_by_text("Selection: 357 of 1,797").wait_for()
    page.get_by_text("row 17", exact=True).wait_for()
    settled(page)
    shot("screen-moved")
    told = cli("--show")
    assert told["selection"]["n"] == len(told["selection"]["rows"]) == 357
    assert told["case"] == {"row": 17, "name": "row 17"}

    python.select([3, 5, "row 8"], mode="set")
    page.get_by_text("Selection: 3 of 1,797").wait_for()
    assert python.show()["selection"]["rows"] == [3, 5, 8]
    settled(page)

    page.get_by_role("button", name="Undo this move").click()
    page.get_by_text("Selection: 357 of 1,797").wait_for()
    settled(page)
    assert python.undo()["selection"]["n"] == 0, "each move is taken back by itself"
    assert python.undo()["page"] == "data"
    page.wait_for_function("() => document.title.startsWith('Data')")
    settled(page)
    assert not moved(page)
    with pytest.raises(UserError, match="Nothing was moved"):
        python.undo()
    assert "Selection: 0" in other.locator(".st-key-top-bar").inner_text()
    assert not moved(other)
    assert not page.errors


def test_one_of_two_pages_moves_and_nothing_leaks_to_the_other(
    two: Any, cli: Any, python: Any
) -> None:
    page, other = two
    newest, older = (s["session"] for s in python.sessions())
    assert python.show()["session"] == newest
    cli("--session", older, "--select", "digit = 4")
    other.get_by_text("Selection: 181 of 1,797").wait_for()
    assert "Selection: 0" in page.locator(".st-key-top-bar").inner_text()
    assert python.show(newest)["selection"]["n"] == 0
    assert python.show()["session"] == newest, "being moved is no use by a person"
    other.get_by_role("button", name="Hide", exact=True).click()
    settled(other)
    assert python.show()["session"] == older, "the page a person used last"
    assert "There is no one session" in cli("--session", "zzzz", "--page", "map")


def test_what_cannot_be_is_a_sentence_and_moves_and_sends_nothing(
    two: Any, cli: Any, python: Any
) -> None:
    page, _ = two
    page.wait_for_timeout(1500)
    heard = page.last["heard"]
    before = python.show()
    for words, said in (
        (("--colour", "digit", "--select", "nobody > 3"), "no column of that name"),
        (("--page", "../etc"), "There is no page"),
        (("--run", "zzzz"), "There is no run"),
        (("--projection", "mds"), "A map is made by"),
        (("--look", "nobody.png"), "there is no case"),
        (("--group", "none"), "There is no group"),
        (("--cluster", "1"), "found no clusters"),
        (("--select", "digit = 3", "--clear"), "Choose one of"),
        ((), "Say what the screen should show"),
    ):
        assert said in cli(*words)
    with pytest.raises(UserError, match="has no “nonsense”"):
        python.move(nonsense=1)
    page.wait_for_timeout(1500)
    after = python.show()
    assert {k: v for k, v in after.items() if k != "seconds_since_used"} == {
        k: v for k, v in before.items() if k != "seconds_since_used"
    }
    assert page.last["heard"] == heard, "an idle page is sent nothing"


def test_only_who_may_read_the_workspace_may_ask(two: Any, served: str, home: Path) -> None:
    def ask(**headers: str) -> int:
        request = urllib.request.Request(
            f"{served}{PATH}", b'{"do": "sessions"}', headers, method="POST"
        )
        try:
            return int(urllib.request.urlopen(request, timeout=60).status)
        except urllib.error.HTTPError as e:
            return e.code

    cookie = served.cookie  # type: ignore[attr-defined]
    right = f"{cookie['name']}={cookie['value']}"
    assert ask(Cookie=right) == 200
    assert ask() == 403
    assert ask(Cookie=right[:-1]) == 403
    assert ask(Cookie=right, Origin="http://127.0.0.1:1") == 403, "a page of another port"
    if os.name != "nt":
        assert stat.S_IMODE((home / "server.json").stat().st_mode) == 0o600
