"""What “Find unusual cases” offers first: what stored benchmarks on data like this say."""

import numpy as np
import pandas as pd
import pytest

from core.data.dataset import Dataset
from core.data.readers import read
from core.evidence import shared_data
from core.registry import methods, rivals
from core.training import recommend
from core.training.presets import cases, preset
from core.training.recommend import (
    advise,
    find_likeness,
    find_measured_like,
    measure_standing,
)
from core.training.time_estimate import guess_seconds

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


def stored(monkeypatch, title="patient", cases=None, **values):
    """Evidence by method: its average precision, the least over seeds, and the rival's, one triple
    a table; `cases`, its AUROC of cases and the rival's.
    """

    def table(id, measure, own, least, other):
        name = f"FLAIR {RIVAL.id} alone"
        rows = [{"name": id, "value": own, "low": least}, {"name": name, "value": other}]
        data = f"{recommend.LESIONS}, one held out"
        return {"title": title, "data": data, "measure": measure, "rows": rows}

    def load(id):
        tables = [table(id, recommend.MEASURE, *v) for v in values.get(id, [])]
        if cases:
            tables.append(table(id, recommend.CASES, cases[0], None, cases[1]))
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
        ({"card": {"unit": "HU"}}, ""),
    ],
)
def test_what_the_data_is_like_is_told_by_channels_background_and_unit(made, like):
    assert find_likeness(pictures(**made)) == like


LIKE = recommend.LESIONS


def test_the_method_furthest_ahead_of_the_rival_is_offered(monkeypatch):
    stored(
        monkeypatch,
        ear=[(0.7, 0.68, 0.6), (0.1, None, 0.09)],
        strega=[(0.61, 0.605, 0.6)],
    )
    advice = advise(LIKE, [*LEARNED, RIVAL], RIVAL)
    assert advice.kind is methods()["ear"]
    assert "0.70 against 0.60; 0.10 against 0.09" in advice.figures
    assert "(2 patients)" in advice.why
    assert "look at both" not in advice.why


def test_what_speaks_against_the_method_offered_is_said_too(monkeypatch):
    stored(monkeypatch, f"x ({recommend.TUNED})", (0.92, 0.99), ear=[(0.7, 0.68, 0.6)])
    why = advise(LIKE, LEARNED, RIVAL).why
    assert "(one patient, on whom it was also developed)" in why
    assert "told as well or better, so look at both" in why


@pytest.mark.parametrize("second", [(0.08, 0.08, 0.09), (0.1, 0.085, 0.09)])
def test_ahead_on_one_patient_or_with_some_seeds_is_not_ahead(monkeypatch, second):
    stored(monkeypatch, ear=[(0.9, 0.9, 0.6), second])
    advice = advise(LIKE, LEARNED, RIVAL)
    assert advice.kind is RIVAL
    assert "no learned method" in advice.why


def test_a_slow_method_is_not_offered(monkeypatch):
    stored(monkeypatch, ear=[(0.9, 0.9, 0.6)], strega=[(0.7, 0.7, 0.6)])
    advice = advise(LIKE, LEARNED, RIVAL, lambda kind: kind.id != "ear")
    assert advice.kind is methods()["strega"]
    assert advise(LIKE, LEARNED, RIVAL, lambda kind: False).kind is RIVAL


def test_without_a_benchmark_on_such_data_nothing_is_claimed(monkeypatch):
    stored(monkeypatch, ear=[(0.9, 0.9, 0.6)])
    for like in ("", "data of another kind"):
        advice = advise(like, LEARNED, RIVAL)
        assert advice.kind is None
        assert "try both" in advice.why


def test_every_kind_of_data_that_is_recognised_has_words_and_stored_benchmarks():
    for like in recommend.LIKE:
        assert any(
            recommend.compare_with_rival(kind, like, RIVAL)
            for kind in methods().values()
            if kind is not RIVAL
        )


def test_a_method_that_does_not_fit_is_not_among_them():
    assert recommend.finds_alone(methods()["ear"], pictures())
    assert not recommend.finds_alone(methods()["embedding_anomaly"], pictures())
    assert not recommend.finds_alone(methods()["table_anomaly"], pictures())


def ranked(like, *ids):
    """These methods as Train sorts them, time aside."""
    stands = {id: measure_standing(methods()[id], like) for id in ids}
    return sorted(ids, key=lambda id: (-stands[id].like, -stands[id].share))


def test_grey_pictures_that_fill_their_frame_are_like_x_rays():
    assert find_measured_like(pictures(channels=1, dark=0.0)) == recommend.XRAYS
    assert find_measured_like(pictures(channels=1)) == ""
    assert find_measured_like(pictures(channels=3, dark=0.0)) == ""
    assert find_measured_like(pictures()) == LIKE


def test_who_is_behind_its_rivals_on_data_like_this_comes_after_who_was_not_measured_on_it():
    """By the stored evidence, on the kinds of data there are."""
    order = ranked(recommend.XRAYS, "mem_mc_mae", "dinomaly", "auto_paint", "synthetic_anomalies")
    assert set(order[2:]) == {"mem_mc_mae", "dinomaly"}, "simple rivals beat both on X-rays"
    order = ranked(LIKE, "auto_paint", "ear", "strega", "synthetic_anomalies")
    assert order[0] == "synthetic_anomalies"
    assert measure_standing(methods()["synthetic_anomalies"], LIKE).like == 1
    assert measure_standing(methods()["auto_paint"], LIKE).like == -1
    assert measure_standing(methods()["table_anomaly"], "adbench_classical").like == 1


def test_many_tables_on_one_data_count_once():
    found = measure_standing(methods()["auto_paint"], recommend.XRAYS)
    assert found.like == 0
    assert found.share == pytest.approx(1 / 3), "one CT; neither the head phantom nor lesions of MS"


def test_train_offers_the_quicker_of_two_that_stand_alike_on_the_x_rays():
    if (shared := shared_data()) is None:
        pytest.skip("needs shared/data")
    data = read(shared / "pneumoniamnist_balanced", name="x-rays")
    assert find_measured_like(data) == recommend.XRAYS
    slow, quick = methods()["auto_paint"], methods()["synthetic_anomalies"]
    assert measure_standing(slow, recommend.XRAYS) == measure_standing(quick, recommend.XRAYS)
    assert guess_seconds(quick, preset(quick, "fast", cases(quick, data)), data) < guess_seconds(
        slow, preset(slow, "fast", cases(slow, data)), data
    )
