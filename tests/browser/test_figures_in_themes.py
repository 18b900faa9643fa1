"""Plotly figures in both themes: writing beside the data, lines and marks are told from the page,
before the theme is switched and after, which happens in the browser alone.
"""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from core import artifacts
from core.imaging.palette import OKABE_ITO, PAGES, contrast, readable
from core.workspace.workspace import Workspace
from tests.browser.conftest import loop_around, settled
from tests.browser.test_theme import switch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

# [what, colour, contrast with the page] of each writing beside the data and of each mark
READ = """() => {
  const numbers = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => numbers(c).slice(0, 3)
    .map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const app = document.querySelector("[data-testid=stApp]");
  const behind = light(getComputedStyle(app).backgroundColor);
  const ratio = (c) => (Math.max(light(c), behind) + 0.05) / (Math.min(light(c), behind) + 0.05);
  const found = [];
  for (const figure of document.querySelectorAll(".js-plotly-plot")) {
    if (!figure.offsetParent) continue;
    const paper = numbers(getComputedStyle(figure.querySelector(".main-svg")).backgroundColor);
    const same = light(`${paper}`) === behind || paper[3] === 0;
    found.push(["paper", `${paper}`, same ? 21 : 0]);
    const read = (what, selector, part, drawn = () => true) => {
      for (const e of figure.querySelectorAll(selector)) {
        const c = getComputedStyle(e)[part];
        if (c.startsWith("rgb") && numbers(c)[3] !== 0 && drawn(e)) found.push([what, c, ratio(c)]);
      }
    };
    const words = (e) => e.textContent.trim();
    read("axis", ".xtick text, .ytick text, .xtitle, .ytitle, g[class^=cb] text", "fill", words);
    read("words", ".legendtext, .annotation-text, .gtitle, .textpoint text", "fill", words);
    read("mark", ".points path, .legendpoints path", "fill", (e) => e.style.fillOpacity !== "0");
    read("mark", ".js-line, .shapelayer path, .xerror path, .yerror path", "stroke");
    read("mark", "pattern path", "stroke");
  }
  return found;
}"""


@pytest.fixture(scope="module")
def whole(home: Path, run: str) -> str:
    """The run with an example of what other methods give, so that their figures are drawn too."""
    ws = Workspace(home)
    for kind in ("Scope", "Rationales", "ConceptTest"):
        made = artifacts.TYPES[kind].example()
        made.made_by = artifacts.MadeBy(run=run, method="pca")
        made.save(ws.folder(run) / "artifacts" / made.slug)
    return run


def look(page: Any, what: set[str]) -> None:
    """Every figure on the page, in both themes and in the first again."""
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    page.wait_for_timeout(600)
    before = page.evaluate(READ)
    for theme in ("Dark", "Light"):
        found = page.evaluate(READ)
        assert {name for name, _, _ in found} >= {"paper", "axis", *what}
        faint = [
            (name, colour, round(ratio, 2))
            for name, colour, ratio in found
            if ratio < (2.95 if name == "mark" else 4.5)  # a colour has whole numbers
        ]
        assert faint == [], f"before the switch to {theme}"
        switch(page, theme)
        page.wait_for_timeout(600)
    assert page.evaluate(READ) == before


@pytest.mark.parametrize("view", ["metrics", "scope", "concepts"])
def test_figures_of_results(page: Any, served: str, whole: str, view: str) -> None:
    page.goto(f"{served}/results?dataset=digits&run={whole}")
    settled(page)
    title = import_module(f"app.views.{view}").TITLE
    page.get_by_test_id("stButtonGroup").get_by_text(title, exact=True).click()
    settled(page)
    look(page, {"mark"})


def test_figures_of_a_selection(page: Any, served: str, whole: str) -> None:
    page.goto(f"{served}/latent?dataset=digits&run={whole}")
    settled(page)
    page.locator(".lm[data-ready]").wait_for()
    loop_around(page, 0.2)
    page.get_by_role("tab", name="Numbers").click()
    settled(page)
    look(page, {"mark", "words"})


def test_figures_of_a_traversal(page: Any, served: str, whole: str) -> None:
    page.goto(f"{served}/traversal?dataset=digits&run={whole}")
    settled(page)
    look(page, {"mark", "words"})


def test_figures_of_rationales(page: Any, served: str, whole: str) -> None:
    page.goto(f"{served}/rationales?dataset=digits&run={whole}")
    settled(page)
    look(page, {"mark"})


def test_the_pages_of_the_palette_are_those_of_the_themes() -> None:
    told = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())
    assert {name: told["theme"][name]["backgroundColor"] for name in PAGES} == PAGES


@pytest.mark.parametrize("page", PAGES.values())
@pytest.mark.parametrize("colour", OKABE_ITO)
@pytest.mark.parametrize("least", [3.0, 4.5])
def test_a_colour_is_changed_only_as_far_as_it_needs(page: str, colour: str, least: float) -> None:
    found = readable(colour, page, least)
    assert least <= contrast(found, page) < max(least + 0.25, contrast(colour, page) + 1e-9)
    assert (found == colour) == (contrast(colour, page) >= least)
