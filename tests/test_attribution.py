"""Attributions in large calls equal those a case and a covering at a time."""

from dataclasses import replace

import numpy as np
import pytest
from captum.attr import IntegratedGradients

from core.artifacts import Clusters, Embedding
from core.errors import Cancelled, UserError
from core.explain import attribution, attribution_ways, baselines
from tests.contract._fits import shared, small_shared


@pytest.mark.parametrize("how", ["integrated_gradients", "occlusion", "gradient_x_input"])
def test_how_many_are_looked_at_together_changes_nothing(how, monkeypatch):
    (model, _), data = shared("gaussian_vae"), small_shared("digits")
    one = attribution.attribute(model, data, data.rows[:6], how, "axis 1").value
    monkeypatch.setattr(attribution_ways, "TOGETHER", 6)
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
        x, base.expand_as(x), n_steps=attribution_ways.STEPS, method="gausslegendre"
    )
    found = attribution_ways.integrated_gradients(forward, x, base)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert found.abs().max() > 1e-3


def test_the_average_case_leaves_missing_values_out():
    data = small_shared("breast-cancer")
    holed = data.samples.astype("f4")
    holed[::3, 0], holed[:, 1] = np.nan, np.nan
    found = baselines.mean_input(replace(data, samples=holed))
    np.testing.assert_allclose(found[[0, 2]], np.nanmean(holed[:, [0, 2]], 0), rtol=1e-5)
    assert found[1] == 0


WAYS = ["integrated_gradients", "deep_lift", "shapley"]


@pytest.mark.parametrize("baseline", ["mean", "zero", "blur", "other"])
@pytest.mark.parametrize("how", WAYS)
def test_parts_add_up_from_every_baseline(how, baseline):
    (model, _), data = shared("classifier"), small_shared("digits")
    rows = data.part("test").rows[:6]
    made = attribution.attribute(
        model, data, rows, how, "predicted", ask=attribution.Question(baseline)
    )
    assert made.baseline == baseline
    assert made.residual.max() < 1e-3
    assert np.abs(made.value).reshape(6, -1).sum(1).min() > 1e-3
    if baseline == "other":
        label = dict(zip(data.rows.tolist(), data.labels.tolist()))
        train = set(data.part("train").rows.tolist())
        assert all(label[int(a)] != label[int(r)] for a, r in zip(made.against, rows))
        assert all(int(a) in train for a in made.against)


def test_of_each_case_the_class_that_the_model_names_is_explained():
    (model, arts), data = shared("classifier"), small_shared("digits")
    rows = data.rows[:7][::-1]
    made = attribution.attribute(model, data, rows, "gradient_x_input", "predicted")
    said = next(a for a in arts if type(a).__name__ == "Predictions")
    prob = said.prob[said.at(rows)]
    np.testing.assert_array_equal(made.rows, rows)
    np.testing.assert_allclose(made.output, prob.max(1), atol=1e-5)
    one = attribution.attribute(
        model, data, rows[2:3], "gradient_x_input", f"class {model.classes[prob[2].argmax()]}"
    )
    np.testing.assert_allclose(made.value[2:3], one.value, atol=1e-6)


@pytest.mark.parametrize("target", ["axis 1", attribution.PREDICTED])
def test_what_is_stopped_before_its_first_case_is_cancelled_and_later_keeps_what_is_done(target):
    (model, _), data = shared("classifier"), small_shared("digits")
    rows = data.rows[: attribution.BATCH + 4]
    how = "gradient_x_input"
    with pytest.raises(Cancelled):
        attribution.attribute(model, data, rows, how, target, stop=lambda: True)
    asked = iter([False])
    found = attribution.attribute(model, data, rows, how, target, stop=lambda: next(asked, True))
    assert 0 < len(found.rows) < len(rows)
    assert set(found.rows) < set(rows)


def test_grad_cam_of_a_known_layer_is_its_positive_weighted_sum():
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Flatten())
    weight = torch.tensor([2.0, -1.0])

    def forward(x):
        layer = net[0](x)
        return (layer * weight.view(1, 2, 1, 1)).mean((1, 2, 3))

    x = torch.rand(3, 1, 6, 6)
    found = attribution_ways.grad_cam([net], forward, x)
    expected = (net[0](x) * (weight / 72).view(1, 2, 1, 1)).sum(1, keepdim=True).relu()
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-5)
    assert found.max() > 0


def test_ways_that_do_not_fit_a_network_say_so():
    data = small_shared("digits")
    rows = data.rows[:2]
    (pca, _), (vae, _) = shared("pca"), shared("gaussian_vae")
    with pytest.raises(UserError, match="Grad-CAM needs a network with convolutional layers"):
        attribution.attribute(pca, data, rows, "grad_cam", "axis 1")
    with pytest.raises(UserError, match="DeepLift needs a network"):
        attribution.attribute(pca, data, rows, "deep_lift", "axis 1")
    with pytest.raises(UserError, match="DeepLift does not know all layers"):
        attribution.attribute(vae, data, rows, "deep_lift", "axis 1")
    with pytest.raises(UserError, match="cannot be the baseline"):
        attribution.attribute(
            pca, data, rows, "occlusion", "axis 1", ask=attribution.Question("normal")
        )


def test_smooth_grad_of_a_line_is_its_slope_and_of_a_column_by_its_spread():
    import torch

    slope = torch.tensor([1.0, -2.0, 0.5])
    x, unit = torch.rand(4, 3), torch.tensor([1.0, 10.0, 100.0])

    def forward(x):
        return x @ slope

    plain, by_unit = (attribution_ways.smooth_grad(forward, x, 0, u) for u in (None, unit))
    torch.testing.assert_close(plain, slope.expand(4, 3))
    torch.testing.assert_close(by_unit, (slope * unit).expand(4, 3))


def test_shapley_values_of_a_sum_are_the_differences_from_the_baseline():
    import torch

    x, base = torch.rand(2, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    parts = attribution_ways._parts((1, 9, 9))
    found = attribution_ways.shapley(lambda v: v.sum((1, 2, 3)), x, base)
    torch.testing.assert_close(found.sum((1, 2, 3)), x.sum((1, 2, 3)))
    for part in parts.unique():
        own = (parts == part).expand(2, 1, 9, 9)
        torch.testing.assert_close(found[own].sum(), x[own].sum())


def test_a_cluster_and_a_neighbour_can_be_explained():
    (model, arts), data = shared("gaussian_vae"), small_shared("digits")
    space = next(a for a in arts if isinstance(a, Embedding))
    label = (np.asarray(space.z)[:, 0] > 0).astype(np.int64)
    clusters = Clusters(rows=space.rows, label=label)
    offered = dict(attribution.list_targets(model, clusters))
    assert {"cluster 1", "cluster 2", "neighbour"} <= set(offered)
    ask = attribution.Question(space=space, clusters=clusters)
    rows = data.rows[:20]
    margin = attribution.attribute(model, data, rows, "gradient_x_input", "cluster 2", ask=ask)
    own = label[space.at(rows)]
    assert margin.output[own == 1].mean() > margin.output[own == 0].mean()
    other = int(rows[3])
    like = attribution.attribute(
        model, data, rows, "gradient_x_input", f"neighbour {other}", ask=ask
    )
    assert like.output.argmax() == 3
    np.testing.assert_allclose(like.output[3], 0, atol=1e-6)
    assert np.abs(like.value[0]).max() > 0
    for wrong in ("cluster 3", "neighbour 99999", "neighbour"):
        with pytest.raises(UserError):
            attribution.attribute(model, data, rows, "gradient_x_input", wrong, ask=ask)
