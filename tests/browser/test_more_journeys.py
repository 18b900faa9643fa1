"""Further journeys on the digits: an island gets a name and leaves as CSV, a path between two
cases, a presentation. (A closed tab: tests/browser/test_real_journeys.py.)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.browser.conftest import go, loop_around, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def digits(served: str, home: Path) -> str:
    """The address with the digits and a PCA run open, its map drawn."""
    ws = Workspace(home)
    if not any(e["name"] == "digits" for e in ws.catalogue.datasets()):
        ws.add(make_sample("digits"), sample=True)
    run = queue.wait(ws, queue.train(ws, "digits", "pca", {"dimensions": 16}).id, timeout=500)
    queue.wait(ws, queue.derive(ws, "map", run.id, {"how": "auto", "dims": 2}).id, timeout=500)
    return f"{served}/?dataset=digits&run={run.id}"


def pinned(page: Any, caption: str) -> None:
    page.get_by_role("button", name=re.compile("Pin this view")).first.click()
    page.get_by_label("Caption").first.fill(caption)
    page.get_by_role("button", name="Pin", exact=True).first.click()
    page.wait_for_timeout(300)
    settled(page)
    page.get_by_text("Pinned. Present shows it.").first.wait_for()
    page.keyboard.press("Escape")


def test_a_strange_island_gets_a_reason_a_name_and_leaves_as_csv(
    page: Any, digits: str, tmp_path: Path, shot: Any
) -> None:
    lines, sent = [], []
    page.on(
        "websocket",
        lambda line: (
            lines.append(line),
            line.on("framesent", lambda data: sent.append(len(data))),
        ),
    )
    page.goto(digits)
    settled(page)
    go(page, "Latent map")
    page.locator(".lm-stage canvas").first.wait_for()
    page.wait_for_timeout(1500)
    loop_around(page, 0.2)
    page.get_by_role("tab", name="Why this group").click()
    settled(page)
    page.get_by_text(re.compile("differ from the rest most in")).wait_for()
    assert page.get_by_text(re.compile(r"effect [-+]?\d")).count() >= 1
    shot("20-why")
    page.get_by_role("button", name=re.compile("Selection: ")).click()
    page.get_by_label("Save the selection as").fill("my island")
    page.get_by_role("button", name="Save", exact=True).click()
    settled(page)
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Table").click()
    settled(page)
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("Export as CSV")).click()
    got.value.save_as(str(tmp_path / "out.csv"))
    frame = pd.read_csv(tmp_path / "out.csv")
    chosen = int(
        re.search(r"Selection: ([\d,]+) of", page.locator(".st-key-top-bar").inner_text())[
            1
        ].replace(",", "")
    )
    assert len(frame) == chosen > 0
    assert "row" in frame
    colour = page.locator(".st-key-top-bar").get_by_role("combobox", name="Colour by")
    for _ in range(6):  # a page drawn anew meanwhile closes the list
        colour.click()
        page.wait_for_timeout(2500)
        if page.get_by_role("option", name="group: my island").is_visible():
            break
    page.get_by_role("option", name="group: my island").click()
    settled(page)
    page.wait_for_timeout(800)
    shot("21-coloured-by-group")
    page.locator(".lm").get_by_text(re.compile(rf"in the group \({chosen}\)")).wait_for()
    assert len(lines) == 1, "the line to the server was never broken"
    assert 0 < max(sent) < 100_000, (
        "a selection is sent as the line that was drawn, whatever it holds"
    )


def test_a_path_between_two_cases_is_drawn_and_taken_as_gif(
    page: Any, digits: str, tmp_path: Path, shot: Any
) -> None:
    page.goto(digits)
    settled(page)
    go(page, "Traversal")
    page.get_by_role("radio", name="Between two cases").or_(
        page.get_by_text("Between two cases", exact=True)
    ).first.click()
    settled(page)
    shot("22-between")
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("Take as GIF")).click()
    got.value.save_as(str(tmp_path / "path.gif"))
    assert (tmp_path / "path.gif").read_bytes()[:6] == b"GIF89a"


def test_pinned_views_are_ordered_presented_and_taken_away(
    page: Any, digits: str, tmp_path: Path, shot: Any
) -> None:
    page.goto(digits)
    settled(page)
    go(page, "Latent map")
    page.locator(".lm-stage canvas").first.wait_for()
    pinned(page, "Ten islands")
    go(page, "Anomalies")
    pinned(page, "Odd ones")
    go(page, "Present")
    captions = page.get_by_label("Caption")
    first = [captions.nth(i).input_value() for i in range(captions.count())][-2:]
    assert first == ["Ten islands", "Odd ones"]
    page.get_by_role("button", name="Up").last.click()
    settled(page)
    assert page.get_by_label("Caption").last.input_value() == "Ten islands"
    shot("23-order")
    page.get_by_role("button", name=re.compile("^.*Present$")).last.click()
    # the stage has no sidebar, for which `settled` waits
    page.get_by_text(re.compile(r"\b1 of \d+")).first.wait_for()
    shot("24-presenting")
    many = int(re.search(r"1 of (\d+)", page.inner_text("[data-testid=stMain]"))[1])
    page.keyboard.press("ArrowRight")
    page.get_by_text(f"2 of {many}").wait_for()
    page.get_by_role("button", name="End").click()
    settled(page)
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("Story as one file")).click()
    got.value.save_as(str(tmp_path / "story.html"))
    made = page.context.browser.new_context().new_page()
    made.goto(f"file://{tmp_path / 'story.html'}")
    assert "Ten islands" in made.content()
    assert (tmp_path / "story.html").stat().st_size < 25 << 20
    assert made.locator("img").count() > 0
    made.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
