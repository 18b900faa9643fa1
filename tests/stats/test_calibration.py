"""Temperatures that make logits mean what they say."""

import numpy as np
import pytest

from core.stats.calibration import fit_temperature, validation_threshold


def drawn(temperature, n=20_000, k=4):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, k))
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (prob.cumsum(1) < rng.random((n, 1))).sum(1)
    return logits * temperature, y


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_logits_were_made_sharper_by_is_found(temperature, balanced):
    logits, y = drawn(temperature)
    found = fit_temperature(logits, y, 20.0, balanced)
    assert found == pytest.approx(temperature, rel=0.05)


def test_it_stays_within_its_bounds():
    logits, y = drawn(100.0)
    assert fit_temperature(logits, y, 20.0) == pytest.approx(20, rel=1e-3)


def test_95_percent_of_the_validation_cases_lie_below_the_threshold():
    score, splits = np.arange(200.0), np.repeat(["train", "val"], 100)
    threshold = validation_threshold(score, splits)
    assert (score[100:] < threshold).mean() == pytest.approx(0.95)
    assert validation_threshold(score[:100], splits[:100]) is None
