"""Names of sparse features hold where they foretell the feature, and fail where they do not."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import lightbox
from core.artifacts import Embedding
from core.explain.feature_scores import score_names


def test_a_true_name_holds_and_a_wrong_one_does_not():
    data = lightbox.sample("breast-cancer")
    rng = np.random.default_rng(0)
    ill = data.labels == data.classes.index("malignant")
    on = np.where(ill, rng.random(len(data)) < 0.8, rng.random(len(data)) < 0.1)
    z = np.stack([on * rng.random(len(data)), rng.normal(size=len(data))], 1).astype("f4")
    z = np.concatenate([z, -z[:, :1]], 1)
    names = ["feature 1 (+ malignant)", "feature 2 (+ malignant)", "feature 3 (− malignant)"]
    codes = Embedding(rows=data.rows, z=z, geometry="sparse", axes=names)
    (first,), (second,), (third,) = (score_names(codes, data, j) for j in range(3))
    assert first.holds
    assert first.low > 0.7
    assert first.n == int((data.splits != "train").sum())
    assert not second.holds
    held = data.splits != "train"
    assert first.auroc == pytest.approx(roc_auc_score(ill[held], z[held, 0]))
    assert (third.sign, third.auroc) == (-1, first.auroc)
    codes.axes[0] = "feature 1"
    assert score_names(codes, data, 0) == []


def test_the_names_a_sparse_autoencoder_gives_are_scored():
    data = lightbox.sample("digits")
    below = lightbox.fit("pca", data, dimensions=16)
    sae = lightbox.fit("abs_topk_sae", data, on=below, epochs=20, k=4, features=32)
    scores = [s for j in range(32) for s in score_names(sae.embedding, data, j)]
    assert scores
    assert np.mean([s.holds for s in scores]) > 0.5
    assert all(0.5 < s.chance < 0.7 for s in scores)
