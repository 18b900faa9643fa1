"""Attributions in large calls equal those a case and a covering at a time."""

from dataclasses import replace

import numpy as np
import pytest
from captum.attr import IntegratedGradients

from core.explain import attribution
from tests.contract._fits import shared, small_shared


@pytest.mark.parametrize("how", ["integrated_gradients", "occlusion", "gradient_x_input"])
def test_how_many_are_looked_at_together_changes_nothing(how, monkeypatch):
    (model, _), data = shared("gaussian_vae"), small_shared("digits")
    one = attribution.attribute(model, data, data.rows[:6], how, "axis 1").value
    monkeypatch.setattr(attribution, "TOGETHER", 6)
    monkeypatch.setattr(attribution, "BATCH", 4)
    np.testing.assert_allclose(
        attribution.attribute(model, data, data.rows[:6], how, "axis 1").value, one, atol=1e-6
    )
    assert np.abs(one).max() > 1e-4


def test_integrated_gradients_are_those_of_captum():
    import torch

    (model, _), data = shared("gaussian_vae"), small_shared("digits")
    x = torch.from_numpy(data.inputs(np.arange(5)))
    base = x.mean(0, keepdim=True)

    def forward(x):
        return model.embed(x)[:, 0]

    expected = IntegratedGradients(forward).attribute(
        x, base.expand_as(x), n_steps=attribution.STEPS, method="gausslegendre"
    )
    found = attribution.integrated_gradients(forward, x, base)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert found.abs().max() > 1e-3


def test_the_average_case_leaves_missing_values_out():
    data = small_shared("breast-cancer")
    holed = data.samples.astype("f4")
    holed[::3, 0], holed[:, 1] = np.nan, np.nan
    found = attribution._mean_input(replace(data, samples=holed))
    np.testing.assert_allclose(found[[0, 2]], np.nanmean(holed[:, [0, 2]], 0), rtol=1e-5)
    assert found[1] == 0
