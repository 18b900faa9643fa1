"""Labels that are no classes: every method that needs classes says why it declines, every measure
that cannot count says so (fault 37).
"""

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Clusters, Embedding, Predictions
from core.data.dataset import Dataset
from core.data.labels import why_no_classes
from core.evaluate import measure
from core.registry import measures, methods
from core.training.compatibility import why_not

N = 400
PARTS = np.resize(["train"] * 7 + ["val", "test", "test"], N)

# what is odd about the labels -> the labels, and what is said to whoever needs classes (None:
# nothing, they will do)
LABELS = {
    "one class only": (["ill"] * N, "at least two classes; this data has 1"),
    "all missing": ([None] * N, "at least two classes; this data has 0"),
    "one class in the training part": (
        np.where(PARTS == "train", "ill", "well").tolist(),
        "the cases of the training part are all of “ill”",
    ),
    "labels outside the training part only": (
        [None if p == "train" else "ab"[k % 2] for k, p in enumerate(PARTS)],
        "the cases of the training part are without a label",
    ),
    "a class of one case, in the test part": (
        ["ill"] * (N - 1) + ["well"],
        "the cases of the training part are all of “ill”",
    ),
    "ten thousand classes": (
        [f"c{k}" for k in range(10_000)],
        "10,000 different values in 10,000 cases",
    ),
    "measurements": (
        np.random.default_rng(0).normal(size=N).tolist(),
        "400 different values in 400 cases",
    ),
    "a class of one case, in the training part": (
        ["well", *("ab"[k % 2] for k in range(N - 1))],
        None,
    ),
    "a class that training never sees": (
        ["new" if p == "test" and k % 3 == 0 else "ab"[k % 2] for k, p in enumerate(PARTS)],
        None,
    ),
    "numbers with a point": ([float(k % 3) for k in range(N)], None),
    "some missing": ([None if k % 5 == 0 else "ab"[k % 2] for k in range(N)], None),
}


def made(labels, modality):
    """Random cases of a modality, with every other role filled, so that only the labels can be at
    fault.
    """
    n, rng = len(labels), np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "label": pd.Series(labels, dtype=object),
            "split": np.resize(PARTS, n),
            "domain": np.resize(["bern", "ulm"], n),
            "text": [f"note {k}" for k in range(n)],
            "group": [f"p{k}" for k in range(n)],
        }
    )
    shape = {"image": (1, 16, 16), "volume": (1, 16, 16, 16), "table": (4,), "series": (1, 32)}.get(
        modality
    )
    few = min(n, 40) if modality == "volume" else n
    samples = (
        None
        if shape is None
        else np.broadcast_to(
            rng.normal(size=(few, *shape)).astype(np.float32)[np.arange(n) % few], (n, *shape)
        )
    )
    roles = {r: r for r in ("label", "split", "domain", "group")} | (
        {} if shape else {"text": "text"}
    )
    return Dataset(
        "odd",
        modality,
        table,
        samples,
        roles=roles,
        features=tuple("wxyz") if modality == "table" else (),
    )


NEEDY = [
    (id, m)
    for id, kind in methods().items()
    if kind.takes.labels == "needed"
    for m in kind.takes.modalities
]


@pytest.mark.parametrize("odd", LABELS)
@pytest.mark.parametrize(("id", "modality"), NEEDY)
def test_methods_that_need_classes(id, modality, odd):
    labels, said = LABELS[odd]
    why = why_not(methods()[id], made(labels, modality))
    if said is None:
        assert why is None or "class" not in why, why
    else:
        assert said in why
        assert "\n" not in why


@pytest.mark.parametrize("odd", LABELS)
def test_methods_that_can_do_without_are_offered_all_the_same(odd):
    labels, _ = LABELS[odd]
    data = made(labels, "table")
    for id in ("pca", "gaussian_vae", "quick_selection"):
        assert why_not(methods()[id], data) is None, id


@pytest.mark.parametrize("odd", ["ten thousand classes", "one class in the training part"])
def test_a_joint_classifier_is_left_out_where_there_are_no_classes(odd):
    from core.method import check_params
    from core.training.fit import fit_and_apply
    from core.training.run import Run

    data = made(LABELS[odd][0], "table").take(np.arange(N))
    kind = methods()["gaussian_vae"]
    fitted, found = fit_and_apply(
        kind, check_params(kind, {"epochs": 1, "classifier": True}), data, Run(seed=0, device="cpu")
    )
    assert fitted.classes == []
    assert not any(isinstance(a, Predictions) for a in found)


LABELLED = [id for id, one in measures().items() if one.labels]


@pytest.mark.parametrize("odd", LABELS)
def test_measures_are_defined_or_say_why_not(odd):
    """No measure of classes fails or invents a number; asked by name, it says in words why there is
    none.
    """
    labels, said = LABELS[odd]
    data = made(labels, "table")
    rng, n = np.random.default_rng(2), len(labels)
    prob = rng.dirichlet([1, 1], n).astype(np.float32)
    given = {
        "z": Embedding(rows=data.rows, z=rng.normal(size=(n, 3)).astype(np.float32)),
        "p": Predictions(rows=data.rows, prob=prob, classes=["a", "b"]),
        "c": Clusters(rows=data.rows, label=rng.integers(0, 3, n)),
    }
    usable = [
        m
        for m in LABELLED
        if all(any(isinstance(a, t) for a in given.values()) for t in measures()[m].takes)
    ]
    assert len(usable) >= 4
    found = list(measure(data, given, usable))
    for m in found:
        assert m.value is None or np.isfinite(m.value), m
        assert m.value is not None or m.note, m
    if said is not None and why_no_classes(data, training=False):
        assert {m.name for m in found} == set(usable)
        assert all(m.value is None for m in found)
    else:
        assert any(m.value is not None for m in found)


def test_a_class_never_seen_in_training_is_counted_as_wrong_not_dropped():
    labels = LABELS["a class that training never sees"][0]
    data = made(labels, "table")
    z = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    z[:, 0] = [5 if c == "a" else -5 for c in labels]  # a and b are told apart without fault
    found = {
        (m.name, m.split): m
        for m in measure(data, {"z": Embedding(rows=data.rows, z=z)}, ["linear_probe"])
    }
    new = np.array(labels)[PARTS == "test"] == "new"
    assert found["linear probe accuracy", "test"].value == pytest.approx(1 - new.mean())
