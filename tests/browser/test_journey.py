"""The main job in a real browser: a zip of images becomes a map, a selection, heatmaps, rationales,
a traversal and a report.
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

from tests.browser.conftest import choose_method, go, loop_around, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 real handwritten digits 0, 1 and 2 as PNG files in one folder a class, zipped."""
    digits = load_digits()
    path = tmp_path_factory.mktemp("upload") / "three digits.zip"
    with zipfile.ZipFile(path, "w") as z:
        for c in range(3):
            for i, image in enumerate(digits.images[digits.target == c][:100]):
                out = io.BytesIO()
                Image.fromarray(np.kron(image * 15.9, np.ones((2, 2))).astype(np.uint8)).save(
                    out, "PNG"
                )
                z.writestr(f"{('zero', 'one', 'two')[c]}/scan {i:03}.png", out.getvalue())
    return path


def test_from_a_zip_of_images_to_a_report(
    page: Any, served: str, pictures: Path, shot: Any, tmp_path: Path
) -> None:
    page.goto(served)
    settled(page)
    shot("00-empty")

    go(page, "Data")
    page.get_by_role("tab", name="Add data").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(pictures))
    page.get_by_role("button", name="Import").wait_for()
    settled(page)
    shot("01-upload")
    page.get_by_role("button", name="Import").click()
    page.get_by_text("Dataset check").wait_for()
    settled(page)
    shot("02-imported")

    go(page, "Train")
    choose_method(page, "Variational autoencoder")
    shot("03-form")
    page.get_by_role("spinbutton", name="epochs").fill("60")
    page.get_by_role("spinbutton", name="epochs").press("Tab")
    settled(page)
    page.get_by_role("button", name=re.compile(r"\bTrain( ·|$)")).click()
    page.get_by_text("See the map").wait_for(timeout=180_000)
    settled(page)
    shot("04-trained")

    go(page, "Latent map")
    page.locator(".lm-stage canvas").first.wait_for(timeout=180_000)
    settled(page)
    page.wait_for_timeout(1500)
    shot("05-map")
    loop_around(page)
    shot("06-lasso")
    chosen = int(
        re.search(r"Selection: ([\d,]+) of 300", page.locator(".st-key-top-bar").inner_text())[1]
    )
    assert 30 < chosen <= 300

    go(page, "Anomalies")
    shot("07-anomalies")
    box = page.locator('[class*="st-key-picture-"] img').first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("Most similar, by what the model learned").wait_for()
    page.get_by_role("button", name=re.compile("Pin this view")).click()
    page.get_by_role("button", name="Pin", exact=True).click()
    page.get_by_text("Pinned. Present shows it.").wait_for()

    go(page, "Rationales")
    page.get_by_role("button", name="Show why").click()
    page.get_by_role("button", name=re.compile("Pin this view")).wait_for(timeout=180_000)
    settled(page)
    shot("08-rationales")

    go(page, "Traversal")
    settled(page)
    shot("09-traversal")
    page.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    settled(page)
    shot("10-turned")

    go(page, "Clusters")
    page.get_by_role("button", name="k-means clusters").click()
    page.get_by_text("Find clusters in this run").wait_for(timeout=300_000)
    settled(page)
    shot("11-clusters")

    go(page, "Present")
    shot("12-present")
    page.get_by_role("button", name=re.compile("Prepare the report")).click()
    link = page.get_by_role("button", name=re.compile("Report of the open run"))
    link.wait_for(timeout=300_000)
    with page.expect_download() as got:
        link.click()
    report = tmp_path / "report.html"
    got.value.save_as(str(report))
    html = report.read_text()
    assert "three digits" in html
    assert "not for diagnosis" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("Story as one file")).click()
    got.value.save_as(str(tmp_path / "story.html"))
    assert "data:image/png;base64," in (tmp_path / "story.html").read_text()

    assert {h.partition(":")[0] for h in page.hosts} <= {"127.0.0.1", "data", "blob"}, page.hosts
    assert page.errors == []
