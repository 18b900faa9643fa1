"""Heart disease at four hospitals, from four files to two models side by side: aligned maps, one
selection for both, and the patients whose decision flipped.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.evidence import shared_data
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.browser.conftest import loop_around, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def test_four_files_become_sites_and_two_models_are_compared_on_the_same_patients(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    if (shared := shared_data()) is None:
        pytest.skip("needs shared/data")
    files = sorted((shared / "heart_disease_4sites").glob("*processed.*.data"))
    page.goto(f"{served}/data")
    settled(page)
    page.get_by_role("tab", name="Add data").click()
    settled(page)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files([str(f) for f in files])
    page.get_by_text("Looked at 4 of 4 files").wait_for()
    settled(page)
    page.get_by_role("textbox", name="Call it").fill("hearts")
    page.get_by_role("textbox", name="Call it").press("Tab")
    settled(page)
    page.get_by_role("button", name="Accept and import").click()
    page.get_by_text("Dataset check").wait_for()
    settled(page)
    ws = Workspace(home)
    data = ws.dataset("hearts")
    assert len(data) == 920
    assert len(set(data.domains)) == 4
    assert data.normal == "not_present"

    runs = [queue.train(ws, "hearts", "classifier", {"epochs": 5}, seed=s).id for s in (0, 1)]
    for id in runs:
        assert queue.wait(ws, id, timeout=500).status == "done"
        queue.wait(ws, queue.derive(ws, "map", id, {"how": "auto", "dims": 2}).id, timeout=500)
    page.goto(f"{served}/compare?dataset={ws.catalogue.datasets()[0]['id']}&run={runs[0]}")
    settled(page)
    page.get_by_text(re.compile(r"seed 1")).first.wait_for()
    for i in range(2):
        page.locator(".lm[data-ready]").nth(i).wait_for()
    settled(page)
    page.wait_for_timeout(1000)
    page.get_by_text(re.compile(r"of 138 test cases are decided differently")).wait_for()
    flips = int(re.search(r"(\d+) of 138 test cases", page.inner_text("[data-testid=stMain]"))[1])
    one, two = (ws.artifact(id, "predictions") for id in runs)
    test = data.part("test").rows
    said = [np.asarray(p.prob)[p.at(test)].argmax(1) for p in (one, two)]
    assert flips == int((said[0] != said[1]).sum())
    loop_around(page, 0.3)
    bits = "() => Object.values(window.lightboxMaps).map(m => m.selection.bits.join())"
    page.wait_for_function(f"() => new Set(({bits})()).size === 1")
    assert set(page.evaluate(bits)[0].split(",")) != {"0"}
    page.get_by_role("tab", name="What moved").click()
    page.get_by_text(re.compile(r"On average \d+ % of a case’s 15 nearest")).wait_for()
    settled(page)
    shot("61-compared")
    assert page.errors == []
