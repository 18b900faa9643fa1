"""Between two cases, on a plane, over the map, and the smallest change that flips an answer, in
Chromium: what stands at the ends, the mark in every picture, and what can be taken away.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.artifacts import Counterfactual, Embedding, Images, Model
from core.data.samples.catalogue import make_sample
from core.explain import traversal
from core.imaging import render
from core.jobs import queue
from core.jobs.run_folder import find_artifact
from core.registry import open_model
from core.workspace.workspace import Workspace
from tests.browser.conftest import settled, train_on_digits

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
ORANGE = (230, 159, 0)  # the word GENERATED


def choose(page: Any, way: str) -> None:
    page.get_by_test_id("stButtonGroup").get_by_text(way, exact=True).first.click()
    settled(page)


def on_traversal(page: Any, served: str, home: Path, dimensions: int, *maps: str) -> str:
    """Open the traversal of principal components of the digits; the run's id."""
    run = train_on_digits(home, dimensions, *maps)
    page.goto(f"{served}/traversal?dataset=digits&run={run}")
    settled(page)
    return run


def marked(picture: np.ndarray) -> bool:
    """Whether the word GENERATED stands in the lower left corner."""
    h, w = picture.shape[:2]
    corner = picture[h - h // 7 :, : w // 2, :3].astype(int)
    red, _, blue = np.moveaxis(corner, -1, 0)  # small letters are thin, and mixed with the ground
    return bool(((red > 110) & (red - blue > 70)).sum() > 20)


def picture_of(page: Any, image: Any) -> np.ndarray:
    """The pixels of a picture on the page, as its server sent them."""
    asked = page.context.request.get(image.evaluate("i => i.src"))
    return np.asarray(Image.open(io.BytesIO(asked.body())).convert("RGB"))


def taken(page: Any, name: str) -> bytes:
    """What a download button gives."""
    with page.expect_download() as got:
        page.get_by_role("button", name=name).click()
    return Path(got.value.path()).read_bytes()


def test_a_path_between_two_cases_ends_at_their_reconstructions(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    run, ws = on_traversal(page, served, home, 16), Workspace(home)
    choose(page, "Between two cases")
    # the first case is the one at hand, the other is asked for
    other = page.get_by_role("spinbutton", name="To case (row number)")
    other.fill("300")
    other.press("Enter")
    settled(page)
    frames = page.locator('img[alt^="Generated, at"]')
    frames.first.wait_for()
    assert frames.count() == 9
    shown = [picture_of(page, frames.nth(i)) for i in (0, 8)]
    assert all(marked(p) for p in shown)
    data = ws.dataset("digits")
    first = int(page.get_by_role("spinbutton", name="Case (row number)", exact=True).input_value())
    back = find_artifact(ws, run, Images)
    for picture, row in zip(shown, (first, 300)):
        own = np.asarray(back.image)[np.flatnonzero(back.rows == row)[0]]
        expected = render.draw_generated(own, data, 110)
        assert np.abs(picture.astype(int) - expected).mean() < 2, f"the end is row {row}'s"
    shot("path-between")
    moving = Image.open(io.BytesIO(taken(page, "Take as GIF")))
    assert moving.n_frames == 16
    assert marked(np.asarray(moving.convert("RGB")))

    choose(page, "Plane")
    page.get_by_alt_text("A plane of pictures the model made").first.wait_for()
    settled(page)
    shot("path-plane")
    plane = np.asarray(Image.open(io.BytesIO(taken(page, "Take as PNG"))).convert("RGB"))
    words = (np.abs(plane.astype(int) - ORANGE) < 60).all(-1)
    assert words.sum() > 49 * 15, "every picture says GENERATED"
    assert not page.errors


def test_the_smallest_change_is_shown_measured_and_judged(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    run, ws = on_traversal(page, served, home, 16), Workspace(home)
    case = page.get_by_role("spinbutton", name="Case (row number)", exact=True)
    score = ws.artifact(run, "anomalymaps").score
    case.fill(str(int(np.argmax(score))))
    case.press("Enter")
    settled(page)
    choose(page, "Smallest change")
    page.get_by_role("button", name="Find the smallest change").click()
    page.get_by_role("button", name="Take as PNG").wait_for()
    settled(page)
    for title in ("Before: the case", "After", "Difference", "Nearest real case so answered"):
        assert page.get_by_alt_text(title, exact=True).count() == 1
    said = page.get_by_test_id("stMain").inner_text()
    for words in ("Anomaly score", "Threshold", "Change of the input", "Length in latent space"):
        assert words in said
    assert ("Plausible" in said) or ("Not plausible" in said)
    assert "Distance to real cases:" in said
    assert "full colour at ±" in said
    after = picture_of(page, page.get_by_alt_text("After", exact=True))
    before = picture_of(page, page.get_by_alt_text("Before: the case", exact=True))
    assert marked(after)
    assert not marked(before), "the case as it is was not generated"
    shot("smallest-change")
    assert marked(np.asarray(Image.open(io.BytesIO(taken(page, "Take as PNG"))))[:, -320:, :3])
    assert not page.errors


def test_of_a_table_only_the_columns_that_change_are_shown(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    ws = Workspace(home)
    if not any(e["name"] == "breast-cancer" for e in ws.catalogue.datasets()):
        ws.add(make_sample("breast-cancer"), sample=True)
    asked = queue.train(ws, "breast-cancer", "classifier", {"epochs": 10})
    run = queue.wait(ws, asked.id, timeout=500).id
    page.goto(f"{served}/traversal?dataset={ws.entry('breast-cancer')['id']}&run={run}")
    settled(page)
    page.get_by_role("button", name="Find the smallest change").click()
    page.get_by_text("Columns that change").or_(
        page.get_by_text("Size of the change")
    ).first.wait_for()
    settled(page)
    (job,) = ws.catalogue.jobs(on_run=run, kind="counterfactual", status="done")
    made = ws.artifact(job.id, "counterfactual")
    assert isinstance(made, Counterfactual)
    assert made.found
    changed = np.flatnonzero(np.asarray(made.before) != np.asarray(made.after))
    assert len(made.fields) == len(changed) < 30
    rows = page.locator('[data-testid="stDataFrame"] canvas').first
    rows.wait_for()
    text = page.locator('[data-testid="stDataFrame"]').first.inner_text()
    told = page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=stDataFrame] [role=gridcell]')]"
        ".map(c => c.textContent)"
    )
    words = " ".join([text, *told])
    assert all(f["field"] in words for f in made.fields)
    names = ws.dataset("breast-cancer").features
    others = [n for n in names if n not in {f["field"] for f in made.fields}]
    assert not any(n in words for n in others), "a column that stays is not in the table"
    model, x = open_model(find_artifact(ws, run, Model)), np.asarray(made.after)[None]
    said = traversal.predict(model, x)
    assert said is not None
    assert model.classes[int(said.argmax())] == made.target.removeprefix("class ")
    shot("smallest-change-table")
    assert not page.errors


def test_points_clicked_on_the_map_become_a_walk(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    run = on_traversal(page, served, home, 8, "auto")
    choose(page, "Walk on the map")
    canvas = page.locator(".lm-stage canvas").first
    canvas.wait_for()
    page.wait_for_timeout(4000)
    box = canvas.bounding_box()
    walk = page.locator("p", has_text="Walk:").first
    clicked = 0
    # points lie densely in the middle: places are tried until two of them were hit
    for k in range(60):
        before = walk.inner_text()
        x = box["x"] + box["width"] * (0.35 + 0.05 * (k % 7))
        y = box["y"] + box["height"] * (0.3 + 0.05 * (k // 7))
        page.mouse.move(x - 12, y - 8)
        page.mouse.move(x, y, steps=6)
        page.wait_for_timeout(250)
        page.mouse.click(x, y)
        until = time.monotonic() + 1.5
        while walk.inner_text() == before and time.monotonic() < until:
            page.wait_for_timeout(100)
        clicked += walk.inner_text() != before
        if clicked == 2:
            break
    assert clicked == 2, walk.inner_text()
    settled(page)
    assert "→" in walk.inner_text()
    page.get_by_text("By way of real cases between them").click()
    settled(page)
    page.get_by_text("by way of", exact=False).first.wait_for()
    frames = page.locator('img[alt^="Generated, at"]')
    assert marked(picture_of(page, frames.first))
    shot("path-walk")
    stops = walk.inner_text().partition(":")[2].split("→")
    ws = Workspace(home)
    embedding = find_artifact(ws, run, Embedding)
    assert all(int(s.strip().removeprefix("row ")) in embedding.rows for s in stops)
    assert not page.errors
