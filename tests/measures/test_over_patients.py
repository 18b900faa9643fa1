"""What measures say of patients: intervals over them, none where they are few, and what drawing
nothing scores.
"""

import numpy as np
import pandas as pd
import pytest

from core.artifacts import AnomalyMaps, Clusters, Embedding, Images, Predictions
from core.data.dataset import Dataset
from core.evaluate import measure
from core.measures.classification import calibration_error
from core.registry import measures
from core.stats.proportions import wilson


def table(
    n: int,
    patients: list[str | None],
    label: np.ndarray,
    split: list[str] | None = None,
    masks: np.ndarray | None = None,
) -> Dataset:
    """`n` cases of one number each."""
    columns = {
        "patient": patients,
        "label": [f"c{v}" for v in label],
        "split": split or ["test"] * n,
    }
    roles = {"group": "patient", "label": "label", "split": "split"}
    samples = (
        np.random.default_rng(0)
        .normal(size=(n, 2) if masks is None else (n, 1, *masks.shape[1:]))
        .astype("f4")
    )
    return Dataset(
        "made",
        "table" if masks is None else "image",
        pd.DataFrame(columns),
        samples,
        masks=masks,
        roles=roles,
    )


def of(name: str, data: Dataset, *artifacts):
    return {
        m.name: m for m in measures()[name].compute(data, *artifacts, rng=np.random.default_rng(0))
    }


def said(logit: np.ndarray) -> Predictions:
    score = np.stack([np.zeros(len(logit)), logit], 1)
    prob = np.exp(score - score.max(1, keepdims=True))
    return Predictions(
        rows=np.arange(len(logit)),
        prob=(prob / prob.sum(1, keepdims=True)).astype("f4"),
        classes=["c0", "c1"],
    )


def test_one_patient_gets_no_interval_and_is_told_why():
    y = np.arange(40) % 2
    got = of(
        "classification",
        table(40, ["P3"] * 40, y),
        said(np.where(y == 1, 1.0, -1.0) * np.where(np.arange(40) < 21, 1, -1)),
    )
    for name in ("predicted class accuracy", "predicted class AUC", "Brier score"):
        assert (got[name].low, got[name].high) == (None, None)
        assert "too few for an interval (1 patient)" in got[name].note
    assert got["predicted class accuracy"].value == pytest.approx(21 / 40)


def test_twelve_of_twelve_right_is_wilsons():
    y = np.arange(12) % 2
    got = of(
        "classification",
        table(12, [f"P{i}" for i in range(12)], y),
        said(np.where(y == 1, 3.0, -3.0)),
    )
    one = got["predicted class accuracy"]
    assert (one.value, one.low, one.high) == pytest.approx((1.0, wilson(12, 12).low, 1.0))
    assert got["predicted class AUC"].low == pytest.approx(wilson(6, 6).low), (
        "six of each class bound it"
    )


def test_cases_without_an_id_are_no_patient_of_that_name():
    y = np.arange(60) % 2
    logit = np.random.default_rng(1).normal(size=60) + y
    lone, none = table(60, [None] * 60, y), table(60, [f"P{i}" for i in range(60)], y)
    for name in ("predicted class accuracy", "predicted class AUC", "Brier score"):
        a, b = (
            of("classification", lone, said(logit))[name],
            of("classification", none, said(logit))[name],
        )
        assert (a.low, a.high) == pytest.approx((b.low, b.high))
        assert a.units == 60


def test_cases_are_ranked_where_probabilities_are_all_one():
    y = (np.arange(300) % 3 > 0).astype(int)
    logit = np.where(y == 1, 25.0, 20.0) + np.random.default_rng(2).normal(size=300)
    answers = said(logit)
    assert (np.asarray(answers.prob)[:, 1] == 1).all(), "float32 tells none of them apart"
    assert (
        of("classification", table(300, [None] * 300, y), answers)["predicted class AUC"].value
        > 0.99
    )


def test_the_calibration_error_stands_beside_what_honest_probabilities_show():
    rng = np.random.default_rng(3)
    logit = rng.normal(1, 1, 200)
    y = (rng.random(200) < 1 / (1 + np.exp(-logit))).astype(int)
    one = of("classification", table(200, [None] * 200, y), said(logit))["calibration error"]
    assert one.low is None
    chance = float(one.note.split("about ")[1].split(" ")[0])
    sure = 1 / (1 + np.exp(-np.abs(logit)))
    drawn = [calibration_error(sure, rng.random(200) < sure) for _ in range(300)]
    assert chance == pytest.approx(np.mean(drawn), abs=0.01)
    assert 0.02 < chance < 0.1


def test_ranges_are_not_called_intervals():
    z = np.random.default_rng(0).normal(size=(400, 6)).astype("f4")
    data = table(400, [None] * 400, np.arange(400) % 2)
    embedding = Embedding(rows=data.rows, name="latent", z=z)
    kinds = {
        name: of(id, data, embedding)[name].kind
        for id, name in (
            ("rankme", "effective dimensions"),
            ("class_separability", "separability without labels"),
        )
    }
    assert kinds == dict.fromkeys(kinds, "range")


def grouped() -> tuple[Dataset, Clusters, Embedding]:
    y = np.arange(120) % 3
    data = table(120, [f"P{i // 10}" for i in range(120)], y)
    z = (3 * np.eye(3)[y] + np.random.default_rng(0).normal(size=(120, 3))).astype("f4")
    return (
        data,
        Clusters(rows=data.rows, name="groups", label=y.astype(np.int64), names=["a", "b", "c"]),
        Embedding(rows=data.rows, name="latent", z=z),
    )


def test_groups_are_measured_in_the_space_of_the_run_below():
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    data, clusters, embedding = grouped()
    alone = {m.name: m for m in measure(data, {"groups": clusters}, ["clustering_internal"])}
    assert "gives no Embedding" in alone["clustering_internal"].note
    got = {
        m.name: m for m in measure(data, {"groups": clusters}, None, below={"latent": embedding})
    }
    assert got["silhouette"].value == pytest.approx(
        silhouette_score(embedding.z, clusters.label), abs=1e-6
    )
    assert got["Davies-Bouldin"].value == pytest.approx(
        davies_bouldin_score(embedding.z, clusters.label), abs=1e-6
    )
    assert got["silhouette"].units == 12
    assert not [name for name in got if "effective dimensions" in name], (
        "what is of the run below alone is not measured again"
    )


def test_a_reconstruction_of_many_is_measured_on_a_drawn_sample_of_all():
    n = 2600
    data = table(n, [None] * n, np.arange(n) % 2, split=["train"] * 100 + ["test"] * (n - 100))
    back = np.array(data.samples)
    back[2200:] += 1.0  # the last cases are redrawn badly: the first 2,000 alone would not show it
    got = of("reconstruction", data, Images(rows=data.rows, image=back, role="reconstruction"))[
        "reconstruction error (share of the mean picture's)"
    ]
    assert "2,000 of 2,500 cases drawn" in got.note
    x, mean = data.inputs()[100:], data.inputs()[:100].mean(0)
    assert got.value == pytest.approx(
        float(np.square(back[100:] - x).mean() / np.square(x - mean).mean()), rel=0.15
    )


def marked(n: int = 40) -> tuple[Dataset, np.ndarray]:
    masks = np.zeros((n, 12, 12), bool)
    masks[: n // 2, 3:7, 3:7] = True
    return table(n, [f"P{i}" for i in range(n)], np.arange(n) % 2, masks=masks), masks


def test_drawing_nothing_scores_no_dice_and_its_share_stands_beside():
    data, masks = marked()
    empty = AnomalyMaps(
        rows=data.rows,
        score=np.zeros(40, "f4"),
        map=np.random.default_rng(0).uniform(size=masks.shape).astype("f4"),
        pixel_threshold=2.0,
    )
    got = of("pixel_anomaly", data, empty)
    rule = "(threshold from validation)"
    assert got[f"Dice, mean of marked cases {rule}"].value == 0
    assert got[f"Dice, mean of marked cases {rule}"].n == 20
    assert got[f"unmarked cases with something drawn {rule}"].value == 0
    old = next(m for name, m in got.items() if "all cases" in name)
    assert old.value == 0.5
    assert old.note.startswith("drawing nothing anywhere scores 0.50")


def test_dice_of_a_perfect_map_is_one_in_marked_cases():
    data, masks = marked()
    got = of(
        "pixel_anomaly",
        data,
        AnomalyMaps(
            rows=data.rows,
            score=masks.any((1, 2)).astype("f4"),
            map=masks.astype("f4"),
            pixel_threshold=0.5,
        ),
    )
    own = got["Dice, mean of marked cases (threshold from validation)"]
    assert (own.value, own.low) == pytest.approx((1.0, wilson(20, 20).low))
    wrong = got["unmarked cases with something drawn (threshold from validation)"]
    assert (wrong.value, wrong.low, wrong.high) == pytest.approx((0.0, 0.0, wilson(0, 20).high))


def test_a_maps_faithfulness_is_of_that_map_and_has_no_interval():
    from core.artifacts import Map
    from core.measures.map_faithfulness import MapFaithfulness

    n = 30
    scores = {"trustworthiness": 0.9, "continuity": 0.8, "knn_recall": 0.5}
    frame = pd.DataFrame({"x": np.arange(n)})
    data = Dataset("d", "table", frame, np.zeros((n, 1), "f4"), features=("x",))
    made = Map(rows=data.rows, xy=np.zeros((n, 2), "f4"), how="pca", scores=scores)
    found = MapFaithfulness().compute(data, made, rng=np.random.default_rng(0))
    assert [(m.value, m.low, m.high) for m in found] == [(v, None, None) for v in scores.values()]
    assert all("describes this map" in m.note for m in found)


def test_what_is_explained_takes_the_interval_of_what_is_left():
    from core.artifacts.tables import Interval

    left = Interval(0.1, 0.4, "interval", 12)
    assert left.turned(1.0).bounds == pytest.approx((0.6, 0.9))
    assert Interval(None, None, "", 3, "too few").turned(1.0).note == "too few"
