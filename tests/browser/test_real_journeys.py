"""Journeys on real data. Chest X-rays, from the zip to the file that leaves: what is unusual and
where it lies among the others, a new finding from a few cases, a presentation, and a script that
makes the run again. The shuttle's sensors: a model of the normal that outlives its tab, is stopped,
goes on, and is made again. One server for all; the tests stand in their order.
"""

from __future__ import annotations

import io
import re
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.data.readers import read
from core.evidence import shared_data
from core.workspace import notes, records, searches
from core.workspace.workspace import Workspace
from tests.browser.conftest import bring, choose_method, go, loop_around, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
EACH = 40  # cases of a class
EPOCHS = 60  # long enough to be stopped halfway


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real X-rays of pneumoniamnist_balanced as PNG in class folders, zipped."""
    folder = shared_data()
    if folder is None:
        pytest.skip("needs shared/data")
    z = np.load(folder / "pneumoniamnist_balanced" / "pneumoniamnist_balanced.npz")
    path = tmp_path_factory.mktemp("upload") / "chests.zip"
    with zipfile.ZipFile(path, "w") as out:
        for c, name in enumerate(("NORMAL", "PNEUMONIA")):
            for i, image in enumerate(z["train_images"][z["train_labels"].ravel() == c][:EACH]):
                png = io.BytesIO()
                Image.fromarray(image).save(png, "PNG")
                out.writestr(f"{name}/film {i:03}.png", png.getvalue())
    return path


@pytest.fixture(scope="module")
def found(home: Path, chests: Path) -> dict[str, str]:
    """What the tests before have left: "data" and "run"."""
    return {}


def on(served: str, page: Any, found: dict[str, str], where: str = "") -> None:
    """Open a page with the data and run of the first test."""
    if "run" not in found:
        pytest.skip("the journey before it did not come to its end")
    page.goto(f"{served}/{where}?dataset={found['dataset']}&run={found['run']}")
    settled(page)


def pin(page: Any) -> None:
    page.get_by_role("button", name=re.compile("Pin this view")).first.click()
    page.get_by_role("button", name="Pin", exact=True).first.click()
    page.get_by_text("Pinned. Present shows it.").first.wait_for()
    settled(page)
    page.keyboard.press("Escape")


def test_from_a_zip_to_what_is_unusual_and_where_it_lies(
    page: Any, served: str, home: Path, chests: Path, found: dict[str, str], shot: Any
) -> None:
    bring(page, served, chests)
    page.get_by_text(f"Looked at 12 of {2 * EACH} files").wait_for()
    settled(page)
    page.get_by_role("button", name="Accept and import").click()
    page.get_by_text("Dataset check").wait_for()
    settled(page)
    page.get_by_role("button", name=re.compile("See which cases are similar")).first.click()
    page.get_by_text(re.compile(r"\d+ %")).first.wait_for()
    page.wait_for_function("document.title.startsWith('Latent map')")
    page.locator(".lm[data-ready]").first.wait_for()
    go(page, "Anomalies")
    page.get_by_text("one scale for all pictures of this run").wait_for()
    box = page.locator('[class*="st-key-picture-"] img').first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text(
        re.compile(f"Nearest normal, among ({EACH}|{EACH - 1}) known normal")
    ).wait_for()
    settled(page)
    assert page.locator('[class*="st-key-picture-normal-"] img').count() == 3
    shot("50-unusual")
    pin(page)
    ws = Workspace(home)
    found["dataset"] = ws.catalogue.datasets()[0]["id"]
    found["name"] = ws.catalogue.datasets()[0]["name"]
    found["run"] = ws.runs(found["name"])[0].id
    scores = ws.artifact(found["run"], "anomalymaps")
    test = ws.dataset(found["name"]).part("test").rows
    score = np.asarray(scores.score)[scores.at(test)]
    page.get_by_role("button", name="On the map").click()
    page.locator(".lm[data-ready]").first.wait_for()
    page.locator(".lm-looked").wait_for()
    at = int(page.locator(".lm-looked").get_attribute("data-index"))
    assert ws.dataset(found["name"]).rows[at] == test[score.argmax()], "the most unusual is ringed"
    shot("51-on-the-map")
    go(page, "Data")
    assert page.get_by_role("button", name=re.compile("Find unusual cases")).first.is_visible()
    page.get_by_role("button", name=re.compile("cases are similar · open the answer")).click()
    page.wait_for_function("document.title.startsWith('Latent map')")
    assert page.errors == []


def test_an_island_has_a_reason_a_name_and_leaves_with_the_names_of_its_files(
    page: Any, served: str, home: Path, found: dict[str, str], tmp_path: Path
) -> None:
    on(served, page, found, "latent")
    page.locator(".lm[data-ready]").first.wait_for()
    page.wait_for_timeout(1500)
    loop_around(page, 0.3)
    page.get_by_role("tab", name="Table").click()
    settled(page)
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("Export as CSV")).click()
    got.value.save_as(str(tmp_path / "out.csv"))
    frame = pd.read_csv(tmp_path / "out.csv")
    files = frame.select_dtypes("object").apply(lambda c: c.str.contains(r"/film \d{3}\.png").all())
    assert files.any(), f"no column of file names among {list(frame)}"
    page.get_by_role("tab", name="Find more like these").click()
    settled(page)
    page.get_by_role("textbox", name=re.compile("What do the")).fill("a new finding")
    page.get_by_role("button", name="Find more like these", exact=True).click()
    page.get_by_text("Is this “a new finding”?").wait_for()
    settled(page)
    ws, name = Workspace(home), found["name"]
    marked = len(searches.load_searches(ws, name)["a new finding"].marked)
    assert marked == len(frame)
    for i, words in enumerate(("This is it", "This is not it", "Cannot tell", "This is it"), 1):
        page.get_by_role("button", name=re.compile(f"^{words}")).click()
        page.get_by_text(f"{i} candidate{'s' * (i > 1)} reviewed").wait_for()
        settled(page)
    page.get_by_text("Precision 0.67 (0.21–0.94), n = 3").wait_for()
    groups = notes.load_groups(ws, name)
    assert len(groups["a new finding"]) == marked + 2
    assert len(groups["a new finding: cannot tell"]) == 1
    page.get_by_role("button", name=re.compile(f"Select the {marked + 2} found")).click()
    page.wait_for_function(
        "n => document.querySelector('.st-key-top-bar').innerText.includes(n)",
        arg=f"Selection: {marked + 2} of",
    )
    assert page.errors == []


def test_what_is_pinned_leaves_as_html_and_pdf_and_the_run_as_a_script(
    page: Any, served: str, home: Path, found: dict[str, str], tmp_path: Path, shot: Any
) -> None:
    on(served, page, found, "present")
    for words, name in (
        ("Story as one file", "story.html"),
        ("Story as PDF", "story.pdf"),
        ("Script of the open run", "again.py"),
    ):
        with page.expect_download() as got:
            page.get_by_role("button", name=re.compile(words)).click()
        got.value.save_as(str(tmp_path / name))
    shot("53-present")
    assert (tmp_path / "story.pdf").read_bytes()[:5] == b"%PDF-"
    assert all((tmp_path / f"story.{k}").stat().st_size < 25 << 20 for k in ("html", "pdf"))
    other = page.context.browser.new_context(offline=True).new_page()  # knows no login
    other.goto(f"file://{tmp_path / 'story.html'}")
    stamps = other.locator(".stamp").all_text_contents()
    assert stamps
    assert all("version" in s and "window" in s and found["run"] in s for s in stamps)
    from axe_playwright_python.sync_playwright import Axe

    wrong = Axe().run(other, options={"runOnly": ["color-contrast"]}).response["violations"]
    assert not wrong, wrong
    other.close()
    again = (tmp_path / "again.py").read_text()
    compile(again, "again.py", "exec")  # that it makes the same figures: tests/test_story_files.py
    assert found["run"] in again
    assert page.errors == []


def test_a_model_of_the_normal_outlives_its_tab_goes_on_after_a_stop_and_is_made_again(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    if (folder := shared_data()) is None:
        pytest.skip("needs shared/data")
    ws = Workspace(home)
    whole = read(folder / "adbench_classical" / "32_shuttle.npz", name="shuttle")
    some = whole.take(np.arange(0, len(whole), 48))  # stored as data of its own, not as a part
    ws.add(replace(some, table=some.frame.reset_index(drop=True), samples=some.raw(), at=None))
    page.goto(f"{served}/train?dataset=shuttle")
    settled(page)
    choose_method(page, "Variational autoencoder")
    page.get_by_text("Learn from the normal cases only").click()
    settled(page)
    page.get_by_role("spinbutton", name="epochs").fill(str(EPOCHS))
    page.get_by_role("spinbutton", name="epochs").press("Tab")
    settled(page)
    page.get_by_role("button", name=re.compile(r"\bTrain( ·|$)")).click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.goto("about:blank")
    (first,) = ws.runs("shuttle")
    page.goto(f"{served}/runs?dataset=shuttle")
    page.get_by_text(re.compile(r"Learning: \d+ %")).first.wait_for()
    until = time.monotonic() + 300
    while (ws.job(first.id).progress or 0) < 0.4 and time.monotonic() < until:
        page.wait_for_timeout(200)
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("button", name="Resume").wait_for()
    shot("54-stopped")
    before = list(records.read_curves(ws.folder(first.id)))
    assert ws.job(first.id).status == "cancelled"
    assert before[-1]["step"] < before[-1]["total"]
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Again, other seed").wait_for()
    again = page.get_by_role("button", name="Again, other seed")
    page.get_by_role("button", name="Open it").wait_for()
    settled(page)
    shot("55-resumed")
    whole_curve = list(records.read_curves(ws.folder(first.id)))
    steps = [p["step"] for p in whole_curve]
    assert whole_curve[: len(before) - 1] == before[:-1], "what was learned before stays"
    assert steps == sorted(steps), "it goes on where it was"
    loss = [p["loss"] for p in whole_curve if "loss" in p]
    after = [p["loss"] for p in whole_curve[len(before) :] if "loss" in p][:5]
    assert np.mean(after) < loss[0], "and is as good as before, not as at the start"
    assert steps[-1] == before[-1]["total"]
    area = next(m for m in ws.artifact(first.id, "metrics") if "AUROC" in m.name)
    assert area.low < area.value < area.high
    again.click()
    page.wait_for_timeout(1000)
    settled(page)
    second = max(ws.runs("shuttle"), key=lambda j: j.created)
    assert (second.spec, second.seed) == (first.spec, first.seed + 1)
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("button", name="Resume").wait_for()
    assert page.errors == []
