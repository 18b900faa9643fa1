"""Numbers with their intervals, and classes and groups as codes and words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.dataset import Dataset
from core.data.labels import codes_among, codes_of, column_as_words
from core.errors import UserError
from core.stats.bootstrap import interval, mean_interval
from core.stats.calibration import fit_temperature
from core.stats.metrics import counted_metric, mean_metric


def six_rows() -> Dataset:
    table = pd.DataFrame(
        {
            "kind": ["b", None, "a", "c", "a", "b"],
            "ward": ["east", "west", None, 3, "east", "west"],
            "patient": ["p1", "p1", "p2", "p3", "p4", "p5"],
        }
    )
    return Dataset(
        name="six",
        modality="table",
        table=table,
        samples=np.zeros((6, 1), np.float32),
        roles={"label": "kind", "group": "patient"},
    )


def test_a_mean_carries_the_interval_over_the_patients_of_its_rows():
    data, hit = six_rows(), np.array([True, True, False, True, True, False])
    found = mean_metric("right", hit, data, split="test", note="said")
    wanted = mean_interval(hit, data.groups)
    assert (found.value, found.n, found.split) == (pytest.approx(4 / 6), 6, "test")
    assert (found.low, found.high, found.units) == (wanted.low, wanted.high, 5)
    assert found.note.startswith("said")


def test_a_number_counted_over_positions_does_so_too():
    data, value = six_rows(), np.arange(6.0)
    found = counted_metric("middle", lambda i: float(np.median(value[i])), data, (0, 9))
    wanted = interval(lambda i: float(np.median(value[i])), 6, data.groups, (0, 9))
    assert (found.value, found.low, found.high) == (2.5, wanted.low, wanted.high)


def test_labels_become_codes_among_the_names_that_are_known():
    assert codes_among(six_rows(), ["c", "b"]).tolist() == [1, -1, -1, 0, -1, 1]
    assert codes_among(six_rows().take(np.array([5, 1])), ["b"]).tolist() == [0, -1]
    assert codes_of(["x", "y"], []).tolist() == [-1, -1]


def test_a_column_s_values_are_words_and_missing_ones_are_empty():
    words = column_as_words(six_rows(), "ward", "by").tolist()
    assert words == ["east", "west", "", "3", "east", "west"]
    with pytest.raises(UserError, match=r"“by” = bed: there is no such column .*kind, ward"):
        column_as_words(six_rows(), "bed", "by")


@pytest.mark.parametrize("balanced", [False, True])
def test_the_temperature_that_logits_were_multiplied_by_is_found(balanced):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (rng.random((4000, 1)) > prob.cumsum(1)).sum(1)
    assert fit_temperature(3 * logits, y, most=20, balanced=balanced) == pytest.approx(3, rel=0.1)
    assert fit_temperature(0.2 * logits, y, most=20, least=1, balanced=balanced) < 1.01
