"""A known volume in a real browser: letters, slices by wheel and keys, the lung window and its way
through a reload.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from core.data.dataset import Dataset
from core.data.readers import read
from core.workspace.workspace import Workspace
from tests.browser.conftest import settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
N = 64


@pytest.fixture(scope="module")
def scans(served: str, home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two volumes in LAS order, read by our own reader, with a bright block at the patient's right,
    front and head. NIfTI names no unit: HU is set here.
    """
    folder = tmp_path_factory.mktemp("phantom")
    for k in range(2):
        x = np.full((N, N, N), -900, np.int16)  # axis 0 runs to the patient's left in the file
        x[-16:, -16:, -16:] = 100 + k
        x = x[::-1]
        nibabel.save(
            nibabel.Nifti1Image(np.ascontiguousarray(x), np.diag([-2.0, 2.0, 2.0, 1.0])),
            folder / f"head {k}.nii.gz",
        )
    made = read(folder, name="phantom")
    Workspace(home).add(
        Dataset(
            "phantom",
            "volume",
            made.table,
            made.samples,
            None,
            made.roles,
            (),
            made.input_range,
            made.card | {"unit": "HU"},
        )
    )
    return f"{served}/data?dataset=phantom"


def said(page: Any, name: str) -> str:
    return str(page.get_by_test_id(f"viewer-{name}").first.inner_text())


def grey(page: Any, x: float, y: float) -> int:
    """Brightness of the drawn picture at a share of the stage's width and height."""
    code = """(stage, [x, y]) => {
        const c = stage.querySelector("canvas");
        return c.getContext("2d").getImageData(c.width * x, c.height * y, 1, 1).data[0];
    }"""
    return int(page.get_by_test_id("viewer-stage").first.evaluate(code, [x, y]))


def test_a_known_volume_hangs_right_scrolls_and_keeps_its_window(
    page: Any, scans: str, shot: Any
) -> None:
    sent: list[int] = [0]
    page.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived", lambda frame: sent.__setitem__(0, sent[0] + len(frame))
        ),
    )
    page.goto(scans)
    settled(page)
    stage = page.get_by_test_id("viewer-stage").first
    stage.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('[data-testid=stApp]') !== null")
    page.get_by_test_id("viewer-left").first.get_by_text("R").wait_for()
    assert [said(page, e) for e in ("left", "right", "top", "bottom")] == ["R", "L", "A", "P"]
    assert said(page, "side").startswith("radiological")
    assert said(page, "window") == "W 400 L 40 HU"
    assert re.fullmatch(r"\d+ (cm|mm)", said(page, "scale"))
    first = int(re.search(r"slice (\d+)/64", said(page, "slice"))[1])  # type: ignore[index]

    stage.hover()
    page.mouse.wheel(0, 100)
    page.get_by_test_id("viewer-slice").first.get_by_text(f"slice {first + 1}/64").wait_for()
    stage.focus()
    page.keyboard.press("ArrowDown")
    assert said(page, "slice").startswith(f"slice {first + 2}/64")
    page.keyboard.press("PageUp")
    assert said(page, "slice").startswith(f"slice {first - 8}/64")
    page.keyboard.press("End")
    box = stage.bounding_box()
    left, right = 0.5 - 0.4 * box["height"] / box["width"], 0.5 + 0.4 * box["height"] / box["width"]
    if box["width"] < box["height"]:
        left, right = 0.1, 0.9
    top = 0.5 - 0.4 * min(1.0, box["width"] / box["height"])
    # the block: the patient's right and front, in the last slice toward the head
    assert grey(page, left, top) > 100
    assert grey(page, right, top) < 50
    assert grey(page, left, 1 - top) < 50

    before = sent[0]
    page.get_by_role("button", name=re.compile("CT lung")).first.click()
    settled(page)
    assert said(page, "window") == "W 1500 L -600 HU"
    page.wait_for_url(re.compile("window=lung"))
    assert sent[0] - before < 200_000  # the picture is not sent again
    shot("30-lung")
    page.get_by_role("button", name="Show the coronal plane").click()
    assert [said(page, e) for e in ("left", "right", "top", "bottom")] == ["R", "L", "H", "F"]
    page.get_by_role("button", name=re.compile("Neurological display")).click()
    settled(page)
    assert [said(page, e) for e in ("left", "right", "top", "bottom")] == ["L", "R", "H", "F"]
    page.wait_for_url(re.compile("side=neurological"))

    page.reload()
    settled(page)
    page.get_by_test_id("viewer-left").first.get_by_text("L").wait_for()
    assert said(page, "window") == "W 1500 L -600 HU"
    assert said(page, "side").startswith("neurological")
    assert "head" not in page.url
    assert not page.errors
    assert page.hosts <= {served_host(scans), "blob", "data", "blob:", "data:"}, page.hosts


def served_host(url: str) -> str:
    return url.split("/")[2]
