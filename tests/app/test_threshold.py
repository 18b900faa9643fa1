"""The threshold bench: picked on validation cases, counted on test cases, and said so."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.panels import threshold_bench
from core.data.dataset import Dataset


def script(folder: str, split: list[str], patients: int) -> None:
    from pathlib import Path
    from types import SimpleNamespace

    import numpy as np

    from app.panels import threshold_bench
    from core.artifacts import AnomalyMaps
    from tests.app.test_threshold import made

    data = made(split, patients)
    ws = SimpleNamespace(home=Path(folder), folder=lambda run: Path(folder))
    context = SimpleNamespace(
        data=data, ws=ws, job=SimpleNamespace(id="run"), key=lambda name: f"run-{name}"
    )
    score = np.where(np.arange(len(data)) % 2 == 1, 2.0, 1.0) + 0.001 * np.arange(len(data))
    maps = AnomalyMaps(
        rows=data.rows,
        score=score.astype("f4"),
        threshold=1.5,
        rule="95 % of validation cases lie below",
    )
    threshold_bench.bench(maps, context, data.part("test").rows)


def made(split: list[str], patients: int) -> Dataset:
    n = len(split)
    columns = {"patient": [f"P{i % patients}" for i in range(n)], "split": split}
    return Dataset(
        "made",
        "table",
        pd.DataFrame(columns),
        np.zeros((n, 2), "f4"),
        roles={"group": "patient", "split": "split"},
    )


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """The bench drawn for cases of these parts; every second case is abnormal, and all of those
    have the higher scores.
    """
    monkeypatch.setattr(
        threshold_bench,
        "known",
        lambda context: (np.arange(len(context.data)) % 2 == 1, "every second"),
    )
    monkeypatch.setattr(
        threshold_bench, "has_known_truth", lambda context, rows: np.ones(len(rows), bool)
    )
    monkeypatch.setattr(threshold_bench, "_truth", lambda *given: None)

    def draw(split: list[str], patients: int) -> AppTest:
        at = AppTest.from_function(
            script, args=(str(tmp_path), split, patients), default_timeout=300
        ).run()
        assert not at.exception
        return at

    return draw


def words(at: AppTest) -> str:
    return " ".join([*(m.value for m in at.markdown), *(c.value for c in at.caption)])


def test_a_threshold_is_picked_on_validation_cases_and_counted_on_test_cases(shown):
    at = shown(["train"] * 40 + ["val"] * 40 + ["test"] * 60, 140)
    assert at.slider[0].label == "Threshold, to be picked on the 40 validation cases"
    assert "Picked on these 40 cases, so these figures flatter it" in words(at)
    assert "On the 60 test cases**, at the method’s own threshold" in words(at)
    assert [m.value for m in at.metric] == ["1.00"] * 4
    assert "(0.84–1.00), n = 20" in words(at), "Wilson's of 20 of 20"
    assert "(0.89–1.00), n = 30" in words(at), "Wilson's of 30 of 30"
    at.button[0].click().run()
    assert "at the kept threshold" in words(at)
    assert "with test cases in view" not in words(at)


def test_without_validation_cases_the_words_say_that_it_was_picked_on_these(shown):
    at = shown(["train"] * 40 + ["test"] * 60, 100)
    assert at.slider[0].label == "Threshold, to be picked on the 60 cases shown"
    assert "Picked on these 60 cases, so these figures flatter it" in words(at)
    assert len(at.metric) == 2


def test_few_patients_get_rates_without_an_interval(shown):
    at = shown(["val"] * 40 + ["test"] * 60, 4)
    assert "too few for an interval (2 patients)" in words(at)
