"""What gates let through level by level, and the page that shows it."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.panels import case_stages, heat, nearest_normal, threshold
from app.panels import gates as panel
from core.artifacts import AnomalyMaps, Metric, Metrics
from core.data.dataset import Dataset
from core.explain import gates


class Gated:
    """A method of two gated levels: the second shuts by as much as its place is bright."""

    def resized(self, x):
        return x

    def levels(self, x):
        pool = torch.nn.functional.avg_pool2d
        return [x, pool(x, 2), pool(x, 4)]

    def gates(self, levels):
        return [torch.ones_like(levels[0]), 1 - levels[1]]

    def fill_in(self, levels, gates):
        return levels[0]


@cache
def data() -> Dataset:
    x = np.zeros((24, 1, 16, 16), "f4")
    x[:, 0, :8] = np.linspace(0, 1, 24, dtype="f4")[:, None, None]
    table = pd.DataFrame({"split": ["train"] * 8 + ["val"] * 8 + ["test"] * 8})
    return Dataset("made", "image", table, x, roles={"split": "split"})


def maps(add=0.0) -> AnomalyMaps:
    hot = np.tile(np.linspace(0, 0.5, 16, dtype="f4"), (24, 16, 1)) + np.float32(add)
    return AnomalyMaps(rows=np.arange(24), score=hot.max((1, 2)), map=hot, threshold=0.6)


FIGURES = [
    Metric("error on normal pictures, with gates / without", 1.08, higher_is_better=False),
    Metric("error where a pasted part was not hidden, with gates / without", 1.31),
]


def held(value):
    return Metric("case AUROC", value, value - 0.1, value + 0.1, split="test", n=8)


class Workspace:
    """Two runs: `base`, without gates, and `run`, upon it."""

    home = "here"

    def __init__(self, base=True):
        self.given = {
            "base": {"anomalymaps": maps(), "metrics": Metrics.of([held(0.6)], np.arange(24))},
            "run": {
                "anomalymaps": maps(0.2),
                "metrics": Metrics.of([*FIGURES, held(0.7)], np.arange(24)),
            },
        }
        self.catalogue = SimpleNamespace(job=lambda id: id if base else None)

    def slugs(self, run):
        return list(self.given[run])

    def artifact(self, run, slug):
        return self.given[run][slug]


def context(base=True):
    return SimpleNamespace(
        data=data(),
        ws=Workspace(base),
        job=SimpleNamespace(id="run", method="fader", on_run="base", kind="train"),
        key=lambda name: f"run-{name}",
    )


def script(base: bool) -> None:
    from app.panels import gates
    from tests.test_gates import context, maps

    gates.show(maps(0.2), context(base), 20)


def test_shares_are_those_of_the_gates_and_levels_are_told_apart():
    use = gates.measure_gates(Gated(), data())
    bright = data().inputs()[:, 0, ::2, ::2]
    assert use.side == [16, 8]
    assert use.n == 24
    assert use.open == pytest.approx([1, 1 - bright.mean()], abs=1e-6)
    assert use.shut == pytest.approx([0, (bright > 0.5).mean()], abs=1e-6)
    assert not use.is_one_gate
    assert gates.measure_gates(Gated(), data().take(np.array([0]))).is_one_gate
    with pytest.raises(ValueError, match="no pictures"):
        gates.measure_gates(Gated(), data().take(np.zeros(0, int)))


def test_many_pictures_are_thinned_and_batches_change_nothing(monkeypatch):
    whole = gates.measure_gates(Gated(), data())
    monkeypatch.setattr(gates, "AT_ONCE", 5)
    assert gates.measure_gates(Gated(), data()).open == pytest.approx(whole.open)
    monkeypatch.setattr(gates, "MANY", 6)
    assert gates.measure_gates(Gated(), data()).n == 6


def test_methods_without_gates_are_none():
    assert gates.has_gates(Gated())
    assert not gates.has_gates(object())


@pytest.fixture
def app(monkeypatch):
    monkeypatch.setattr(case_stages, "opened", lambda *_: Gated())
    monkeypatch.setattr(panel, "opened", lambda *_: Gated())
    monkeypatch.setattr(heat, "reach", lambda *_: (0.1, 0.7))
    monkeypatch.setattr(threshold, "threshold_of", lambda artifact, _: artifact.threshold)
    normal = (np.arange(24), "known normal")
    monkeypatch.setattr(nearest_normal, "normal_rows", lambda *_: normal)

    def run(base=True):
        at = AppTest.from_function(script, args=(base,), default_timeout=60).run()
        at.toggle[0].set_value(True).run()
        assert not at.exception
        return at

    return run


def said(at):
    return " ".join(m.value for m in [*at.markdown, *at.caption])


def test_heat_is_shown_with_and_without_gates_and_what_these_add(app):
    at = app()
    assert "Heat with gates" in said(at)
    assert "score 0" in said(at)
    assert "above its threshold" in said(at)
    assert "highest 0" in said(at)
    at.toggle[1].set_value(False).run()
    assert not at.exception
    assert "Heat without gates" in said(at)
    assert "not above its threshold" in said(at)


def test_cost_and_gain_and_both_runs_are_told(app):
    at = app()
    assert "here by +31 % and +8 %" in said(at)
    table = next(m.value for m in at.markdown if "Without gates" in m.value)
    without, with_gates = table.splitlines()[-1].split("|")[2:4]
    assert "0.60" in without.replace("\\", "")
    assert "0.70" in with_gates.replace("\\", "")
    assert "Normal: the mean of 8 validation pictures (known normal)" in said(at)
    assert "Time of a picture beside that without gates" in said(at)


def test_a_missing_earlier_run_is_said(app):
    at = app(base=False)
    assert "The earlier run has no heat of this case" in said(at)
    assert "the gain in AUROC is unknown" in said(at)


def test_the_run_below_a_model_applied_to_other_data_is_no_earlier_one():
    applied = context()
    assert panel.earlier_maps(applied) is not None
    applied.job.kind = "apply"
    assert panel.earlier_maps(applied) is None


def test_bars_say_what_they_stand_for():
    figure = panel.draw_ratios(FIGURES)
    assert list(figure.data[0].x) == pytest.approx([31, 8])
    assert figure.data[0].y[0] == "error where a pasted part was not hidden"
    use = gates.measure_gates(Gated(), data())
    levels = panel.draw_levels(use, use)
    assert [bar.name for bar in levels.data] == ["this case", "normal"]
    assert list(levels.data[0].y) == pytest.approx(use.open)
    assert len(panel.draw_levels(use, None).data) == 1
    assert panel.describe_added_time("no such method") == ""
