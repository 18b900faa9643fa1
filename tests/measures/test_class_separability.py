"""H0 deaths against single linkage, the score's behaviour on groups of known separation, and along
a training.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from scipy.stats import ortho_group, spearmanr
from sklearn.neighbors import KNeighborsClassifier

from core.artifacts import Embedding
from core.measures.class_separability import ClassSeparability, deaths, fisher, score
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.methods._fit import sample


def blobs(separation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five classes of 60 points in 16 dimensions."""
    rng = np.random.default_rng(seed)
    middle, y = separation * rng.normal(size=(5, 16)), np.repeat(np.arange(5), 60)
    return middle[y] + rng.normal(size=(300, 16)), y


def test_deaths_are_the_heights_of_single_linkage():
    np.testing.assert_allclose(deaths(np.array([[0.0], [1], [3], [7]])), [1, 2, 4])
    z = np.random.default_rng(0).normal(size=(200, 5))
    np.testing.assert_allclose(deaths(z), np.sort(linkage(z, "single")[:, 2]), atol=1e-9)
    twice = np.concatenate([z, z[:50]])  # copies of a case lie at distance zero
    np.testing.assert_allclose(deaths(twice), np.sort(linkage(twice, "single")[:, 2]), atol=1e-9)


def test_ripser_finds_the_same_deaths():
    import pytest

    ripser = pytest.importorskip("ripser")
    z = np.random.default_rng(1).normal(size=(60, 4))
    theirs = ripser.ripser(z, maxdim=0)["dgms"][0][:, 1]
    np.testing.assert_allclose(deaths(z), np.sort(theirs[np.isfinite(theirs)]), rtol=1e-5)


def test_it_rises_with_separation_and_follows_the_nearest_neighbour():
    scores, right = [], []
    for separation in (0, 0.5, 1, 2, 4):
        z, y = blobs(separation)
        scores.append(score(z))
        right.append(KNeighborsClassifier(1).fit(z[::2], y[::2]).score(z[1::2], y[1::2]))
    assert (np.diff(scores) > 0).all()
    assert scores[-1] > 0.7
    assert spearmanr(scores, right).statistic > 0.9


def test_turning_and_scaling_change_nothing():
    z, _ = blobs(1.0)
    turned = 7.5 * z @ ortho_group.rvs(16, random_state=0)
    np.testing.assert_allclose(score(turned), score(z), atol=1e-9)


def test_far_gaussians_are_seen_and_overlap_is_not():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(300, 10))
    two = one.copy()
    two[:150, 0] += 16
    raw = lambda z: 1 - (deaths(z) / deaths(z)[-1]).mean()  # noqa: E731 - as they are, without unit length
    assert raw(two) > raw(one) + 0.2


def test_fishers_ratio_by_hand():
    z = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert fisher(z, np.array([0, 0, 1, 1])) > 1e6
    assert fisher(z, np.array([0, 1, 0, 1])) == 0
    assert np.isnan(fisher(z, np.zeros(4)))


def test_all_cases_alike_and_too_few_are_handled():
    data = sample("digits")
    same = Embedding(rows=data.rows, z=np.ones((len(data), 3), "f4"))
    assert ClassSeparability().compute(data, same, rng=np.random.default_rng(0))[0].value == 0
    assert ClassSeparability().declines(
        data, Embedding(rows=data.rows[:5], z=np.ones((5, 3), "f4"))
    )


def trained(id: str, watched: bool, **params):
    kind, seen = methods()[id], []
    old = kind.watched
    kind.watched = watched
    try:
        run = Run(
            seed=0,
            device="cpu",
            report_to=lambda step, total, scalars: seen.append(
                {k: float(v) for k, v in scalars.items()}
            ),
        )
        method, _ = fit_and_apply(kind, check_params(kind, params), sample("digits"), run)
    finally:
        kind.watched = old
    return method, seen


def test_watching_a_training_changes_nothing_and_follows_fishers_ratio():
    method, seen = trained("classifier", True, epochs=6)
    blind, other = trained("classifier", False, epochs=6)
    for key, value in method.net_.state_dict().items():
        assert torch.equal(value, blind.net_.state_dict()[key])
    name = ClassSeparability.title.lower()
    looks = [s for s in seen if name in s]
    assert 10 <= len(looks) <= 12
    assert not [s for s in other if name in s]
    assert (
        spearmanr(
            [s[name] for s in looks], [s["Fisher ratio (with labels)"] for s in looks]
        ).statistic
        > 0.6
    )


def test_variational_and_self_supervised_trainings_are_watched_too():
    for id in ("gaussian_vae", "swav"):
        _, seen = trained(id, True, **methods()[id].tiny)
        assert [s for s in seen if ClassSeparability.title.lower() in s]
