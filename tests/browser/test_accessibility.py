"""What axe-core finds on every page with a run open: nothing serious."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from tests.browser.conftest import settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
PAGES = sorted(p.stem for p in (Path(__file__).parents[2] / "pages").glob("*.py"))
NOT_OURS = "[data-testid=stSidebarNavItems]"  # of Streamlit 1.67: a list whose items are in no list
FIND = """([leave]) => axe.run({exclude: [[leave]]}, {resultTypes: ["violations"]}).then(found =>
  found.violations.filter(v => ["serious", "critical"].includes(v.impact)).flatMap(v =>
    v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary.slice(0, 200)}`)))"""


def test_axe_finds_nothing_serious_on_any_page_in_either_theme(
    page: Any, served: str, run: str
) -> None:
    found, grounds = {}, {}
    for name in PAGES:
        page.emulate_media(color_scheme="light")
        page.goto(f"{served}/{'' if name == 'home' else name}?dataset=digits&run={run}")
        settled(page)
        page.locator("h2, h3").first.wait_for()
        settled(page)
        page.evaluate(AXE)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            settled(page)
            ground = page.evaluate("getComputedStyle(document.querySelector('.stApp')).background")
            grounds.setdefault(theme, set()).add(ground)
            if said := page.evaluate(FIND, [NOT_OURS]):
                found[f"{name}, {theme}"] = said
    assert not found, "\n".join(f"{k}: {one}" for k, v in found.items() for one in v)
    assert not grounds["light"] & grounds["dark"], "every page took both themes"
