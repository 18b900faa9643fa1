"""Figures name the rows they are counted on, also where a part stands in for another."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from core.imaging import signals
from core.methods.domains import _figures as domains
from core.methods.series._figures import find_worst_stretch
from core.methods.unlearning import _figures as forgetting
from core.registry import methods
from tests.methods._fit import sample


def with_parts(*parts: str):
    data = sample("digits")
    return data.take(np.flatnonzero(np.isin(data.splits, parts)))


@pytest.mark.parametrize(
    ("parts", "held", "words"),
    [(("train", "val"), "val", "validation"), (("train", "val", "test"), "test", "test")],
)
def test_forgetting_counts_validation_cases_as_such_where_none_test(parts, held, words):
    data = with_parts(*parts)
    method = methods()["label_agnostic_forgetting"]()
    method.base_, method.agreement_ = SimpleNamespace(classes=data.classes), 1.0
    method.forgotten_ = data.part("train").rows[:40]
    prob = np.eye(len(data.classes), dtype=np.float32)[data.labels]
    found = {m.name: m for m in forgetting.figures(method, data, {"unlearned": prob}, 0)}
    assert found[f"accuracy, {words} cases"].split == held
    assert found[f"accuracy, {words} cases"].n == (data.splits == held).sum()
    assert found["accuracy, cases retained"].split == "train"


def test_classes_from_sites_are_found_on_train_and_val():
    data = with_parts("train", "val", "test")
    method = methods()["latent_label_shift"]()
    method.sites_, method.error_ = ["a", "b"], 0.1
    method.prior_ = np.array([[0.7, 0.2], [0.3, 0.8]])
    method.bound_ = np.stack([method.prior_ - 0.1, method.prior_ + 0.1])
    sites = np.arange(len(data)) % 2
    found = domains.figures(method, data, np.full((len(data), 2), 0.5), sites)
    learned = int((data.splits != "test").sum())
    for one in found:
        if one.name != "site discriminator: cross-entropy":
            assert (one.split, one.n) == ("train and val", learned)
        else:
            assert one.split == "val and test"


def test_the_worst_stretch_tells_the_part_it_was_looked_for_in():
    x = np.random.default_rng(0).normal(size=(30, 1, 64)).astype("f4")
    assert (
        find_worst_stretch(
            x, x * 0.5, signals.SignalStyle(np.zeros(1), np.ones(1), channels=("lead",)), "train"
        ).split
        == "train"
    )
