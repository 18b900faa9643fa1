"""The threshold bench: picked on validation cases, counted on test cases, and said so."""

import json

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.panels import threshold, threshold_bench
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.ground_truth import find_ground_truth
from core.measures.image_anomaly import ImageAnomaly
from tests.app import unexplained


def script(folder: str, split: list[str], patients: int) -> None:
    from pathlib import Path
    from types import SimpleNamespace

    import numpy as np

    from app.panels import threshold_bench
    from core.artifacts import AnomalyMaps
    from core.people.access import OPEN
    from tests.app.test_threshold import made

    data = made(split, patients)
    ws = SimpleNamespace(home=Path(folder), folder=lambda run: Path(folder), access=OPEN)
    ws.permit = OPEN.permit
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
    for place in (threshold, threshold_bench):
        monkeypatch.setattr(place, "known", lambda context: (truth_of(context), "every second"))
        monkeypatch.setattr(
            place, "has_known_truth", lambda context, rows: np.ones(len(rows), bool)
        )
    monkeypatch.setattr(threshold_bench, "_truth", lambda *given: None)

    def draw(split: list[str], patients: int) -> AppTest:
        at = AppTest.from_function(
            script, args=(str(tmp_path), split, patients), default_timeout=300
        ).run()
        assert not at.exception
        return at

    return draw


def truth_of(context) -> np.ndarray:
    return np.arange(len(context.data)) % 2 == 1


def words(at: AppTest) -> str:
    return unexplained(" ".join(e.value for e in [*at.markdown, *at.caption]))


def press(at: AppTest, label: str) -> AppTest:
    found = next(b for b in at.button if b.label == label)
    assert not found.disabled, found.help
    found.click().run()
    assert not at.exception
    return at


def slider(at: AppTest) -> float:
    return float(at.slider[0].value)


SPLIT = ["train"] * 40 + ["val"] * 40 + ["test"] * 60  # scores near 1 are normal, near 2 abnormal


def test_a_threshold_is_picked_on_validation_cases_and_counted_on_test_cases(shown):
    at = shown(["train"] * 40 + ["val"] * 40 + ["test"] * 60, 140)
    assert at.slider[0].label == "Threshold, to be picked on the 40 validation cases"
    assert "Picked on these 40 cases, so these figures flatter it" in words(at)
    assert "Of the 60 test cases, by the method’s own threshold**, at 1.5" in words(at)
    assert [m.value for m in at.metric] == ["1.00", "1.00", "1.00", "1.00", "10"] * 2
    assert "(0.84–1.00), n = 20" in words(at), "Wilson's of 20 of 20"
    assert "(0.89–1.00), n = 30" in words(at), "Wilson's of 30 of 30"
    press(at, "Keep this threshold")
    assert "by the kept threshold" in words(at)
    assert "with test cases in view" not in words(at)


def test_without_validation_cases_the_words_say_that_it_was_picked_on_these(shown):
    at = shown(["train"] * 40 + ["test"] * 60, 100)
    assert at.slider[0].label == "Threshold, to be picked on the 60 cases shown"
    assert "Picked on these 60 cases, so these figures flatter it" in words(at)
    assert len(at.metric) == 5


def test_few_patients_get_rates_without_an_interval(shown):
    at = shown(["val"] * 40 + ["test"] * 60, 4)
    assert "too few for an interval (2 patients)" in words(at)


def test_one_press_sets_the_threshold_by_a_rule(shown):
    at = shown(SPLIT, 140)
    press(at, "95 % of normals")
    normal = 1 + 0.001 * np.arange(40, 80, 2)
    assert slider(at) == pytest.approx(np.quantile(normal, 0.95), abs=1e-3)
    press(at, "Sensitivity 90 %")
    assert slider(at) == pytest.approx(2 + 0.001 * 44, abs=2e-3), "2 of 20 abnormal ones below"
    press(at, "Best F1")
    assert 1.08 < slider(at) < 2.04
    press(at, "Least expected cost")
    assert 1.08 < slider(at) < 2.04
    assert "0.0 (0.0–" in words(at)


def test_without_validation_cases_no_rule_looks_at_the_truth(shown):
    at = shown(["train"] * 40 + ["test"] * 60, 100)
    off = {b.label: b.disabled for b in at.button}
    assert off["Best F1"]
    assert off["Least expected cost"]
    assert off["Sensitivity 90 %"]
    assert not off["95 % of cases"]


def test_only_normal_validation_cases_are_warned_of(shown, monkeypatch):
    def ill(context):
        return (np.arange(len(context.data)) >= 80) & (np.arange(len(context.data)) % 2 == 1)

    for place in (threshold, threshold_bench):
        monkeypatch.setattr(place, "known", lambda context: (ill(context), "late ones"))
    at = shown(SPLIT, 140)
    assert "are all normal" in at.warning[0].value
    assert next(b for b in at.button if b.label == "Best F1").disabled
    press(at, "95 % of normals")
    assert next(m.value for m in at.metric) == "–"


def test_predictive_values_follow_the_prevalence_and_the_sensitivity_does_not(shown, monkeypatch):
    at = shown(SPLIT, 140)
    at.slider[0].set_value(1.06).run()
    before = [m.value for m in at.metric][:5]
    at.number_input[0].set_value(1.0).run()
    after = [m.value for m in at.metric][:5]
    assert before[:2] == after[:2]
    assert float(after[2]) < float(before[2])


def test_who_keeps_a_threshold_is_asked_once_and_kept_with_it(shown, tmp_path):
    at = shown(SPLIT, 140)
    at.text_input[0].set_value("Dr  Ada N.").run()
    at.text_input[1].set_value("misses cost more").run()
    press(at, "Keep this threshold")
    assert "by Dr Ada N\\., just now: “misses cost more”" in words(at)
    kept = json.loads((tmp_path / "threshold.json").read_text())
    assert kept["author"] == "Dr Ada N."
    assert kept["on"] == "val"
    assert kept["prevalence"] == 0.1
    assert kept["ratio"] == 10
    assert shown(SPLIT, 140).text_input[0].value == "Dr Ada N."


def masked(kinds: str = "both") -> Dataset:
    """Pictures without labels: the masks of every second one mark something, of the last eight it
    is not known.
    """
    n = 140
    split = ["train"] * 40 + ["val"] * 40 + ["test"] * 60
    table = pd.DataFrame({"split": split, "outlined": [True] * (n - 8) + [False] * 8})
    masks = np.zeros((n, 8, 8), np.uint8)
    masks[1::2, 2:4, 2:4] = 1
    if kinds == "normal":
        masks[40:80] = 0
    roles = {"split": "split"}
    return Dataset("masked", "image", table, np.zeros((n, 1, 8, 8), "f4"), masks, roles)


def scores(data):
    score = np.where(np.arange(len(data)) % 2 == 1, 2.0, 1.0) + 0.001 * np.arange(len(data))
    return AnomalyMaps(rows=data.rows, score=score.astype("f4"), threshold=1.5, rule="of old")


def masks_script(folder: str, kinds: str) -> None:
    from pathlib import Path
    from types import SimpleNamespace

    from app.panels import threshold_bench
    from core.people.access import OPEN
    from tests.app.test_threshold import masked, scores

    data = masked(kinds)
    ws = SimpleNamespace(home=Path(folder), folder=lambda run: Path(folder), access=OPEN)
    ws.permit = OPEN.permit
    context = SimpleNamespace(
        data=data, ws=ws, job=SimpleNamespace(id="run", spec={}), key=lambda name: f"run-{name}"
    )
    threshold_bench.bench(scores(data), context, data.part("test").rows)


@pytest.fixture
def of_masks(monkeypatch, tmp_path):
    """The bench drawn for cases whose truth comes from their masks alone."""

    def draw(kinds: str = "both") -> AppTest:
        data = masked(kinds)
        monkeypatch.setattr(threshold, "_truth_of", lambda *_: find_ground_truth(data))
        found = ImageAnomaly().compute(data, scores(data), rng=np.random.default_rng(0))[0]
        monkeypatch.setattr(threshold_bench, "_measure_separation", lambda *_: found)
        at = AppTest.from_function(
            masks_script, args=(str(tmp_path), kinds), default_timeout=300
        ).run()
        assert not at.exception
        return at

    return draw


def test_masks_are_the_truth_where_there_are_no_labels(of_masks):
    at = of_masks()
    assert "Truth: a case is abnormal when its mask marks anything" in words(at)
    assert "Of 8 scored cases it is not known whether they are abnormal" in words(at)
    assert "**AUROC 1.00" in words(at)
    assert "n = 52" in words(at), "test cases whose mask is known"
    assert slider(press(at, "95 % of normals")) < 1.1
    assert not at.warning


def test_masks_that_mark_no_validation_case_are_warned_of(of_masks):
    at = of_masks("normal")
    assert "The 40 validation cases are all normal" in at.warning[0].value
    assert "Truth: a case is abnormal when its mask marks anything" in words(at)
