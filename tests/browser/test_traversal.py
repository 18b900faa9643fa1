"""The traversal in Chromium: sliders answer without the server, what is let go is decoded around,
and Reset goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import settled, train_on_digits

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
PIXELS = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"


def alike(a: list[int], b: list[int]) -> bool:
    """Whether two pictures are the same but for the noise of their compression."""
    return len(a) == len(b) and float(np.abs(np.subtract(a, b)).mean()) < 0.5


@pytest.fixture
def bench(page: Any, served: str, home: Path) -> Any:
    """The traversal of the digits by principal components; `page.sent` are the messages to the
    server.
    """
    run = train_on_digits(home, 16)
    page.sent = []
    page.on("websocket", lambda line: line.on("framesent", lambda f: page.sent.append(f)))
    page.goto(f"{served}/traversal?dataset=digits&run={run}")
    settled(page)
    page.locator("[data-testid=traversal] .tv-middle canvas").wait_for()
    return page


def answered(page: Any, act: Callable[[], Any]) -> None:
    """Do `act` and wait until what the server answers to it is drawn."""
    root = page.locator("[data-testid=traversal]")
    before = root.get_attribute("data-turn")
    act()
    until = time.monotonic() + 60
    while root.get_attribute("data-turn") == before and time.monotonic() < until:
        page.wait_for_timeout(50)
    settled(page)


def test_a_slider_moves_the_picture_by_itself_and_asks_when_it_is_let_go(
    bench: Any, shot: Any
) -> None:
    page = bench
    picture = page.locator("[data-testid=traversal] .tv-middle canvas")
    change = page.locator("[data-testid=traversal] .tv-left canvas").last
    own, still = picture.evaluate(PIXELS), change.evaluate(PIXELS)
    assert len(set(zip(still[::4], still[1::4], still[2::4]))) == 1, "nothing has changed yet"
    first, second = (
        page.locator("[data-testid=traversal] input[type=range]").nth(i) for i in (0, 1)
    )
    page.sent.clear()
    # as a hand that has not let go: input events without a change
    move = "(i, to) => { i.value = to; i.dispatchEvent(new Event('input')); }"
    seen = []
    for place in ("0", "14"):
        first.evaluate(move, place)
        seen.append(picture.evaluate(PIXELS))
    assert not any(alike(a, b) for a, b in ((seen[0], own), (seen[1], own), seen))
    assert change.evaluate(PIXELS) != still
    assert not page.sent, "a picture was asked for while the slider was moved"
    value = page.locator("[data-testid=traversal] output").first.inner_text()
    answered(page, lambda: first.evaluate("i => i.dispatchEvent(new Event('change'))"))
    assert page.sent
    assert alike(picture.evaluate(PIXELS), seen[1]), (
        "the same place, sent again, is the same picture"
    )
    assert page.locator("[data-testid=traversal] output").first.inner_text() == value

    second.focus()
    answered(page, lambda: page.keyboard.press("Home"))
    assert not alike(picture.evaluate(PIXELS), seen[1]), "the second moves from where the first is"
    words = page.locator("[data-testid=traversal] .tv-middle small").last.inner_text()
    assert "nearest training case" in words
    shot("traversal-bench")
    reset = page.locator("[data-testid=traversal]").get_by_role("button", name="Reset")
    answered(page, reset.click)
    assert page.locator("[data-testid=traversal] label.moved").count() == 0
    assert alike(picture.evaluate(PIXELS), own)
    assert not page.errors
