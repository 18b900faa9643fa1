"""Scores of distance from reference cases against scikit-learn's and PyOD's, and what the two
methods learn from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from core.artifacts import AnomalyMaps, Embedding
from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.anomaly._reference import COMBINED, UNITS, Reference
from core.registry import methods, open_model, suggested
from core.training.fit import describe
from core.training.run import Run
from tests.methods._fit import fit


def cases(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    """Correlated columns, float64 [n,d]."""
    mixing = np.random.default_rng(99).normal(size=(d, d))
    return np.random.default_rng(seed).normal(size=(n, d)) @ mixing


def table(ill: int = 30, n: int = 300) -> Dataset:
    """`n` healthy rows and `ill` ones whose columns do not go together; parts 70/15/15."""
    x = cases(n + ill)
    x[n:] = np.random.default_rng(3).permuted(x[n:], axis=0) + 1.5 * x.std(0)
    label = np.r_[["healthy"] * n, ["ill"] * ill]
    part = np.array(["train"] * 14 + ["val"] * 3 + ["test"] * 3)[np.arange(n + ill) % 20]
    frame = pd.DataFrame({"label": label, "split": part})
    roles = {"label": "label", "split": "split"}
    names = tuple(f"x{i}" for i in range(x.shape[1]))
    card = {"normal": "healthy", "normal guessed": ""}
    return Dataset("rows", "table", frame, x.astype("f4"), roles=roles, features=names, card=card)


def scores_of(reference: np.ndarray, score: str, k: int, z: np.ndarray) -> np.ndarray:
    return Reference(reference, score, k, 0).score(np.asarray(z, np.float32))


def test_a_case_of_the_reference_is_not_its_own_neighbour():
    x = cases(80).astype("f4")
    theirs = NearestNeighbors(n_neighbors=5).fit(x).kneighbors()[0].mean(1)
    np.testing.assert_allclose(scores_of(x, "nearest cases", 5, x), theirs, rtol=1e-5)
    others = cases(20, seed=1).astype("f4")
    theirs = NearestNeighbors(n_neighbors=5).fit(x).kneighbors(others)[0].mean(1)
    np.testing.assert_allclose(scores_of(x, "nearest cases", 5, others), theirs, rtol=1e-5)


def test_of_two_same_reference_cases_each_has_the_other_as_neighbour():
    x = cases(30).astype("f4")
    x[1] = x[0]
    assert scores_of(x, "nearest cases", 1, x[:2]) == pytest.approx([0, 0], abs=1e-6)


def test_local_outlier_factor_is_scikit_learns():
    x, others = cases(120).astype("f4"), 2 * cases(30, seed=1).astype("f4")
    theirs = LocalOutlierFactor(n_neighbors=10, novelty=True).fit(x.astype(float))
    own = scores_of(x, "local outlier factor", 10, x)
    np.testing.assert_allclose(own, -theirs.negative_outlier_factor_, rtol=1e-5)
    own = scores_of(x, "local outlier factor", 10, others)
    np.testing.assert_allclose(own, -theirs.score_samples(others), rtol=1e-5)


def test_mahalanobis_is_of_the_shrunk_covariance():
    x, others = cases(40, 30).astype("f4"), cases(9, 30, seed=1).astype("f4")
    theirs = np.sqrt(LedoitWolf().fit(x).mahalanobis(others))
    np.testing.assert_allclose(scores_of(x, "Mahalanobis", 5, others), theirs, rtol=1e-3)


def test_ecod_is_pyods_of_one_new_case_at_a_time():
    ecod = pytest.importorskip("pyod.models.ecod").ECOD
    x, others = cases(60).astype("f4"), cases(8, seed=1).astype("f4")
    theirs = [ecod().fit(x).decision_function(one[None])[0] for one in others]
    np.testing.assert_allclose(scores_of(x, "ECOD", 5, others), theirs, rtol=1e-5)


def test_the_combined_score_is_the_largest_of_its_standardised_parts():
    x, held, others = cases(90), cases(40, seed=1), cases(25, seed=2)
    found = Reference(x, COMBINED, 5, 0)
    found.calibrate(held)
    parts = []
    for name in ("nearest cases", "Mahalanobis", "isolation forest"):
        on_scale = np.log if name != "isolation forest" else np.asarray
        of_held, of_others = (on_scale(found.scores[name](z)) for z in (held, others))
        parts.append((of_others - of_held.mean()) / of_held.std())
    np.testing.assert_allclose(found.score(others), np.max(parts, 0), rtol=1e-5)


@pytest.mark.parametrize("score", UNITS)
def test_restored_it_scores_the_same_and_alone_as_in_company(score):
    others = cases(20, seed=2)
    found = Reference(cases(50), score, 5, 7)
    found.calibrate(cases(20, seed=1))
    together = found.score(others)
    again = Reference.restore(found.state())
    np.testing.assert_allclose(again.score(others), together, rtol=1e-6)
    alone = np.concatenate([again.score(others[[i]]) for i in range(len(others))])
    np.testing.assert_allclose(alone, together, rtol=1e-5)
    assert len(found.score(others[:0])) == 0


def test_columns_that_do_not_vary_and_repeated_rows_have_finite_scores():
    x = np.zeros((40, 3))
    x[:20, 0] = 1
    for score in UNITS:
        found = Reference(x, score, 5, 0)
        found.calibrate(x[::4])
        assert np.isfinite(found.score(np.r_[x, x[:1] + 3])).all(), score


@pytest.mark.parametrize("score", UNITS)
def test_every_score_finds_rows_that_are_no_healthy_ones(score):
    data = table()
    maps = fit("table_anomaly", data, score=score)[1]["anomalymaps"]
    test = data.splits == "test"
    assert roc_auc_score(data.labels[test], maps.score[test]) > 0.8
    healthy = (data.splits == "val") & (data.labels == 0)
    assert (maps.score[healthy] <= maps.threshold).mean() == pytest.approx(0.95, abs=0.03)
    assert maps.rule == "95 % of normal validation cases lie below"


def test_ill_training_cases_change_nothing_unless_all_are_asked_for():
    data = table()
    ill = np.flatnonzero((data.labels == 1) & (data.splits != "test"))
    changed = data.samples.copy()
    changed[ill] *= 5
    other = replace(data, samples=changed)
    test = data.splits == "test"
    for which, same in (("normal cases", True), ("all training cases", False)):
        one, two = (
            fit("table_anomaly", d, learn_from=which)[1]["anomalymaps"].score[test]
            for d in (data, other)
        )
        assert np.allclose(one, two, rtol=1e-5) == same


def test_where_no_class_is_known_as_normal_all_training_cases_count():
    data = replace(table(), card={"normal": "", "normal guessed": ""})
    one, two = (
        fit("table_anomaly", data, learn_from=which)[1]["anomalymaps"]
        for which in ("normal cases", "all training cases")
    )
    np.testing.assert_allclose(one.score, two.score)
    assert one.rule == "95 % of the validation cases lie below"


def test_a_large_table_is_scored_against_some_of_its_rows_and_says_so():
    data, run = table(), Run(device="cpu")
    kind = methods()["table_anomaly"]
    method = kind(kind.Params(reference=50))
    method.fit(data, run)
    assert len(method.reference_.cases) == 50
    assert run.notes == ["50 of 210 training cases are the reference."]


def test_automatic_takes_neighbours_where_all_are_known_to_be_normal_else_the_largest_of_three():
    data = table()
    assert fit("table_anomaly", data)[0].reference_.kind == "nearest cases"
    assert (
        fit("table_anomaly", data, learn_from="all training cases")[0].reference_.kind == COMBINED
    )
    unknown = replace(data, card={"normal": "", "normal guessed": ""})
    assert fit("table_anomaly", unknown)[0].reference_.kind == COMBINED


def test_it_is_what_is_offered_for_unusual_cases_of_a_table():
    assert suggested("unusual")[0].id == "table_anomaly"


def embedded(data: Dataset, metric: str = "euclidean") -> dict[str, Embedding]:
    z = Embedding(rows=data.rows, name="latent", z=data.inputs(), metric=metric)
    return {"embedding-latent": z}


def test_of_an_embedding_directions_alone_count_where_its_metric_is_cosine():
    data = table()
    longer = replace(data, samples=data.samples * np.linspace(1, 9, len(data), dtype="f4")[:, None])
    one, two = (
        fit("embedding_anomaly", data, on=embedded(d, "cosine"))[1]["anomalymaps"].score
        for d in (data, longer)
    )
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


def test_without_a_model_of_the_earlier_run_new_cases_are_refused_in_a_sentence():
    data = table()
    method, found = fit("embedding_anomaly", data, on=embedded(data))
    assert method.abilities == []
    assert isinstance(found["anomalymaps"], AnomalyMaps)
    with pytest.raises(UserError, match="kept no model"):
        describe(method, data, Run(device="cpu"))


def test_with_a_model_new_cases_are_embedded_and_scored():
    data = table()
    base = fit("pca", data, dimensions=4)[1]
    method, found = fit("embedding_anomaly", data, on=base)
    again = open_model(method.model(data))
    x = torch.from_numpy(data.inputs())
    np.testing.assert_allclose(again.score(x), found["anomalymaps"].score, rtol=1e-3, atol=1e-3)
