"""Journey 10 in Chromium: a concept from a loop on the map, tested against random ones, with the
cases at both ends.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import go, loop_around, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def classifier(home: Path) -> str:
    """A classifier of the digits whose map is drawn."""
    from core.data.samples.catalogue import make_sample
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    ws = Workspace(home)
    ws.add(make_sample("digits"), sample=True)
    trained = queue.wait(ws, queue.train(ws, "digits", "classifier", {"epochs": 6}).id, timeout=500)
    queue.wait(ws, queue.derive(ws, "map", trained.id, {"how": "pca", "dims": 2}).id, timeout=500)
    return trained.id


def test_a_loop_on_the_map_becomes_a_concept_that_is_tested(
    page: Any, served: str, classifier: str, shot: Any
) -> None:
    page.goto(f"{served}/latent?dataset=digits&run={classifier}")
    settled(page)
    page.locator(".lm-stage canvas").first.wait_for()
    page.get_by_text("PCA", exact=False).first.wait_for()
    loop_around(page, 0.12)
    clicks = 1
    go(page, "Rationales")
    page.get_by_role("radio", name="by concept").click()
    settled(page)
    page.get_by_label("Called").fill("strokes")
    page.keyboard.press("Enter")
    settled(page)
    shot("concept-form")
    began = time.monotonic()
    page.get_by_role("button", name="Test the concept").click()
    clicks += 4
    page.get_by_text("Cases it was found in").wait_for()
    settled(page)
    assert clicks <= 6
    assert time.monotonic() - began < 90
    assert page.get_by_text("strokes", exact=True).count()
    assert page.get_by_text("Most of it").count()
    assert page.get_by_text("Least of it").count()
    assert page.get_by_text("AUROC").count()
    assert page.get_by_text("random concepts").count()
    page.get_by_text("Table", exact=True).click()
    settled(page)
    shot("concept-result")
    page.mouse.move(600, 600)
    page.mouse.wheel(0, 900)
    page.wait_for_timeout(500)
    shot("concept-below")
    assert page.get_by_text("Rises most").count()
    assert not page.errors
