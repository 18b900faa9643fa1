"""PCA and the clusterings against scikit-learn and data with known groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA

from core.artifacts import AnomalyMaps, Embedding
from core.data.dataset import Dataset
from core.data.splits import add_split
from core.errors import UserError
from core.method import check_params
from core.registry import methods
from core.stats.cluster_agreement import accuracy
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.methods._fit import fit, on_digits, sample


def blobs(centres: int, n: int = 400, spread: float = 0.6, seed: int = 3):
    x, y = make_blobs(n, 6, centers=centres, cluster_std=spread, random_state=seed)
    table, roles, _ = add_split(pd.DataFrame({"label": y.astype(str)}), {"label": "label"}, 0)
    data = Dataset(
        "blobs",
        "table",
        table,
        x.astype("f4"),
        roles=roles,
        features=tuple(f"x{i}" for i in range(6)),
    )
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
    errors = [
        float(
            np.square(x - on_digits("pca", dimensions=d)[1]["images-reconstruction"].image).mean()
        )
        for d in (2, 8, 32)
    ]
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


def columns(x: np.ndarray, name: str = "columns") -> Dataset:
    """A table [n,d] without labels, its rows parted by chance."""
    table, roles, _ = add_split(pd.DataFrame(index=range(len(x))), {}, 0)
    return Dataset(
        name,
        "table",
        table,
        x.astype("f4"),
        roles=roles,
        features=tuple(f"x{i}" for i in range(x.shape[1])),
    )


def going_together(n: int = 300, d: int = 6) -> np.ndarray:
    """[n,d] columns that go together, but for row 7."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)[:, None] + 0.05 * rng.normal(size=(n, d))
    x[7] = np.where(np.arange(d) % 2, -1.5, 1.5)
    return x


def rank_of(row: int, score: np.ndarray) -> int:
    return int((np.asarray(score) > score[row]).sum()) + 1


@pytest.mark.parametrize("id", ["pca", "gaussian_vae", "dirichlet_vae"])
def test_a_case_that_breaks_what_the_columns_share_is_the_most_unusual(id):
    """More latent axes are asked for than there are columns, which must not matter."""
    more = {"dimensions": 16} if id == "pca" else {"latent": 16, "epochs": 50}
    _, given = fit(id, columns(going_together()), **more)
    assert rank_of(7, given["anomalymaps"].score) == 1


@pytest.mark.parametrize(("d", "variance"), [(6, 1.0), (1, 0.95), (1, 1.0)])
def test_directions_that_redraw_every_case_give_no_score_and_say_why(d, variance):
    data, run = columns(going_together(d=d)), Run(device="cpu")
    kind = methods()["pca"]
    fitted, given = fit_and_apply(kind, check_params(kind, {"variance": variance}), data, run)
    assert not [a for a in given if isinstance(a, AnomalyMaps)]
    assert fitted.abilities == ["embed", "decode"]
    assert "reconstruct every case" in run.notes[0]
    assert ("keep fewer" in run.notes[0]) == (d > 1)


def test_columns_with_nothing_in_common_are_all_kept_and_give_no_score():
    fitted, given = fit("pca", columns(np.random.default_rng(0).normal(size=(200, 3))))
    assert len(fitted.components_) == 3
    assert "anomalymaps" not in given


def test_directions_up_to_the_share_of_variance_are_kept():
    x = (
        np.random.default_rng(0).normal(size=(2000, 8))
        @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    )
    x[:, 4:] = x[:, :4] + 0.3 * x[:, 4:]
    for share in (0.5, 0.8, 0.95, 0.99):
        fitted, _ = fit("pca", columns(x), variance=share)
        scaled = fitted.scale_(torch.from_numpy(columns(x).part("train").inputs())).numpy()
        explained = np.cumsum(PCA(8).fit(scaled).explained_variance_ratio_)
        assert len(fitted.components_) == int((explained < share).sum()) + 1


def test_a_residual_of_rounding_is_zero_and_flags_nothing():
    x = np.random.default_rng(0).normal(size=(200, 2))
    x = np.c_[x, x.sum(1), x[:, 0] - x[:, 1]].astype("f4")  # four columns, two directions
    x[150] += [0, 0, 0.5, 0]  # but for one case
    data = columns(x)
    data.table.loc[150, "split"] = "test"
    _, given = fit("pca", data, variance=1.0)
    found = given["anomalymaps"]
    assert np.flatnonzero(found.score > 0).tolist() == [150]
    assert np.flatnonzero(found.score > found.threshold).tolist() == [150]
    assert found.rule == "every validation case scores 0"


def test_a_large_offset_leaves_rounding_that_is_no_residual():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("f4").astype(float)
    x[:, 2] = x[:, 0]
    x += 5000
    _, given = fit("pca", columns(x), variance=1.0)
    assert not np.asarray(given["anomalymaps"].score).any()


def test_pictures_that_are_redrawn_to_the_last_digit_have_no_heat():
    data = replace(sample("digits"), samples=sample("digits").inputs() * 0)
    data.samples[:, 0, 2:4, 2:4] = np.random.default_rng(0).uniform(size=(len(data), 2, 2))
    fitted, given = fit("pca", data, dimensions=3)
    assert given["anomalymaps"].map.any()
    fitted, given = fit("pca", data, dimensions=8)
    assert fitted.redraws_all
    assert "anomalymaps" not in given


def test_cases_that_are_all_the_same_have_no_directions():
    with pytest.raises(UserError, match="All training cases are the same"):
        fit("pca", columns(np.full((30, 3), 7.0)))


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


def test_results_that_are_no_numbers_are_a_sentence():
    class Broken(methods()["pca"]):
        def embed(self, x):
            return super().embed(x) * float("nan")

    with pytest.raises(
        UserError,
        match=r"broke down: what it found is no finite number for some cases .*300 of 300 rows",
    ):
        fit_and_apply(Broken, Broken.Params(), columns(going_together()), Run(device="cpu"))
