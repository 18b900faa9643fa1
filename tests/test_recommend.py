"""What “Find unusual cases” offers first: what stored benchmarks on data like this say."""

import numpy as np
import pandas as pd
import pytest

from core.data.dataset import Dataset
from core.registry import methods, rivals
from core.training import recommend
from core.training.recommend import advise, find_likeness

RIVAL = rivals("unusual")[0]
LEARNED = [methods()[id] for id in ("ear", "strega")]


def pictures(channels=2, dark=0.4, dtype="f4", card=None):
    """Twelve pictures whose left part is black."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.3, 1, (12, channels, 32, 32))
    x[..., : int(32 * dark)] = 0
    high = 255.0 if dtype == "u1" else 1.0
    table = pd.DataFrame({"split": ["train"] * 12})
    return Dataset(
        "x", "image", table, (x * high).astype(dtype), roles={"split": "split"},
        input_range=(0.0, high), card=card or {},
    )  # fmt: skip


def stored(monkeypatch, **values):
    """Evidence by method: pairs of its average precision and the rival's, one a table."""

    def load(id):
        tables = [
            {
                "title": f"patient {k}",
                "data": "ms_lesion_mri, one held out",
                "measure": "pixel average precision",
                "rows": [{"name": id, "value": own}, {"name": f"FLAIR {RIVAL.id}", "value": other}],
            }
            for k, (own, other) in enumerate(values.get(id, []))
        ]
        return {"tables": tables} if tables else None

    monkeypatch.setattr(recommend, "load_evidence", load)


@pytest.mark.parametrize(
    ("made", "like"),
    [
        ({}, recommend.LESIONS),
        ({"dark": 0.0}, ""),
        ({"channels": 1}, ""),
        ({"channels": 3, "dtype": "u1"}, ""),
        ({"channels": 3}, recommend.LESIONS),
        ({"channels": 1, "card": {"unit": "HU"}}, recommend.CT),
    ],
)
def test_what_the_data_is_like_is_told_by_channels_background_and_unit(made, like):
    assert find_likeness(pictures(**made)) == like


def test_the_method_furthest_ahead_of_the_rival_is_offered(monkeypatch):
    stored(monkeypatch, ear=[(0.7, 0.6), (0.1, 0.09)], strega=[(0.61, 0.6)])
    advice = advise(pictures(), [*LEARNED, RIVAL], RIVAL)
    assert advice.kind is methods()["ear"]
    assert "0.70 against 0.60; 0.10 against 0.09" in advice.why


def test_ahead_on_one_patient_but_not_on_the_other_is_not_ahead(monkeypatch):
    stored(monkeypatch, ear=[(0.9, 0.6), (0.08, 0.09)])
    advice = advise(pictures(), LEARNED, RIVAL)
    assert advice.kind is RIVAL
    assert "no learned method found marked pixels better" in advice.why


def test_without_a_benchmark_on_such_data_nothing_is_claimed(monkeypatch):
    stored(monkeypatch, ear=[(0.9, 0.6)])
    advice = advise(pictures(channels=1), LEARNED, RIVAL)
    assert advice.kind is None
    assert "compare the two" in advice.why
    stored(monkeypatch)
    assert advise(pictures(), LEARNED, RIVAL).kind is None


def test_a_method_that_does_not_fit_is_not_among_them():
    assert recommend.finds_alone(methods()["ear"], pictures())
    assert not recommend.finds_alone(methods()["embedding_anomaly"], pictures())
    assert not recommend.finds_alone(methods()["table_anomaly"], pictures())
