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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(
    page: Any, served: str, run: str, theme: str
) -> None:
    page.emulate_media(color_scheme=theme)
    found = {}
    for name in PAGES:
        page.goto(f"{served}/{'' if name == 'home' else name}?dataset=digits&run={run}")
        settled(page)
        page.locator("h2, h3").first.wait_for()
        settled(page)
        page.evaluate(AXE)
        if said := page.evaluate(FIND, [NOT_OURS]):
            found[name] = said
    assert not found, "\n".join(f"{k}: {one}" for k, v in found.items() for one in v)
