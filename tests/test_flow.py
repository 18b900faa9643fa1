"""The flow of cases adds up, is drawn, and stands in the report and on the Data page."""

import numpy as np
import pytest

from core.report import flow
from core.workspace import review
from core.workspace.workspace import Workspace
from tests.store.test_review import named


@pytest.fixture
def ws(tmp_path):
    made = Workspace(tmp_path)
    data = named(held=(0, 1, 2, 3))
    data.card.update(
        {"cohort": {"files seen": 64, "pictures used": 60}, "left out": ["a.txt", "b.txt"]}
    )
    made.add(data)
    return made


def test_counts_add_up_at_every_step(ws):
    review.release(ws, "films", [0])
    review.exclude(ws, "films", [1, 10, 11], "blurred")  # 1 was held back as well
    review.exclude(ws, "films", [20], "wrong patient")
    review.exclude(ws, "films", [10, 21], "again")
    f = flow.count_flow(ws, "films")
    assert f.read == {"files seen": 64, "pictures used": 60}
    assert (f.left_out, f.imported) == (["a.txt", "b.txt"], 60)
    assert sum(f.held.values()) == 2
    assert f.excluded == {"blurred": 3, "wrong patient": 1, "again": 1}
    assert f.used == 60 - 2 - 5
    assert sum(p.n for p in f.parts) == f.used
    data = ws.dataset("films")
    for p in f.parts:
        assert p.n == int((data.splits == p.name).sum()) == sum(p.classes.values())
        assert p.patients == len(set(data.part(p.name).groups))
    said = flow.describe_flow(f)
    assert "60 cases imported" in said
    assert "5 excluded (blurred: 3" in said
    assert "53 in use" in said


def test_it_is_drawn_for_few_and_for_many_classes_and_reasons(ws):
    for i in range(12):
        review.exclude(ws, "films", [10 + i], f"reason {i} " + "x" * 80)
    for f in (
        flow.count_flow(ws, "films"),
        flow.Flow({}, 0, 0, {}, {}, 0, [flow.FlowPart("train", 0)]),
        flow.Flow(
            {},
            0,
            99,
            {},
            {},
            99,
            [flow.FlowPart("train", 99, {f"class $ {i}": 1 for i in range(99)})],
        ),
    ):
        assert flow.flow_figure(f)[:8] == b"\x89PNG\r\n\x1a\n"
    assert flow.flow_lines({str(i): i for i in range(12)})[-1] == "2 more: 21"


def test_everything_excluded_still_has_a_flow(ws):
    review.exclude(ws, "films", np.arange(60), "all")
    f = flow.count_flow(ws, "films")
    assert (f.used, f.excluded, f.held) == (0, {"all": 60}, {})
    assert flow.flow_figure(f)
