"""Every figure is recomputed another way: by scikit-learn, by scipy, or by counting."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.neighbors import NearestNeighbors

from core.artifacts import Predictions
from core.data.dataset import Dataset
from core.maps.faithfulness import faithfulness
from core.measures.classification import Classification, calibration_error
from core.measures.clustering_internal import silhouette_of
from core.measures.image_anomaly import f1_max
from core.measures.pixel_anomaly import _binned, aupro, case_dice, pooled
from core.measures.probes import auc
from core.measures.rankme import rankme
from core.measures.robustness_index import best_k, chance, counts, index, neighbours
from core.stats import cluster_agreement, overlap, rank_tests, tracking
from core.stats.proportions import wilson


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def squares(rng, n=6, side=16, some=3):
    """bool [n,side,side]: up to `some` rectangles a picture; the last picture is empty."""
    made = np.zeros((n, side, side), bool)
    for i in range(n - 1):
        for _ in range(rng.integers(1, some + 1)):
            y, x = rng.integers(0, side - 4, 2)
            made[i, y : y + rng.integers(1, 5), x : x + rng.integers(1, 5)] = True
    return made


# -- classes ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("classes", [2, 4])
def test_auc_is_scikit_learns(rng, classes):
    truth = rng.integers(0, classes, 200)
    prob = rng.dirichlet(np.ones(classes), 200).round(2)  # ties
    prob[:, -1] = 1 - prob[:, :-1].sum(1)
    theirs = (
        metrics.roc_auc_score(truth, prob[:, 1])
        if classes == 2
        else np.mean([metrics.roc_auc_score(truth == c, prob[:, c]) for c in range(classes)])
    )
    assert auc(truth, prob, np.arange(classes)) == pytest.approx(theirs, abs=1e-12)


def test_the_calibration_error_is_counted_bin_by_bin(rng):
    sure, right = rng.uniform(0.3, 1, 300), rng.random(300) < 0.7
    total = 0.0
    for low in np.arange(10) / 10:
        inside = (sure >= low) & (sure < low + 0.1 if low < 0.9 else sure <= 1)
        if inside.any():
            total += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    assert calibration_error(sure, right) == pytest.approx(total, abs=1e-12)


def test_the_brier_score_of_two_classes_is_twice_scikit_learns(rng):
    yes = rng.random(60) < 0.5
    prob = rng.random(60)
    frame = pd.DataFrame({"label": np.where(yes, "b", "a"), "split": "test"})
    roles = {"label": "label", "split": "split"}
    data = Dataset("d", "table", frame, prob[:, None], roles=roles, features=("p",))
    said = Predictions(rows=data.rows, prob=np.stack([1 - prob, prob], 1), classes=["a", "b"])
    found = {m.name: m.value for m in Classification().compute(data, said, rng=rng)}
    theirs = metrics.brier_score_loss(yes, prob)
    assert found["Brier score"] == pytest.approx(2 * theirs, abs=1e-6)
    assert found["predicted class accuracy"] == np.mean((prob > 0.5) == yes)


def test_the_best_f1_is_that_of_all_thresholds(rng):
    truth = rng.random(80) < 0.3
    score = (truth + rng.normal(size=80)).round(1)
    best = max(metrics.f1_score(truth, score >= t) for t in np.unique(score))
    assert f1_max(truth, score) == pytest.approx(best, abs=1e-12)


def test_wilsons_interval_is_scipys():
    for k, n in ((0, 9), (7, 12), (190, 200)):
        theirs = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
        assert (wilson(k, n).low, wilson(k, n).high) == pytest.approx(tuple(theirs), abs=1e-6)


# -- groups ----------------------------------------------------------------------------------------
def test_group_accuracy_is_the_best_of_all_matchings(rng):
    truth = rng.integers(0, 4, 120)
    found = np.where(rng.random(120) < 0.4, rng.integers(0, 4, 120), (truth + 1) % 4)
    best = max(np.mean(np.array(order)[found] == truth) for order in permutations(range(4)))
    assert cluster_agreement.accuracy(found, truth) == pytest.approx(best, abs=1e-12)


def test_purity_counts_each_groups_commonest_class(rng):
    truth, found = rng.integers(0, 3, 90), rng.integers(0, 5, 90)
    counted = sum(max(np.sum(truth[found == g] == c) for c in range(3)) for g in range(5))
    assert cluster_agreement.purity(found, truth) == pytest.approx(counted / 90, abs=1e-12)


def test_the_silhouette_is_scikit_learns(rng):
    z, label = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    value, some = silhouette_of(z, label), rng.permutation(60)[:40]
    assert value(np.arange(60)) == pytest.approx(metrics.silhouette_score(z, label), abs=1e-6)
    theirs = metrics.silhouette_score(z[some], label[some])
    assert value(some) == pytest.approx(theirs, abs=1e-6)


# -- outlines --------------------------------------------------------------------------------------
def test_dice_and_iou_are_scikit_learns(rng):
    truth, said = squares(rng), squares(rng)
    dice, iou = overlap.mask_overlap(said, truth)
    for i in range(len(truth) - 1):
        a, b = truth[i].ravel(), said[i].ravel()
        assert dice[i] == pytest.approx(metrics.f1_score(a, b), abs=1e-12)
        assert iou[i] == pytest.approx(metrics.jaccard_score(a, b), abs=1e-12)
    assert np.isnan(dice[-1])


def test_dice_of_objects_gives_each_pixel_to_the_nearest_object(rng):
    truth, said = squares(rng, some=4)[0], squares(rng, some=4)[0]
    parts, k = ndimage.label(truth, np.ones((3, 3)))
    pixels = np.argwhere(truth)
    home = np.zeros(truth.shape, int)
    for y, x in np.argwhere(said):
        away = np.hypot(*(pixels - (y, x)).T)
        near = {parts[tuple(p)] for p in pixels[away == away.min()]}
        assert len(near) == 1, "two objects equally near: choose another picture"
        home[y, x] = near.pop()
    area, dice = overlap.object_overlap(said, truth)
    for j in range(1, k + 1):
        one, own = parts == j, home == j
        assert area[j - 1] == one.sum()
        by_hand = 2 * (one & said).sum() / (one.sum() + own.sum())
        assert dice[j - 1] == pytest.approx(by_hand, abs=1e-12)


def test_distances_of_edges_are_those_of_all_pairs_of_pixels(rng):
    said, truth = squares(rng, 2)[0], squares(rng, 2)[0]
    edge = [np.argwhere(m & ~ndimage.binary_erosion(m)) for m in (said, truth)]
    away = cdist(*edge)
    far, mean = tracking.surface_distances(said, truth)
    both = (np.percentile(away.min(1), 95), np.percentile(away.min(0), 95))
    assert far == pytest.approx(max(both), abs=1e-12)
    assert mean == pytest.approx(away.min(1).mean(), abs=1e-12)


def test_centroids_are_scipys_and_no_error_costs_no_dose(rng):
    masks = squares(rng)[:-1]
    theirs = [ndimage.center_of_mass(m) for m in masks]
    np.testing.assert_allclose(tracking.centroids(masks), theirs, atol=1e-12)
    wide = np.zeros((40, 40), bool)
    wide[15:25, 15:25] = True
    assert tracking.relative_d98(wide, np.zeros((3, 2))) == pytest.approx(1, abs=1e-12)
    assert tracking.relative_d98(wide, np.array([[30.0, 0.0]])) < 0.01


# -- pixels ----------------------------------------------------------------------------------------
def test_pixel_curves_are_scikit_learns(rng):
    truth = squares(rng)
    heat = (truth + rng.normal(size=truth.shape)).round(1)  # fewer values than bins: exact
    auroc, precision, best = pooled(tuple(c.sum(0) for c in _binned(heat, truth)))
    flat, score = truth.ravel(), heat.ravel()
    assert auroc == pytest.approx(metrics.roc_auc_score(flat, score), abs=2e-3)
    assert precision == pytest.approx(metrics.average_precision_score(flat, score), abs=2e-3)
    every = max(metrics.f1_score(flat, score >= t) for t in np.unique(score))
    assert best == pytest.approx(every, abs=2e-3)


def test_dice_of_cases_is_that_of_every_cut(rng):
    truth = squares(rng)
    heat = truth + rng.normal(size=truth.shape)
    edges = np.unique(np.quantile(heat, np.linspace(0, 1, 9)[1:-1]))
    place = np.searchsorted(edges, heat)
    made = [
        np.stack([np.bincount(p[t == m], minlength=len(edges) + 1) for p, t in zip(place, truth)])
        for m in (True, False)
    ]
    got = case_dice(tuple(made))
    for j in range(len(edges) + 1):
        said = place >= len(edges) - j
        for i in range(len(truth)):
            size = said[i].sum() + truth[i].sum()
            by_hand = 2 * (said[i] & truth[i]).sum() / size if size else 1.0
            assert got[i, j] == pytest.approx(by_hand, abs=1e-12)


def test_aupro_is_the_mean_coverage_of_components_over_false_alarms(rng):
    truth = squares(rng)
    heat = (truth + 0.7 * rng.normal(size=truth.shape)).round(1)
    parts = [ndimage.label(t, np.ones((3, 3))) for t in truth]
    curve = [(0.0, 0.0)]
    for cut in np.unique(heat)[::-1]:
        said = heat >= cut
        cover = [said[i][p == j].mean() for i, (p, k) in enumerate(parts) for j in range(1, k + 1)]
        curve.append((said[~truth].mean(), np.mean(cover)))
    x, y = np.array(curve).T
    grid = np.union1d(x[x < 0.3], np.linspace(0, 0.3, 100_001))
    area = np.trapezoid(np.interp(grid, x, y), grid) / 0.3
    assert aupro(heat, truth) == pytest.approx(area, abs=1e-4)


# -- embeddings ------------------------------------------------------------------------------------
def test_rankme_is_the_entropy_of_singular_values_from_the_gram_matrix(rng):
    z = rng.normal(size=(50, 6)) * [5, 3, 2, 1, 0.5, 0.1]
    s = np.sqrt(np.linalg.eigvalsh(z.T @ z))
    p = s / s.sum()
    assert rankme(z) == pytest.approx(np.exp(stats.entropy(p)), abs=1e-4)


def test_recall_of_a_map_is_that_of_scikit_learns_neighbours(rng):
    z = rng.normal(size=(80, 5))
    near, drawn = (
        NearestNeighbors(n_neighbors=15).fit(x).kneighbors(return_distance=False)
        for x in (z, z[:, :2])
    )
    shared = [len(set(a) & set(b)) / 15 for a, b in zip(near, drawn)]
    _, recall, scores = faithfulness(z, z[:, :2])
    np.testing.assert_allclose(recall, shared, atol=1e-6)
    assert scores["knn_recall"] == pytest.approx(np.mean(shared), abs=1e-9)


def test_the_robustness_index_is_counted_case_by_case(rng):
    n, k = 60, 7
    y, site, who = rng.integers(0, 3, n), rng.integers(0, 2, n), rng.integers(0, 20, n)
    z = rng.normal(size=(n, 3)) + np.eye(3)[y]
    away = cdist(z, z)
    so = os = 0
    for i in range(n):
        others = [j for j in np.argsort(away[i]) if who[j] != who[i]][:k]
        so += sum(y[j] == y[i] and site[j] != site[i] for j in others)
        os += sum(y[j] != y[i] and site[j] == site[i] for j in others)
    found = counts(neighbours(z, k, who.astype(str).astype(object)), y, site)
    assert (found["SO"][:, -1].sum(), found["OS"][:, -1].sum()) == (so, os)
    assert index(found["SO"][:, -1], found["OS"][:, -1]) == pytest.approx(so / (so + os))
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    near = sum(y[i] == y[j] and site[i] != site[j] for i, j in pairs)
    far = sum(y[i] != y[j] and site[i] == site[j] for i, j in pairs)
    assert chance(y, site) == pytest.approx(near / (near + far), abs=1e-12)


def test_the_best_k_is_that_of_scikit_learns_balanced_accuracy(rng):
    n, most = 80, 15
    y = rng.integers(0, 2, n)
    z = rng.normal(size=(n, 2)) + 0.8 * y[:, None]
    near = neighbours(z, most, None)
    votes = {k: (y[near[:, :k]].mean(1) > 0.5).astype(int) for k in range(1, most + 1, 2)}
    score = {k: metrics.balanced_accuracy_score(y, said) for k, said in votes.items()}
    assert best_k(near, y) == max(score, key=lambda k: (round(score[k], 12), -k))


# -- comparisons -----------------------------------------------------------------------------------
def test_friedmans_test_and_holms_correction_by_hand(rng):
    score = rng.normal(np.array([[0.0], [0.3], [0.6], [1.5]]), size=(4, 11))
    rank = stats.rankdata(-score, axis=0)
    np.testing.assert_array_equal(rank_tests.rank_contestants(score), rank)
    m, t = score.shape
    q = 12 * t / (m * (m + 1)) * np.square(rank.mean(1) - (m + 1) / 2).sum()
    assert rank_tests.friedman_test(score) == pytest.approx(stats.chi2.sf(q, m - 1), abs=1e-12)
    raw = {i: stats.wilcoxon(score[i], score[0]).pvalue for i in range(1, m)}
    held, found = 0.0, rank_tests.compare_to_baseline(score, 0)
    for left, i in zip((3, 2, 1), sorted(raw, key=raw.get)):
        held = max(held, min(1.0, left * raw[i]))
        assert found[i] == pytest.approx(held, abs=1e-12)
    assert found[0] is None


def test_the_critical_difference_is_that_of_demsars_table():
    for many, q in ((2, 1.960), (5, 2.728), (10, 3.164)):  # Demsar 2006, table 5, 0.05
        by_hand = q * np.sqrt(many * (many + 1) / (6 * 14))
        assert rank_tests.critical_difference(many, 14) == pytest.approx(by_hand, rel=1e-3)
