"""A first look with no labels in a real browser: three clicks from a folder of pictures to a map
with its faithfulness and a list of issues, which is worked off.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.browser.conftest import bring, go, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 digits as PNG files in one folder, without labels; the last three are copies of the first
    three, the one before is blank.
    """
    images = [
        np.kron(image * 15.9, np.ones((3, 3))).astype(np.uint8)
        for image in load_digits().images[:196]
    ]
    images += [np.zeros_like(images[0]), *images[:3]]
    path = tmp_path_factory.mktemp("upload") / "first look.zip"
    with zipfile.ZipFile(path, "w") as z:
        for i, image in enumerate(images):
            out = io.BytesIO()
            Image.fromarray(image).save(out, "PNG")
            z.writestr(f"pictures/film {i:03}.png", out.getvalue())
    return path


def test_three_clicks_to_a_map_and_the_issues(
    page: Any, served: str, unlabelled: Path, shot: Any
) -> None:
    bring(page, served, unlabelled)  # 1
    page.get_by_role("button", name="Import").wait_for()
    settled(page)
    page.get_by_role("button", name="Import").click()  # 2
    page.get_by_text("Dataset check").wait_for(timeout=300_000)
    settled(page)
    issue = page.locator(".st-key-issue-duplicates")
    issue.get_by_text("3 sets").wait_for()
    page.locator(".st-key-issue-blank").wait_for()
    shot("first-look-issues")
    page.get_by_role("button", name=re.compile("See which cases are similar")).click()  # 3
    page.get_by_text(re.compile(r"trustworthiness 0\.\d\d")).first.wait_for(timeout=300_000)
    settled(page)
    shot("first-look-map")

    go(page, "Data")
    issue = page.locator(".st-key-issue-duplicates")
    issue.get_by_role("button", name="Exclude").focus()  # by keyboard alone
    page.keyboard.press("Enter")
    body = page.get_by_test_id("stPopoverBody")
    body.get_by_role("button", name="Exclude").wait_for()
    body.get_by_role("button", name="Exclude").focus()
    page.keyboard.press("Enter")
    page.get_by_text("3 cases excluded").first.wait_for()
    settled(page)
    assert page.locator(".st-key-issue-duplicates").count() == 0
    assert "of 197" in page.locator(".st-key-top-bar").inner_text()
    shot("first-look-excluded")
    go(page, "Latent map")
    page.get_by_text("3 cases were excluded after this run was trained", exact=False).wait_for()
    page.get_by_text("197 of 200 cases shown", exact=False).wait_for(timeout=180_000)
    shot("first-look-map-after")
    go(page, "Data")
    page.locator(".st-key-undo-now button").click()
    settled(page)
    assert "of 200" in page.locator(".st-key-top-bar").inner_text()
    page.locator(".st-key-issue-duplicates").wait_for()
    assert {h.partition(":")[0] for h in page.hosts} <= {"127.0.0.1", "data", "blob"}, page.hosts
    assert page.errors == []


def test_data_that_is_added_or_opened_is_what_the_page_shows(page: Any, served: str) -> None:
    page.goto(f"{served}/data")
    settled(page)
    for name in ("Add", "Add", "Open"):
        page.get_by_role("tab", name="Samples").click()
        settled(page)
        page.get_by_role("tabpanel").get_by_role("button", name=name, exact=True).first.click()
        page.get_by_text("Dataset check").wait_for(timeout=180_000)
        settled(page)
        assert page.get_by_role("tab", name="This data").get_attribute("aria-selected") == "true"
    page.get_by_text("Remove this data").click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Remove it").click()
    settled(page)
    assert page.get_by_role("tab").first.get_attribute("aria-selected") == "true"


def test_the_whole_address_opens_the_page_and_the_bare_one_does_not(page: Any, served: Any) -> None:
    """As typed or clicked in a terminal, and by a link of another site, whose first visit brings no
    strict cookie.
    """
    for start in ("about:blank", f"http://localhost:{served.rpartition(':')[2]}/_stcore/health"):
        other = page.context.browser.new_context().new_page()
        other.set_default_timeout(180_000)
        other.goto(served)
        assert "whole address" in other.inner_text("body")
        other.goto(start)
        other.evaluate(
            "address => { location.href = address; }", f"{served}/data?token={served.token}"
        )
        other.wait_for_selector("[data-testid=stSidebar]")
        settled(other)
        assert "token" not in other.url
        other.reload()
        settled(other)
        other.close()
