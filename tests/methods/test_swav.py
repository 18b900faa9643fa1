"""SwAV on the digits: prototypes stay in use, neighbours mean something, and without Sinkhorn it
collapses.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from core.nets.memory_bank import MemoryBank
from core.stats.cluster_agreement import purity
from tests.methods._fit import fit, on_digits, sample
from tests.soak import longer


def perplexity(prob: np.ndarray) -> float:
    p = prob.mean(0)
    return float(np.exp(-(p * np.log(np.maximum(p, 1e-12))).sum()))


def few_labels(z: np.ndarray, per_class: int = 3) -> float:
    """1-nearest-neighbour accuracy on test from three labelled training cases a class, mean of five
    draws, cosine.
    """
    data, scores = sample("digits"), []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        some = np.concatenate(
            [
                rng.choice(
                    np.flatnonzero((data.splits == "train") & (data.labels == c)), per_class, False
                )
                for c in range(10)
            ]
        )
        test = data.splits == "test"
        scores.append(
            KNeighborsClassifier(1, metric="cosine")
            .fit(z[some], data.labels[some])
            .score(z[test], data.labels[test])
        )
    return float(np.mean(scores))


def trained():
    return on_digits("swav", epochs=longer(1, 20))


@pytest.mark.soak(only=True)
def test_most_prototypes_are_used_and_hold_one_kind_of_digit():
    found = (
        trained()[1]["clusters-prototypes"]
        if "clusters-prototypes" in trained()[1]
        else next(a for a in trained()[1].values() if type(a).__name__ == "Clusters")
    )
    k = found.prob.shape[1]
    assert len(np.unique(found.label)) > 0.8 * k
    assert perplexity(found.prob) > 0.5 * k
    assert purity(found.label, sample("digits").labels) > 0.75


@pytest.mark.soak(only=True)
def test_few_labels_go_ten_points_further_than_in_an_untrained_encoder():
    method, given = trained()
    torch.manual_seed(0)
    blank = method.make_net().eval()
    x = torch.from_numpy(sample("digits").inputs())
    with torch.no_grad():
        kept, method.net_ = method.net_, blank
        untrained = method.embed(x).numpy()
        method.net_ = kept
    assert few_labels(given["embedding-latent"].z) > few_labels(untrained) + 0.1


def test_prototypes_have_unit_length():
    weight = trained()[0].net_.prototypes.weight
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(len(weight)), atol=1e-4, rtol=0)


@pytest.mark.soak(only=True)
def test_with_a_plain_softmax_in_sinkhorns_place_it_collapses():
    with patch(
        "core.nets.losses.swapped_prediction.sinkhorn",
        lambda scores, epsilon=0.05, iterations=3: (scores / epsilon).softmax(1),
    ):
        _, given = fit("swav", sample("digits"), epochs=8)
    found = next(a for a in given.values() if type(a).__name__ == "Clusters")
    assert perplexity(found.prob) < 0.35 * found.prob.shape[1]


def test_each_views_queue_is_used_from_the_step_after_it_is_full():
    queue, used = MemoryBank(8, 3), []
    for _ in range(4):
        ready, full = [], queue.look()
        for view in (0, 1):
            ready.append(full[view])
            queue.push(view, torch.ones(4, 3))
        used.append(ready)
    assert used == [[False, False], [False, False], [True, True], [True, True]]
    assert (queue.kept == 1).all()


def test_no_queue_is_never_ready():
    queue = MemoryBank(0, 3)
    queue.push(0, torch.ones(4, 3))
    assert queue.look() == (False, False)


def test_a_queue_of_a_checkpoint_with_one_count_for_both_views_goes_on():
    queue = MemoryBank(8, 3)
    queue.load_state_dict({"kept": torch.zeros(2, 8, 3), "filled": torch.tensor([8])})
    assert queue.look() == (True, True)
    assert MemoryBank(8, 3).state_dict()["filled"].shape == (2,)
