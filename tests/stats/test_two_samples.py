"""Two samples compared as SciPy compares them."""

import numpy as np
import pytest
from scipy import stats

from core.stats.two_samples import chi_squared, false_discovery, rank_sum

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (RNG.normal(size=500), RNG.normal(0.1, 1, 90)),
        (RNG.integers(0, 4, 300) * 1.0, RNG.integers(0, 5, 200) * 1.0),
        (RNG.normal(size=3), RNG.normal(size=400)),
        (RNG.normal(size=8), RNG.normal(1, 1, 8)),
        (np.array([1.0, 1, 2]), np.array([1.0, 2, 2, 3])),
        (np.array([1.0, 1, 1]), np.array([1.0, 1, 1, 1])),
        (np.arange(50.0), np.arange(100.0, 150)),
        (np.arange(1.0, 40), np.arange(1.0, 40)),
    ],
)
def test_ranks(a, b):
    for one, other in ((a, b), (b, a)):
        expected = stats.mannwhitneyu(one, other)
        u, p = rank_sum(one, other)
        assert u == expected.statistic
        assert p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("shape", [(2, 2), (2, 7), (3, 4)])
def test_counts(shape):
    table = RNG.integers(1, 60, shape)
    expected = stats.chi2_contingency(table, correction=False)
    assert chi_squared(table) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


@pytest.mark.parametrize(
    "p", [RNG.random(40) ** 3, np.array([0.2]), np.array([0.01, 0.01, 1.0]), np.zeros(3)]
)
def test_false_discoveries(p):
    assert false_discovery(p) == pytest.approx(stats.false_discovery_control(p), rel=1e-12)
