"""Two maps beside each other in Chromium: one selection, one point under the mouse; and points that
are seen to go where another projection has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.artifacts import Embedding
from core.jobs.run_folder import find_artifact
from core.workspace.workspace import Workspace
from tests.browser.conftest import settled, train_on_digits

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture
def pair(page: Any, served: str, home: Path) -> Any:
    """The map of the digits by principal components beside their t-SNE; and another run."""
    page.run = train_on_digits(home, 16, "auto", "pca", "tsne")
    train_on_digits(home, 3, "auto")
    page.goto(f"{served}/latent?dataset=digits&run={page.run}")
    settled(page)
    page.locator(".lm[data-ready]").wait_for()
    return page


def beside(page: Any, words: str) -> None:
    page.locator(".st-key-w-map-beside input").click()
    page.get_by_role("option").filter(has_text=words).first.click()
    settled(page)


def test_one_selection_and_one_point_under_the_mouse_on_two_maps(pair: Any, shot: Any) -> None:
    page = pair
    beside(page, "PCA")
    page.locator(".lm[data-ready]").nth(1).wait_for()
    first, second = (page.locator(".lm").nth(i) for i in (0, 1))
    rings = [m.locator(".lm-ring") for m in (first, second)]
    page.evaluate("() => Object.values(window.lightboxMaps)[0].map.hovered(77)")
    shown = [r for r in rings if r.is_visible()]
    assert len(shown) == 1, "on the other map only"
    assert shown[0].get_attribute("data-index") == "77"

    box = first.locator(".lm-stage canvas").first.bounding_box()
    first.get_by_text("Box", exact=True).click()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 3, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "() => !document.querySelector('.st-key-top-bar').innerText.includes('Selection: 0')"
    )
    settled(page)
    bits = "() => Object.values(window.lightboxMaps).map(m => m.selection.bits.join())"
    page.wait_for_function(f"() => new Set(({bits})()).size === 1")
    one, two = page.evaluate(bits)
    assert one == two
    assert set(one.split(",")) != {"0"}
    shot("map-pair")
    assert not page.errors


def test_lines_lead_to_the_cases_nearest_in_the_latent_space(pair: Any, home: Path) -> None:
    page, ws = pair, Workspace(home)
    space = find_artifact(ws, page.run, Embedding)
    z = np.asarray(space.z)[space.at(ws.dataset("digits").rows)]
    nearest = np.argsort(np.linalg.norm(z - z[77], axis=1), kind="stable")[1:6]
    page.evaluate("() => Object.values(window.lightboxMaps)[0].map.hovered(77)")
    lines = page.locator(".lm-ties line")
    assert {int(t) for t in lines.evaluate_all("l => l.map(i => i.dataset.to)")} == set(nearest)
    page.evaluate("() => Object.values(window.lightboxMaps)[0].map.left()")
    assert lines.count() == 0
    assert not page.errors


def test_another_run_stands_beside_and_one_map_comes_back(pair: Any) -> None:
    page = pair
    beside(page, "Principal components")
    page.locator(".lm[data-ready]").nth(1).wait_for()
    assert page.locator(".lm").count() == 2
    beside(page, "One map")
    page.wait_for_function("() => document.querySelectorAll('.st-key-w-map-beside').length === 1")
    page.locator(".lm").nth(1).wait_for(state="detached")
    assert not page.errors


def test_points_are_seen_to_go_to_their_places_on_another_projection(pair: Any) -> None:
    page = pair
    page.evaluate(
        "() => { const m = Object.values(window.lightboxMaps)[0].map; window.glides = 0;"
        " m.plot.subscribe('transitionEnd', () => window.glides++); window.before = m }"
    )
    page.locator(".st-key-w-map-how").get_by_text("PCA", exact=True).click()
    page.wait_for_function("() => window.glides === 1")
    settled(page)
    assert page.evaluate("() => Object.values(window.lightboxMaps)[0].map === window.before")
    page.emulate_media(reduced_motion="reduce")
    page.locator(".st-key-w-map-how").get_by_text("t-SNE", exact=True).click()
    settled(page)
    page.wait_for_timeout(1500)
    assert page.evaluate("() => window.glides") == 1, "who wants no motion sees none"
    assert not page.errors
