"""The dark and the light theme: chosen by one switch, on every page, without losing anything."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import go, serving, settled
from tests.browser.test_map import looks, selected, zoom_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
BEHIND = {"light": "rgb(250, 250, 250)", "dark": "rgb(22, 22, 22)"}


def behind(page: Any) -> str:
    """Colour of the page."""
    app = page.locator("[data-testid=stApp]")
    return str(app.evaluate("e => getComputedStyle(e).backgroundColor"))


def switch(page: Any, to: str) -> None:
    page.get_by_role("button", name=f"{to} theme").click()
    page.wait_for_function(
        "c => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor == c",
        arg=BEHIND[to.lower()],
    )


def behind_points(page: Any) -> tuple[int, ...]:
    """What WebGL drew in the corner of the map, where no point is: red, green, blue."""
    box = page.locator(".lm-stage canvas").first.bounding_box()
    clip = {"x": box["x"] + 6, "y": box["y"] + 6, "width": 1, "height": 1}
    return Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB").getpixel((0, 0))


def legend(page: Any) -> tuple[str, list[str]]:
    """Colour of the legend's words, and of its dots."""
    buttons = page.locator(".lm-legend button")
    words = buttons.first.evaluate("e => getComputedStyle(e).color")
    dots = "all => all.map(e => getComputedStyle(e.querySelector('i')).backgroundColor)"
    return words, buttons.evaluate_all(dots)


def drawn_in(page: Any, theme: str) -> None:
    """Wait until the map is drawn in a theme."""
    until = time.monotonic() + 20
    want = tuple(int(v) for v in re.findall(r"\d+", BEHIND[theme]))
    while behind_points(page) != want:
        assert time.monotonic() < until, f"{behind_points(page)} is behind the points, not {want}"
        page.wait_for_timeout(100)


def test_the_switch_changes_the_map_and_keeps_what_was_selected_and_where_one_was(
    page: Any, served: str, run: str, shot: Any
) -> None:
    page.goto(f"{served}/latent?dataset=digits&run={run}")
    settled(page)
    page.locator(".lm[data-ready]").wait_for()
    assert behind(page) == BEHIND["light"], "as the system says, until one chooses"
    drawn_in(page, "light")
    page.locator(".lm-legend button").first.click()
    bar = page.locator(".st-key-top-bar")
    bar.get_by_text(re.compile(r"Selection: [1-9]\d* of")).wait_for()
    settled(page)
    chosen = selected(page)
    zoom_in(page)
    pictures = len(looks(page))
    words, dots = legend(page)
    page.evaluate("window.stays = true")
    switch(page, "Dark")
    drawn_in(page, "dark")
    assert page.evaluate("window.stays"), "the page was not loaded again"
    assert selected(page) == chosen
    assert len(looks(page)) == pictures, "one is where one was on the map"
    dark_words, dark_dots = legend(page)
    assert dark_words != words, "the legend’s words can be read"
    changed = [a != b for a, b in zip(dots, dark_dots, strict=True)]
    assert 0 < sum(changed) < len(changed), "what would fade on a light page is darker there"
    shot("theme-dark")
    assert page.get_by_role("button", name="Light theme").evaluate(
        "e => e.getRootNode().activeElement === e"
    ), "the menu gives the keyboard back"
    page.keyboard.press("Enter")  # the switch works by the keyboard alone
    drawn_in(page, "light")
    assert legend(page) == (words, dots)
    assert not page.errors


def test_the_choice_holds_on_every_page_and_in_the_next_visit(
    page: Any, served: str, run: str
) -> None:
    page.goto(f"{served}/train?dataset=digits&run={run}")
    settled(page)
    switch(page, "Dark")
    go(page, "Results")
    assert behind(page) == BEHIND["dark"]
    for path in ("", "latent", "reading", "train"):
        page.goto(f"{served}/{path}?dataset=digits&run={run}")
        settled(page)
        assert behind(page) == BEHIND["dark"], f"/{path} forgot it"
    page.get_by_role("button", name="Light theme").wait_for()
    assert not page.errors


def test_the_switch_is_there_before_there_is_any_data(browser: Any, tmp_path: Path) -> None:
    with serving({"LIGHTBOX_HOME": str(tmp_path)}, tmp_path / "app.log") as url:
        context = browser.new_context(color_scheme="dark")
        context.add_cookies([url.cookie])
        page = context.new_page()
        page.goto(url)
        settled(page)
        assert behind(page) == BEHIND["dark"]
        switch(page, "Light")
        context.close()


def test_the_whole_bar_is_there_on_a_small_screen(page: Any, served: str, run: str) -> None:
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{served}/latent?dataset=digits&run={run}")
    settled(page)
    bar = page.locator(".st-key-top-bar")
    for words in ("Window: ", "Selection: ", "Undo"):
        bar.get_by_role("button", name=re.compile(words)).wait_for()
    for label in ("Data", "Run", "Colour by"):
        bar.get_by_text(label, exact=True).wait_for()


def test_the_choice_holds_at_an_address_that_is_no_page(page: Any, served: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(served)
    settled(page)
    switch(page, "Dark")
    page.goto(f"{served}/nowhere")
    settled(page)
    page.get_by_text("Page not found").wait_for()
    page.wait_for_function(
        "c => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor == c",
        arg=BEHIND["dark"],
    )


def test_on_a_small_screen_no_choice_is_cut_and_a_run_is_told_by_its_id(
    page: Any, served: str, run: str, shot: Any
) -> None:
    """Of values in boxes and figures with their names, on the page that has most of them."""
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{served}/anomalies?dataset=digits&run={run}")
    settled(page)
    assert page.locator(".st-key-w-open-run input").input_value().startswith(f"{run[:4]} · ")
    shot("small-anomalies")
    cut = page.evaluate(
        """() => [...document.querySelectorAll('[class*="st-key-controls-"] :is(p, input)')]
          .filter(e => e.offsetWidth && e.scrollWidth > e.clientWidth + 1)
          .map(e => e.value || e.textContent)"""
    )
    assert cut == []
