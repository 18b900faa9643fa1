"""The preview of an import in a real browser: chest X-rays as a zip with a folder per class."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.evidence import shared_data
from core.workspace.workspace import Workspace
from tests.browser.conftest import bring, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 real X-rays of pneumoniamnist_balanced, half of them normal, as PNG in class folders."""
    folder = shared_data()
    if folder is None:
        pytest.skip("needs shared/data")
    z = np.load(folder / "pneumoniamnist_balanced" / "pneumoniamnist_balanced.npz")
    path = tmp_path_factory.mktemp("upload") / "chest x-rays.zip"
    with zipfile.ZipFile(path, "w") as out:
        for c, name in enumerate(("NORMAL", "PNEUMONIA")):
            of = z["train_images"][z["train_labels"].ravel() == c][:60]
            for i, image in enumerate(of):
                png = io.BytesIO()
                Image.fromarray(image).save(png, "PNG")
                out.writestr(f"{name}/{i:03}.png", png.getvalue())
    return path


def test_see_it_accept_the_list_and_import(
    page: Any, served: str, home: Path, chests: Path, shot: Any
) -> None:
    bring(page, served, chests)
    page.get_by_text("Looked at 12 of 120 files").wait_for(timeout=180_000)
    settled(page)
    # twelve pictures, six of each class
    for name in ("NORMAL", "PNEUMONIA"):
        page.get_by_role("img", name=f"6 pictures: {name}").wait_for()
        page.get_by_text(f"{name} · 6 of 60").wait_for()
    chosen = {box.input_value() for box in page.get_by_role("combobox").all()}
    assert {"auto-detect: folder (a guess)", "NORMAL (a guess by its word)"} <= chosen, chosen
    page.get_by_text("text burnt into the picture", exact=False).wait_for()
    shot("import-preview")
    page.get_by_label("Your name").fill("A. Reader")
    page.get_by_label("Your name").press("Tab")
    settled(page)
    page.get_by_role("button", name="Accept and import").click()
    page.get_by_text("Dataset check").wait_for(timeout=300_000)
    settled(page)
    page.get_by_text("Accepted before the import by A. Reader", exact=False).wait_for()
    shot("import-accepted")
    ws = Workspace(home)
    data = ws.dataset(ws.catalogue.datasets()[0]["name"])
    assert (len(data), data.classes, data.normal) == (120, ["NORMAL", "PNEUMONIA"], "NORMAL")
    assert data.card["accepted"]["by"] == "A. Reader"
    # nothing is left of the upload and of the look
    assert not list((home / "uploads").glob("*"))
    assert {h.partition(":")[0] for h in page.hosts} <= {"127.0.0.1", "data", "blob"}, page.hosts
    assert page.errors == []
