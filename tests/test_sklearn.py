"""Methods of tables as scikit-learn estimators: what scikit-learn asks of them holds."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import lightbox
from lightbox import sklearn as adapters

CHECKED = [
    adapters.Embedder("pca"),
    adapters.Embedder("table_anomaly"),
    adapters.AnomalyDetector("pca", {"dimensions": 1}),
    adapters.AnomalyDetector("table_anomaly"),
    adapters.Clusterer("kmeans", {"k": 3}),
    adapters.Clusterer("gaussian_mixture", {"k": 3}),
    adapters.Clusterer("hdbscan"),
]
NETWORKS = [
    adapters.Classifier(),
    adapters.Embedder("quick_selection", {"epochs": 2, "hidden": 20}),
]
FEWER_ROWS = dict.fromkeys(
    (
        "check_n_features_in_after_fitting",
        "check_classifier_data_not_an_array",
        "check_fit2d_1feature",
    ),
    "a network needs at least 20 rows",
)


@parametrize_with_checks(
    [*CHECKED, *NETWORKS],
    expected_failed_checks=lambda estimator: FEWER_ROWS if estimator in NETWORKS else {},
)
def test_holds_what_scikit_learn_asks(estimator, check):
    check(estimator)


def test_every_applicable_method_is_checked_or_trains_a_network():
    checked = {(type(e).__name__, e.method) for e in CHECKED}
    methods = lightbox.methods()
    for name, ids in adapters.applicable().items():
        for id in ids:
            assert (name, id) in checked or methods[id].takes.trains, (name, id)


def test_gives_what_the_library_gives():
    data = lightbox.sample("breast-cancer")
    train = data.part("train")
    fitted = lightbox.fit("pca", train, dimensions=3, device="cpu")
    z = adapters.Embedder("pca", {"dimensions": 3}).fit_transform(train.inputs())
    np.testing.assert_allclose(z, fitted.embedding.z, rtol=1e-4, atol=1e-4)


def test_works_in_a_pipeline():
    x = lightbox.sample("breast-cancer").inputs()[:100]
    labels = make_pipeline(adapters.Embedder(), adapters.Clusterer()).fit_predict(x)
    assert len(labels) == 100
    mixed = make_pipeline(adapters.Embedder("pca", {"dimensions": 2}), KMeans(2, n_init=1))
    assert set(mixed.fit_predict(x)) == {0, 1}


def test_classifies_with_a_network():
    data = lightbox.sample("breast-cancer").part("train")
    x, y = data.inputs(), np.array(data.classes)[data.labels]
    fitted = adapters.Classifier(params={"epochs": 5}).fit(x, y)
    assert fitted.score(x, y) > 0.9
    np.testing.assert_allclose(fitted.predict_proba(x[:7]).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (adapters.Embedder("kmeans"), "Embedder takes .*pca.* “kmeans” is none"),
        (adapters.Clusterer("nothing"), "“nothing” is none of them"),
        (adapters.Embedder("pca", {"dimensions": 0}), "dimensions"),
    ],
)
def test_refuses_in_one_sentence(estimator, words):
    with pytest.raises(ValueError, match=words) as e:
        estimator.fit(np.arange(60.0).reshape(20, 3))
    assert "\n" not in str(e.value)
