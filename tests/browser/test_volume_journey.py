"""Real MR volumes in a browser: they hang right by their files' affines, and a point of the map of
slices leads to that slice. (Windows and their way through a reload: tests/browser/test_viewer.py.)
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.readers import read
from core.evidence import shared_data
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.browser.conftest import settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def heads(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of principal components on the slices of the volumes of ms_lesion_mri."""
    if (shared := shared_data()) is None:
        pytest.skip("needs shared/data")
    folder = tmp_path_factory.mktemp("heads")
    for patient in ("patient07", "patient19"):
        for kind in ("FLAIR", "T2"):
            source = shared / "ms_lesion_mri" / patient / f"{kind}.nii.gz"
            shutil.copy(source, folder / f"{patient} {kind}.nii.gz")
    ws = Workspace(home)
    ws.add(read(folder, name="heads"))
    params = {"dimensions": 8, "volumes": "slice by slice"}
    run = queue.wait(ws, queue.train(ws, "heads", "pca", params).id, timeout=500)
    assert run.status == "done", run.error
    return run.id


def test_a_point_of_the_map_of_slices_leads_to_that_slice(
    page: Any, served: str, home: Path, heads: str, shot: Any
) -> None:
    page.goto(f"{served}/latent?dataset=heads&run={heads}")
    settled(page)
    page.locator(".lm[data-ready]").first.wait_for()
    settled(page)
    colours = page.get_by_role("radio", checked=True).all_inner_texts()
    assert "slice number" in colours, "all volumes are of one part: that would be one colour"
    ws = Workspace(home)
    made = next(
        ws.artifact(j.id, "map") for j in ws.catalogue.jobs(on_run=heads, kind="map", status="done")
    )
    at = len(made.rows) * 3 // 4
    page.evaluate(
        "i => Object.values(window.lightboxMaps)[0].map.send({ kind: 'click', index: i })", at
    )
    row, place = int(np.asarray(made.rows)[at]), int(np.asarray(made.place)[at])
    page.get_by_test_id("viewer-slice").first.get_by_text(f"slice {place + 1}/").wait_for()
    name = ws.dataset("heads").of(np.array([row])).names()[0]
    page.locator("strong").filter(has_text=name).first.wait_for()
    edges = [
        page.get_by_test_id(f"viewer-{e}").first.inner_text()
        for e in ("left", "right", "top", "bottom")
    ]
    assert edges == ["R", "L", "A", "P"]
    page.locator(f'.lm-looked[data-index="{at}"]').wait_for()
    shot("60-slice")
    assert page.errors == []
