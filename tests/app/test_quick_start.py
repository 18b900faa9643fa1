"""“Find unusual cases”: what is offered first for pictures, the rival beside it, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.data.dataset import Dataset
from core.jobs import queue
from core.registry import methods
from core.training import recommend
from core.workspace.workspace import Workspace

LEARNED, RIVAL = "ear", "brightness"


def script() -> None:
    from app import state
    from app.panels import quick_start

    state.adopt_url()
    data = state.dataset()
    assert data is not None
    quick_start.ask(data)


def scans(channels: int) -> Dataset:
    """Pictures whose left part is black."""
    x = np.random.default_rng(0).uniform(0.3, 1, (40, channels, 32, 32)).astype("f4")
    x[..., :12] = 0
    table = pd.DataFrame({"split": ["train"] * 24 + ["val"] * 8 + ["test"] * 8})
    return Dataset("scans", "image", table, x, roles={"split": "split"})


def table(id: str, measure: str, own: float, other: float) -> dict[str, Any]:
    rows = [{"name": id, "value": own, "low": None}, {"name": RIVAL, "value": other}]
    data = f"{recommend.LESIONS}, one held out"
    return {"title": "one patient", "data": data, "measure": measure, "rows": rows}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    return Workspace(tmp_path)


def offered(ws: Workspace, channels: int) -> tuple[AppTest, list[Any], str]:
    """The page, its buttons about unusual cases, and all captions."""
    ws.add(scans(channels))
    at = AppTest.from_function(script, default_timeout=300).run()
    assert not at.exception
    buttons = [b for b in at.button if "unusual" in b.label]
    return at, buttons, " ".join(c.value for c in at.caption)


def stored(monkeypatch: pytest.MonkeyPatch, own: float) -> None:
    tables = [
        table(LEARNED, recommend.MEASURE, own, 0.6),
        table(LEARNED, recommend.CASES, 0.8, 0.9),
    ]
    monkeypatch.setattr(
        recommend, "load_evidence", lambda id: {"tables": tables} if id == LEARNED else None
    )


def test_the_method_that_beat_brightness_is_offered_with_brightness_beside_it(home, monkeypatch):
    stored(monkeypatch, 0.7)
    at, (first, second), words = offered(home, 2)
    assert f"This runs “{methods()[LEARNED].title}”" in words
    assert "so look at both" in words
    assert second.label.startswith("Find unusual cases by brightness alone")
    first.click().run()
    assert not at.exception
    assert home.runs()[0].method == LEARNED


def test_brightness_beside_it_is_one_press_away(home, monkeypatch):
    stored(monkeypatch, 0.7)
    at, (_, second), _ = offered(home, 2)
    second.click().run()
    assert not at.exception
    assert home.runs()[0].method == RIVAL


def test_brightness_itself_is_offered_where_nothing_beat_it(home, monkeypatch):
    stored(monkeypatch, 0.5)
    _, (only,), words = offered(home, 2)
    assert "Brightness alone is offered" in words
    only.click().run()
    assert home.runs()[0].method == RIVAL


def test_without_benchmarks_on_such_data_both_are_offered_and_that_is_said(home):
    _, buttons, words = offered(home, 1)
    assert len(buttons) == 2
    assert "nothing measured says which of the two finds more" in words
