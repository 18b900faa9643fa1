"""Rivals of the benchmarks that are methods of ours before they have learned anything, and what the
table of PyOD's published values is made of.
"""

import numpy as np
import pytest

from core.data.samples.catalogue import make_sample
from tests.benchmarks import bench_gaussian_vae, bench_pyod_table, bench_swav


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
