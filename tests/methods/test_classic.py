"""PCA and the clusterings against scikit-learn and data with known groups."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.splits import add_split
from core.matching import accuracy
from tests.methods._fit import fit, on_digits, sample


def blobs(centres: int, n: int = 400, spread: float = 0.6, seed: int = 3):
    import pandas as pd

    x, y = make_blobs(n, 6, centers=centres, cluster_std=spread, random_state=seed)
    table, roles, _ = add_split(pd.DataFrame({"label": y.astype(str)}), {"label": "label"}, 0)
    data = Dataset("blobs", "table", table, x.astype("f4"), roles=roles, features=tuple(f"x{i}" for i in range(6)))
    return data, y, {"embedding-latent": Embedding(rows=data.rows, name="latent", z=x.astype("f4"))}


def test_pca_is_scikit_learns_up_to_sign():
    data, (_, given) = sample("digits"), on_digits("pca", dimensions=8)
    x = data.inputs().reshape(len(data), -1).astype(float)
    theirs = PCA(8, svd_solver="full").fit(x[data.splits == "train"]).transform(x)
    ours = given["embedding-latent"].z
    ours = ours * np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs, atol=2e-2)


def test_pca_keeps_more_with_more_directions():
    x = sample("digits").inputs()
    errors = [float(np.square(x - on_digits("pca", dimensions=d)[1]["images-reconstruction"].image).mean()) for d in (2, 8, 32)]
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


@pytest.mark.parametrize("id", ["kmeans", "gaussian_mixture", "hdbscan"])
def test_four_clear_groups_are_found_without_being_told(id):
    data, y, on = blobs(4)
    _, given = fit(id, data, on=on)
    label = given["clusters-groups"].label
    inside = label >= 0
    assert len(np.unique(label[inside])) == 4
    assert inside.mean() > 0.9
    assert accuracy(label[inside], y[inside]) > 0.98


def test_kmeans_reaches_scikit_learns_inertia():
    data, _, on = blobs(5, spread=2.5)
    _, given = fit("kmeans", data, on=on, k=5)
    train, z = data.splits == "train", on["embedding-latent"].z
    label = given["clusters-groups"].label
    centres = np.stack([z[train & (label == j)].mean(0) for j in range(5)])
    ours = np.square(z[train] - centres[label[train]]).sum()
    assert ours <= KMeans(5, n_init=20, random_state=1).fit(z[train]).inertia_ * 1.01


def test_the_mixture_says_when_there_is_one_group_only():
    data, _, on = blobs(1)
    _, given = fit("gaussian_mixture", data, on=on)
    assert len(np.unique(given["clusters-groups"].label)) == 1


def test_mixture_probabilities_sum_to_one_and_doubt_lies_between_groups():
    data, _, on = blobs(2, spread=3.0, seed=0)
    _, given = fit("gaussian_mixture", data, on=on, k=2)
    prob = given["clusters-groups"].prob
    np.testing.assert_allclose(prob.sum(1), 1, atol=1e-4)
    assert (prob.argmax(1) == given["clusters-groups"].label).all()


def test_hdbscan_leaves_stray_cases_in_no_group():
    data, _, on = blobs(3, spread=0.3)
    far = np.random.default_rng(0).uniform(-60, 60, (20, 6)).astype("f4")
    on["embedding-latent"].z[:20] = far
    _, given = fit("hdbscan", data, on=on)
    assert (given["clusters-groups"].label[:20] == -1).mean() > 0.6
