"""Latent label shift on digits whose shares differ between sites: classes and shares come back, and
not when the sites are shuffled.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from core.data.dataset import Dataset
from core.data.samples.generated import shifted_sites
from core.errors import UserError
from core.methods.domains._factorise import factorised, posterior
from core.stats.cluster_agreement import accuracy
from tests.methods._fit import fit
from tests.soak import longer

EPOCHS = longer({"epochs": 2}, {})


def shares(data: Dataset, sites: list[str]) -> np.ndarray:
    """The true p(y|d) [k,r]."""
    return np.stack(
        [
            np.bincount(data.labels[data.domains == s], minlength=len(data.classes))
            / (data.domains == s).sum()
            for s in sites
        ],
        1,
    )


def distance(found: np.ndarray, true: np.ndarray) -> float:
    """Mean over sites of the L1 distance, classes matched."""
    cost = np.abs(found[:, None] - true[None]).sum(2)
    return float(cost[linear_sum_assignment(cost)].sum() / true.shape[1])


@cache
def trained():
    data = shifted_sites((0, 1, 2, 3, 4), 8, seed=1)
    return data, *fit("latent_label_shift", data, k=5, **EPOCHS)


@pytest.mark.soak(only=True)
def test_classes_and_their_shares_come_back_without_a_label():
    data, _, found = trained()
    test = data.splits == "test"
    assert accuracy(found["clusters-classes"].label[test], data.labels[test]) > 0.7
    grid = found["grid-frequency"]
    np.testing.assert_allclose(grid.value.sum(0), 1.0, atol=1e-5)
    assert distance(np.asarray(grid.value), shares(data, grid.x)) < 0.4


@pytest.mark.soak(only=True)
def test_with_sites_shuffled_nothing_comes_back():
    data, _, found = trained()
    mixed = replace(
        data, table=data.table.assign(site=np.random.default_rng(0).permutation(data.table["site"]))
    )
    _, other = fit("latent_label_shift", mixed, k=5)
    assert accuracy(other["clusters-classes"].label, data.labels) < 0.5
    assert (
        accuracy(other["clusters-classes"].label, data.labels)
        < accuracy(found["clusters-classes"].label, data.labels) - 0.2
    )


def test_labels_are_never_read():
    data, _, found = trained()
    blind = replace(
        data,
        table=data.table.assign(digit="?"),
        roles={k: v for k, v in data.roles.items() if k != "label"},
    )
    _, other = fit("latent_label_shift", blind, k=5, **EPOCHS)
    np.testing.assert_allclose(
        other["clusters-classes"].prob, found["clusters-classes"].prob, atol=1e-5
    )


def test_a_table_of_known_factors_is_factorised():
    rng = np.random.default_rng(0)
    c, w = np.zeros((12, 3)), rng.dirichlet([0.3] * 3, 6).T
    for j in range(3):
        c[4 * j : 4 * j + 4, j] = rng.dirichlet(np.ones(4))  # every class has cells of its own
    found, error = factorised(c @ w, 3, 10, 0)
    assert error < 0.02
    assert distance(found, w) < 0.05


def test_posteriors_of_a_perfect_discriminator_are_exact():
    prior = np.array([[0.9, 0.3, 0.2], [0.1, 0.7, 0.8]])
    by_class = prior / prior.sum(1, keepdims=True)
    truth = np.array([0.25, 0.75])
    site_prob = (truth @ by_class)[None]
    np.testing.assert_allclose(posterior(site_prob, prior, np.array([-1]))[0], truth, atol=1e-4)
    in_first = truth * by_class[:, 0]
    np.testing.assert_allclose(
        posterior(site_prob, prior, np.array([0]))[0], in_first / in_first.sum(), atol=1e-4
    )


def test_more_classes_than_sites_and_one_site_are_refused():
    data = shifted_sites()
    with pytest.raises(UserError, match="at least as many sites as classes"):
        fit("latent_label_shift", data, k=6)
    one = replace(data, table=data.table.assign(site="only"))
    with pytest.raises(UserError, match="at least two sites"):
        fit("latent_label_shift", one, k=2)
