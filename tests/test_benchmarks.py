"""Rivals of the benchmarks that are methods of ours before they have learned anything, and what the
table of PyOD's published values is made of.
"""

import numpy as np
import pytest

from core import evidence
from core.data.samples.catalogue import make_sample
from tests.benchmarks import (
    _anomaly,
    add_rivals,
    bench_fader,
    bench_gaussian_vae,
    bench_pyod_table,
    bench_swav,
)
from tests.benchmarks._common import row, table, verdict


@pytest.fixture(scope="module")
def few():
    digits = make_sample("digits")
    return digits.of(digits.rows[:64])


@pytest.mark.parametrize("method", ["gaussian_vae", "dirichlet_vae"])
def test_an_untrained_autoencoder_gives_latents(method, few):
    z = bench_gaussian_vae.untrained(method, few, {})
    assert len(z) == 64
    assert np.isfinite(z).all()
    assert z.std() > 0


def test_an_untrained_encoder_gives_an_embedding_that_its_seed_decides(few):
    first, again, other = (bench_swav.untrained(few, seed) for seed in (0, 0, 1))
    assert len(first) == 64
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_precision_at_n_counts_abnormal_rows_among_as_many_highest_scores():
    truth = np.array([True, False, True, False, False])
    assert bench_pyod_table.precision_at_n(truth, np.array([3.0, 2, 1, 0, 0])) == 0.5
    assert bench_pyod_table.precision_at_n(truth, np.array([0.0, 2, 1, 3, 0])) == 0


def test_a_gap_to_a_published_value_is_explained_by_what_differs(monkeypatch):
    monkeypatch.setattr(bench_pyod_table, "load_table", lambda name: (np.zeros((50, 7)), None))

    def said(*facts):
        return bench_pyod_table.explain("14_glass", *facts)

    assert said(0.02, 0.0, 9, "LOF") == []
    assert "7 columns here, 9 there" in said(-0.1, 0.0, 9, "LOF")[0]
    assert "so does k-nearest" in said(-0.1, 0.01, 7, "LOF")[0]
    assert "another seed" in said(0.05, 0.0, 7, "isolation forest")[0]
    assert "has changed" in said(0.05, 0.0, 7, "PCA")[0]


def test_what_is_smoothed_keeps_a_lesion_and_loses_noise():
    rng = np.random.default_rng(0)
    x = 0.1 * rng.random((24, 32, 32)).astype("f4")
    truth = np.zeros((4, 32, 32), bool)
    truth[:, 12:18, 12:18] = True
    x[20:][truth] += 0.1
    first = np.arange(24) < 20
    found = _anomaly.rivals(x, first, ~first)
    plain, smooth = (found[f"{k}PCA residual (10 components)"] for k in ("", "blurred "))
    np.testing.assert_allclose(smooth.mean(), plain.mean(), rtol=0.02)
    assert _anomaly.pixel_ap(smooth, truth) > _anomaly.pixel_ap(plain, truth) + 0.05


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Evidence of one method with a table of rivals, whose verdict has words of its own behind."""
    monkeypatch.setenv(evidence.TARGET, str(tmp_path))
    monkeypatch.setattr(evidence, "code_of", lambda id: "first")
    monkeypatch.setattr(add_rivals, "code_of", lambda id: "first")
    rows = [row("own", (0.8, 0.7, 0.9)), row("constant map", (0.5, None, None))]
    words = f"{verdict(rows)} And more."
    made = [table("Where? (range)", "d", "test", 9, [0], "pixel AUROC", rows, words)]
    evidence.store_evidence("pca", made)
    monkeypatch.setattr(evidence, "code_of", lambda id: "second")
    monkeypatch.setattr(add_rivals, "code_of", lambda id: "second")
    return lambda: evidence.load_evidence("pca", tmp_path)


def test_a_rival_added_later_is_in_the_verdict_and_leaves_the_code_as_it_was(stored):
    constant, blurred = row("constant map", (0.5, None, None)), row("blurred", (0.85, None, None))
    rows = {"pixel AUROC": [constant, blurred]}
    assert add_rivals.add_rows("pca", "d", "Where?", rows, own=False) == 1
    (found,) = stored()["tables"]
    assert [r["name"] for r in found["rows"]] == ["own", "constant map", "blurred"]
    assert (
        found["verdict"]
        == "The rival blurred is as good or better (0.800 against 0.850). And more."
    )
    assert evidence.made_of(stored(), found)["code"] == "first"
    assert add_rivals.add_rows("pca", "d", "Where?", rows, own=False) == 1
    assert stored()["tables"] == [found]
    assert add_rivals.add_rows("pca", "other data", "Where?", rows, own=False) == 0


def test_rivals_of_other_data_or_of_changed_code_are_not_added(stored):
    before = stored()
    other = {"pixel AUROC": [row("constant map", (0.6, None, None))]}
    with pytest.raises(
        add_rivals.OtherDataError, match=r"constant map is 0\.6, but 0\.5 is stored"
    ):
        add_rivals.add_rows("pca", "d", "Where?", other, own=False)
    copy = {"pixel AUROC": [row("untrained copy", (0.5, 0.4, 0.6))]}
    with pytest.raises(add_rivals.OtherDataError, match="is of other code"):
        add_rivals.add_rows("pca", "d", "Where?", copy, own=True)
    assert stored() == before


def test_intervals_of_plain_rivals_are_over_pictures_and_their_values_exact():
    rng = np.random.default_rng(0)
    truth = np.zeros((24, 16, 16), bool)
    truth[::2, 2:6, 2:6] = True
    heat = rng.normal(size=truth.shape) + truth + 0.3 * rng.normal(size=(24, 1, 1))
    pictures = np.repeat(np.arange(12), 2)
    counts = _anomaly.counted(heat, truth).sum(1)
    for name in ("pixel AUROC", "pixel average precision"):
        exact = _anomaly.MEASURES[name](heat, truth)
        assert _anomaly.from_counts(name, *counts) == pytest.approx(exact, abs=2e-3)
    for name, measure in _anomaly.MEASURES.items():
        value, low, high = _anomaly.within(name, heat, truth, pictures)
        assert value == measure(heat, truth)
        assert low < value < high
        few = _anomaly.within(name, heat, truth, pictures // 2)
        assert few == (value, None, None)
    assert "12 pictures" in _anomaly.bounds(pictures)
    assert "interval" not in _anomaly.bounds(pictures // 2)
    value, low, high = _anomaly.of_cases(truth.any((1, 2)), heat.mean((1, 2)))
    assert low < value < high


@pytest.mark.parametrize(
    ("low", "high", "bar", "said"),
    [
        (0.89, 0.96, "at least 0.9", "missed in some seeds"),
        (0.90, 0.96, "at least 0.9", "reached in every seed"),
        (0.80, 0.89, "at least 0.9", "missed in every seed"),
        (1.02, 1.06, "at most 1.1", "reached in every seed"),
        (1.02, 1.16, "at most 1.1", "missed in some seeds"),
        (1.11, 1.16, "at most 1.1", "missed in every seed"),
    ],
)
def test_a_bar_is_reached_where_every_seed_reaches_it(low, high, bar, said):
    line = {"name": "gate", "value": (low + high) / 2, "low": low, "high": high}
    words = bench_fader.judged(line, bar)
    assert words.endswith(said)
    assert f"({low:.3f} to {high:.3f})" in words
