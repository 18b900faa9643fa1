"""The training form at its fullest, by clicks: a classifier, a lassoed group, and a model that
forgets that group and hands out its receipt.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.data.samples.catalogue import make_sample
from core.workspace import notes
from core.workspace.workspace import Workspace
from tests.browser.conftest import choose_method, go, loop_around, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]


FORGET = "Make a model forget cases (label-agnostic)"


def trained(page: Any, title: str, epochs: int) -> None:
    """Choose a method on the training page, set its epochs, train, and wait for the end."""
    go(page, "Train")
    choose_method(page, title)
    page.get_by_role("spinbutton", name="epochs").first.fill(str(epochs))
    page.get_by_role("spinbutton", name="epochs").first.press("Tab")
    settled(page)
    page.get_by_role("button", name=re.compile(r"\bTrain( ·|$)")).click()
    page.get_by_text("See what it found").wait_for(timeout=300_000)
    settled(page)


def chosen(page: Any, label: str) -> str:
    """What a selectbox shows; its words are the value of an input, not text."""
    return str(
        page.get_by_test_id("stSelectbox")
        .filter(has=page.locator("label", has_text=label))
        .locator("input")
        .first.input_value()
    )


def test_a_classifier_forgets_a_saved_group(
    page: Any, served: str, home: Path, tmp_path: Path, shot: Any
) -> None:
    ws = Workspace(home)
    if not any(e["name"] == "digits" for e in ws.catalogue.datasets()):
        ws.add(make_sample("digits"), sample=True)
    for name in notes.load_groups(ws, "digits"):  # of other journeys
        notes.remove_group(ws, "digits", name)
    page.goto(f"{served}/?dataset=digits")
    settled(page)
    trained(page, "Plain classifier", 4)

    go(page, "Latent map")
    page.locator(".lm-stage canvas").first.wait_for(timeout=180_000)
    page.wait_for_timeout(1500)
    loop_around(page, 0.25)
    page.get_by_role("button", name=re.compile("Selection: ")).click()
    page.get_by_label("Save the selection as").fill("withdrawn")
    page.get_by_role("button", name="Save", exact=True).click()
    settled(page)
    page.keyboard.press("Escape")
    group = set(notes.load_groups(ws, "digits")["withdrawn"].tolist())

    go(page, "Train")
    choose_method(page, FORGET)
    assert chosen(page, "Which cases it is about") == f"group “withdrawn” ({len(group):,})"
    assert chosen(page, "Build on").startswith("Plain classifier ·")
    shot("30-forget")
    trained(page, FORGET, 2)

    page.get_by_role("link", name="See what it found").click()
    page.wait_for_function("document.title.startsWith('Results')")
    settled(page)
    shot("31-forgotten")
    page.get_by_text("Model facts").click()
    settled(page)
    with page.expect_download() as got:
        page.get_by_role("button", name="Receipt").click()
    got.value.save_as(str(tmp_path / "receipt.json"))
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    learned = set(ws.dataset("digits").part("train").rows.tolist())
    assert set(receipt["rows"]) == group & learned
    assert receipt["method"] == "label_agnostic_forgetting"
    assert page.errors == []
