"""The map's tools in Chromium: outlines, what they do to the selection, the legend's histogram,
pictures once one zooms in, and how little is sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lightbox
from tests.browser.conftest import frame_sizes, settled, train_on_digits

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
MOST = 20_000  # bytes of one frame after a selection
PICTURES = ".lm-pictures i"
LAYER = "Object.values(window.lightboxMaps)[0].map.sets.layer"
SETS = f"words => {LAYER}.dataset.sets === words"


@pytest.fixture
def on_map(page: Any, served: str, home: Path) -> Any:
    """The map of the digits by principal components; `page.frames` are the sizes of what the server
    sends.
    """
    run = train_on_digits(home, 16, "auto")
    page.sizes = frame_sizes(page)
    page.goto(f"{served}/latent?dataset=digits&run={run}")
    settled(page)
    page.locator(".lm[data-ready]").wait_for()
    return page


def selected(page: Any) -> int:
    words = page.locator(".st-key-top-bar").inner_text()
    return int(re.search(r"Selection: ([\d,]+)", words)[1].replace(",", ""))  # type: ignore[index]


def after(page: Any, act: Callable[[], Any]) -> int:
    """How many cases are selected once `act` has changed that."""
    bar = page.locator(".st-key-top-bar")
    before = bar.inner_text()
    page.sizes.clear()
    act()
    page.wait_for_function(
        "b => document.querySelector('.st-key-top-bar').innerText !== b", arg=before
    )
    settled(page)
    return selected(page)


def tool(page: Any, name: str) -> None:
    page.locator(".lm-bar").get_by_text(name, exact=True).click()


def mode(page: Any, name: str) -> None:
    page.locator(".lm-bar select").select_option(label=name)


def looks(page: Any) -> list[tuple[str, str]]:
    """Colour of the frame and opacity of each picture on the map, once their number stands still.

    All are read at once: the map draws its pictures again whenever it is drawn, and one read after
    the other may find a picture that is gone by then.
    """
    read = """all => all.map(i => {
      const {borderColor, opacity} = getComputedStyle(i);
      return [borderColor, opacity];
    })"""
    before, seen = -1, []
    for _ in range(100):
        found = page.locator(PICTURES).evaluate_all(read)
        if found and len(found) == before:
            return [(colour, opacity) for colour, opacity in found]
        before = len(found)
        seen.append(before)
        page.wait_for_timeout(100)
    raise AssertionError(f"the pictures on the map do not come to rest: {seen}")


def zoom_in(page: Any) -> None:
    """Turn the wheel over the left of the map until pictures stand on it; each turn once the one
    before is drawn, since several at once may pass all points by.
    """
    near = "() => Object.values(window.lightboxMaps)[0].map.plot.get('cameraView')[0]"
    box = page.locator(".lm-stage canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    for _ in range(30):
        if page.locator(PICTURES).count():
            break
        before = page.evaluate(near)
        page.mouse.wheel(0, -120)
        page.wait_for_function(f"before => ({near})() !== before", arg=before)
        for _ in range(8):  # a busy machine draws them late, and one more turn goes past them
            page.wait_for_timeout(100)
            if page.locator(PICTURES).count():
                break
    for _ in range(4):  # a turn that was drawn late may have gone past all points: back again
        page.wait_for_timeout(500)
        if page.locator(PICTURES).count():
            break
        page.mouse.wheel(0, 120)
    assert page.locator(PICTURES).count()


def test_outlines_select_add_keep_and_invert_and_the_points_are_not_sent_again(
    on_map: Any, shot: Any
) -> None:
    page = on_map
    box = page.locator(".lm-stage canvas").first.bounding_box()
    left, top, w, h = box["x"], box["y"], box["width"], box["height"]

    def drag(x: float, y: float, x2: float, y2: float) -> None:
        page.mouse.move(left + x * w, top + y * h)
        page.mouse.down()
        page.mouse.move(left + x2 * w, top + y2 * h, steps=4)
        page.mouse.up()

    tool(page, "Box")
    half = after(page, lambda: drag(0.005, 0.005, 0.5, 0.995))
    assert 100 < half < 1700
    assert max(page.sizes) < MOST, "the points are sent again"
    shot("map-box")
    mode(page, "Add to it")
    assert after(page, lambda: drag(0.495, 0.005, 0.995, 0.995)) == 1797, "both halves are all"
    mode(page, "Keep only these of it")
    upper = after(page, lambda: drag(0.005, 0.005, 0.995, 0.5))
    assert 100 < upper < 1700
    assert after(page, lambda: tool(page, "Invert")) == 1797 - upper
    mode(page, "New selection")
    tool(page, "Corners")

    def corners() -> None:
        for x, y in ((0.005, 0.005), (0.995, 0.005), (0.995, 0.5), (0.005, 0.5)):
            page.mouse.click(left + x * w, top + y * h)
            page.wait_for_timeout(400)  # two quick ones are a double click
        page.keyboard.press("Enter")

    assert after(page, corners) == upper, "the same area by corners, without dragging"
    assert after(page, lambda: tool(page, "Clear")) == 0
    assert not page.errors


def test_corners_stay_on_their_places_and_enter_closes_them_and_presses_no_button(
    on_map: Any,
) -> None:
    page = on_map
    box = page.locator(".lm-stage canvas").first.bounding_box()
    left, top, w, h = box["x"], box["y"], box["width"], box["height"]
    tool(page, "Corners")

    def corners(*places: tuple[float, float]) -> None:
        for x, y in places:
            page.mouse.click(left + x * w, top + y * h)
            page.wait_for_timeout(400)

    def enter() -> None:
        page.keyboard.press("Enter")

    corners((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
    before = after(page, enter)
    assert before > 20
    inverted = after(page, lambda: tool(page, "Invert"))  # which keeps the focus
    assert inverted == 1797 - before
    corners((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
    page.mouse.move(left + w / 2, top + h / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    assert after(page, enter) == before, "the same places, though the map was zoomed meanwhile"
    assert not page.errors


def test_another_map_is_shown_whole_however_far_one_had_zoomed_in(on_map: Any) -> None:
    page = on_map
    zoom_in(page)
    page.locator(".st-key-w-map-how").get_by_text("PCA", exact=True).click()
    settled(page)
    page.locator(PICTURES).first.wait_for(state="detached")


def test_every_projection_is_in_sight_on_a_small_screen(on_map: Any) -> None:
    page = on_map
    page.set_viewport_size({"width": 1024, "height": 768})
    for of in (".st-key-w-map-how", ".st-key-w-map-dims"):
        last = page.locator(f"{of} [role=radio]").last.bounding_box()
        around = page.locator(f"{of} [role=radiogroup]").bounding_box()
        assert last["x"] + last["width"] <= around["x"] + around["width"] + 1


def test_pictures_appear_as_one_zooms_in_and_go_with_the_whole_map(on_map: Any, shot: Any) -> None:
    page = on_map
    assert page.locator(PICTURES).count() == 0
    zoom_in(page)
    assert len(looks(page)) <= 60
    shot("map-pictures")
    colours = {colour for colour, _ in looks(page)}
    tool(page, "Doubtful places")
    assert {colour for colour, _ in looks(page)} != colours, "the colours of doubt"
    tool(page, "Doubtful places")
    assert {colour for colour, _ in looks(page)} == colours
    dimmed = 0
    for name in page.locator(".lm-legend button").all()[:2]:
        after(page, lambda name=name: name.click())
        shown = set(looks(page))
        assert len({c for c, opacity in shown if opacity == "1"}) <= 1, "the class selected alone"
        dimmed += any(opacity == "0.35" for _, opacity in shown)
    assert dimmed, "what is not selected steps back"
    tool(page, "Whole map")
    page.locator(PICTURES).first.wait_for(state="detached")


def test_the_card_of_a_case_goes_when_the_wheel_zooms(on_map: Any) -> None:
    page = on_map
    card = page.locator(".lm-tip")
    box = page.locator(".lm-stage canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tries = ((dx, dy) for dx in range(0, 240, 6) for dy in range(0, 160, 6))
    for dx, dy in tries:
        page.mouse.move(x + dx, y + dy)
        if card.is_visible():
            break
    card.wait_for()
    page.mouse.wheel(0, -120)
    card.wait_for(state="hidden")


def test_the_histogram_of_an_amount_selects_its_cases(on_map: Any, shot: Any) -> None:
    page = on_map
    page.locator(".st-key-w-colour input").click()
    page.get_by_role("option").filter(has_text="anomaly score").first.click()
    settled(page)
    bars = page.locator(".lm-bars button:enabled")
    bars.first.wait_for()
    many = sum(
        int(re.search(r"Select the (\d+)", b.get_attribute("title"))[1])  # type: ignore[index]
        for b in bars.all()
    )
    assert many == 1797
    words = bars.nth(2).get_attribute("title")
    found = after(page, lambda: bars.nth(2).click())
    assert found == int(re.search(r"Select the (\d+)", words)[1])  # type: ignore[index]
    shot("map-histogram")


def test_two_sets_are_kept_ringed_and_set_beside_each_other(on_map: Any, shot: Any) -> None:
    """By key and by button; circles and squares; cases of both on neither side."""
    page = on_map
    legend, rings = page.locator(".lm-legend button"), page.locator(".lm-sets").first
    first, second = (int(re.search(r"\((\d+)\)", b.inner_text())[1]) for b in legend.all()[:2])  # type: ignore[index]
    after(page, legend.nth(0).click)
    box = page.locator(".lm-stage canvas").first.bounding_box()
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.keyboard.press("a")
    page.wait_for_function(SETS, arg=f"A {first}")
    settled(page)
    assert after(page, lambda: legend.nth(1).click(modifiers=["Shift"])) == first + second
    tool(page, "B □")
    words = f"A {first}, B {first + second}"
    page.wait_for_function(SETS, arg=words)
    settled(page)
    assert rings.evaluate("c => c.width") > 0
    page.get_by_role("tab", name="A against B").click()
    settled(page)
    page.get_by_text(f"{first} cases of both sets").wait_for()
    after(page, lambda: page.get_by_role("button", name=re.compile("Select A")).click())
    page.get_by_role("button", name="Forget A").click()
    page.wait_for_function(SETS, arg=words.split(", ")[1])
    settled(page)
    after(page, legend.nth(2).click)
    page.get_by_role("button", name=re.compile("Keep the .* as A")).click()
    page.get_by_text("In the latent space").wait_for()
    settled(page)
    assert page.get_by_text(re.compile("differ from the .* of B most in")).count() == 1
    shot("map-sets")
    assert not page.errors


def test_a_lasso_among_100_000_cases_sends_little(
    page: Any, served: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the points, nor every line of the table, nor the file that could be exported."""
    from tests.benchmarks.bench_map_screen import prepare

    run = prepare(home, 100_000)
    page.sizes = frame_sizes(page)
    page.goto(f"{served}/library?dataset=many&run={run}")
    settled(page)
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    lightbox.screen.move(page="map", projection="pca")
    page.locator(".lm[data-ready]").wait_for()
    settled(page)
    tool(page, "Box")
    box = page.locator(".lm-stage canvas").first.bounding_box()

    def drag() -> None:
        page.mouse.move(box["x"] + 3, box["y"] + 3)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + box["height"] - 3, steps=4)
        page.mouse.up()

    assert 10_000 < after(page, drag) < 90_000
    page.get_by_text(re.compile("The first 200 of")).wait_for()
    assert max(page.sizes) < MOST
    assert not page.errors
