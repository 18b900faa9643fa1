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
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace import readings
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


def test_a_case_is_read_by_keys_and_heat_waits_until_asked_for(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    ws = Workspace(home)
    ws.add(make_sample("head-phantom"))
    run = queue.train(ws, "head-phantom", "pca", {"dimensions": 8}).id
    assert queue.wait(ws, run, timeout=600).status == "done"
    page.goto(f"{served}/reading?dataset=head-phantom&run={run}")
    settled(page)
    page.get_by_role("textbox", name="Reader").fill("Dr A")
    page.keyboard.press("Enter")
    settled(page)
    stage = page.get_by_test_id("viewer-stage").first
    stage.click(position={"x": 5, "y": 300})
    heat = page.get_by_role("button", name=re.compile("Show where it is unusual"))
    line = page.get_by_role("button", name=re.compile("Orange line: above"))
    assert heat.count() == line.count() == 0, "nothing of the model before the answer"
    page.keyboard.press("2")
    page.get_by_text("Your answer: lesion").wait_for()
    settled(page)
    assert heat.first.get_attribute("aria-pressed") == "false"
    page.keyboard.press("h")
    assert heat.first.get_attribute("aria-pressed") == "true"
    line.first.click()
    assert line.first.get_attribute("aria-pressed") == "true"
    page.keyboard.press("d")
    settled(page)
    shot("31-reading")
    first = page.get_by_test_id("stMain").inner_text()
    page.keyboard.press("ArrowRight")
    page.get_by_text("What do you see?").wait_for()
    assert page.get_by_test_id("stMain").inner_text() != first
    [made] = readings.list_readings(ws, "head-phantom")
    assert (made.answer, made.verdict, made.first, made.run) == ("lesion", "disagree", True, run)
    assert not page.errors
