"""What a term means is told beside it, on hover, on keyboard focus, and put away by Escape."""

from __future__ import annotations

from typing import Any

import pytest

from core.glossary import find
from tests.browser.conftest import go, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


def meaning(term: str) -> str:
    found = find(term)
    assert found is not None
    return found.meaning


def test_a_term_tells_its_meaning_on_hover_and_on_focus(
    page: Any, served: str, run: str, shot: Any
) -> None:
    page.goto(f"{served}/latent?dataset=digits&run={run}")
    settled(page)
    card = page.get_by_role("tooltip")
    term = page.get_by_role("link", name="trustworthiness", exact=True)
    assert "dotted" in term.evaluate("e => getComputedStyle(e).textDecoration")
    term.hover()
    card.wait_for()
    assert card.inner_text() == meaning("trustworthiness")
    shot("glossary-hover")
    card.hover()
    page.wait_for_timeout(400)
    assert card.is_visible(), "it stays while the pointer is on it"
    page.mouse.move(5, 5)
    card.wait_for(state="hidden")
    term.focus()
    card.wait_for()
    assert term.evaluate("e => document.getElementById(e.getAttribute('aria-describedby'))")
    page.keyboard.press("Tab")  # the next term of the same sentence
    page.wait_for_function(
        "w => document.querySelector('[role=tooltip]').textContent === w", arg=meaning("continuity")
    )
    page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    before = page.url
    page.keyboard.press("Enter")  # a term leads nowhere: it tells its meaning
    card.wait_for()
    assert page.url == before
    assert not page.errors


def test_terms_stand_on_the_pages_that_use_them(page: Any, served: str, run: str) -> None:
    page.goto(f"{served}/train?dataset=digits&run={run}")
    settled(page)
    terms = page.locator('a[href^="#term-"]')
    heading = page.get_by_role("heading", name="Principal components")
    heading.get_by_role("link", name="Principal components").wait_for()
    go(page, "Results")
    page.get_by_text("On cases it did not learn from").wait_for()
    terms.first.wait_for()
    go(page, "Anomalies")
    terms.first.wait_for()
    words = {t.lower() for t in terms.all_inner_texts()}
    assert words & {"anomaly score", "threshold"}, "on Anomalies"
    terms.first.hover()
    page.get_by_role("tooltip").wait_for()  # pages come and go, the one card stays
    go(page, "Latent map")
    page.get_by_role("link", name="continuity", exact=True).hover()
    page.get_by_text(meaning("continuity")).wait_for()
    assert page.locator("[role=tooltip].lb-meaning").count() == 1
    assert not page.errors
