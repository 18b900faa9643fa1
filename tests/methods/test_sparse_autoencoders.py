"""Sparse autoencoders: the rule is the exact projection, a planted signed dictionary comes back,
and the variational one's known weakness shows.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.splits import add_split
from core.nets.coder import SparseCoder, keep_largest
from tests.methods._fit import fit, sample


@cache
def planted(seed: int = 0) -> tuple[Dataset, dict, np.ndarray]:
    """2,000 points x = D z in 20 dimensions: 24 unit directions, three on with random sign and
    size.
    """
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(24, 20))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((2000, 24))
    for row in codes:
        row[rng.choice(24, 3, replace=False)] = rng.uniform(0.5, 1.5, 3) * rng.choice([-1, 1], 3)
    z = (codes @ atoms).astype("f4")
    table, roles, _ = add_split(
        pd.DataFrame({"side": np.where(codes[:, 0] > 0, "a", "b")}), {"label": "side"}
    )
    data = Dataset(
        "planted", "table", table, z, roles=roles, features=tuple(f"z{i}" for i in range(20))
    )
    return data, {"embedding-latent": Embedding(rows=data.rows, name="latent", z=z)}, atoms


def recovered(decoder: np.ndarray, atoms: np.ndarray) -> float:
    """Mean over the planted directions of the largest |cosine| with a learned one."""
    return float(np.abs(atoms @ decoder.T).max(1).mean())


def explained(found: dict) -> float:
    return next(m.value for m in found["metrics"] if m.name.startswith("variance"))


@cache
def base():
    return fit("gaussian_vae", sample("digits"), epochs=8)


@cache
def on_digits(id: str, **params):
    return fit(id, sample("digits"), on=base()[1], k=4, **params)


def test_the_rule_is_the_projection_on_k_sparse_vectors():
    u = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    kept = keep_largest(u, 3)
    for x, y in zip(u.numpy(), kept.numpy()):
        best = min((np.square(np.delete(x, s)).sum(), s) for s in combinations(range(8), 3))[1]
        assert set(np.flatnonzero(y)) == set(best)
    assert torch.equal(keep_largest(-u, 3), -kept)
    plain = SparseCoder(4, 8, 3, "top-k")
    assert torch.equal(plain.keep(u.abs()), keep_largest(u.abs(), 3))


def test_exactly_k_codes_and_unit_directions():
    method, found = on_digits("abs_topk_sae")
    codes = np.asarray(found["embedding-codes"].z)
    assert ((codes != 0).sum(1) == 4).all()
    assert (codes < 0).any()
    torch.testing.assert_close(
        method.net_.decoder.norm(dim=1), torch.ones(method.size_), atol=1e-4, rtol=0
    )


@pytest.mark.soak(only=True)
def test_a_planted_signed_dictionary_comes_back_and_plain_top_k_needs_twice_the_features():
    data, on, atoms = planted()
    got = {}
    for words, params in (
        ("signed", {}),
        ("plain", {"rule": "top-k"}),
        ("plain, twice", {"rule": "top-k", "features": 48}),
    ):
        method, found = fit(
            "abs_topk_sae",
            data,
            on=on,
            **{"k": 3, "features": 24, "epochs": 150, "learning_rate": 3e-3} | params,
        )
        got[words] = recovered(method.net_.decoder.detach().numpy(), atoms), explained(found)
    assert got["signed"][0] > 0.9
    assert got["signed"][0] > got["plain"][0] + 0.04
    assert got["signed"][1] > got["plain"][1] + 0.05
    assert got["plain, twice"][0] > got["plain"][0]
    random = np.random.default_rng(1).normal(size=(24, 20))
    assert recovered(random / np.linalg.norm(random, axis=1, keepdims=True), atoms) < 0.7


def test_the_kl_by_hand_and_sampling_only_while_training():
    net = SparseCoder(3, 5, 2, "variational", "learned")
    x = torch.randn(4, 3)
    net.train()
    first, second = net(x)[1], net(x)[1]
    assert not torch.equal(first, second)
    net.eval()
    assert torch.equal(net(x)[1], net(x)[1])
    mu, lv = net.before(x), net.log_variance(x - net.middle).clamp(-6, 2)
    by_hand = 0.5 * (mu**2 + torch.exp(lv) - 1 - lv).sum(1)
    torch.testing.assert_close(net(x)[3], by_hand)


def test_without_sampling_and_kl_it_is_top_k():
    net, plain = SparseCoder(6, 12, 3, "variational", "none"), SparseCoder(6, 12, 3, "top-k")
    plain.load_state_dict(net.state_dict())
    x = torch.randn(10, 6)
    torch.testing.assert_close(net(x)[0], plain(x)[0], atol=1e-6, rtol=0)


@pytest.mark.soak(only=True)
def test_reconstruction_falls_with_the_weight_of_the_kl_and_stays_below_top_k():
    top = explained(on_digits("abs_topk_sae", rule="top-k")[1])
    values = [
        explained(on_digits("variational_sae", kl_weight=c, spread="one")[1])
        for c in (0.0, 0.1, 1.0)
    ]
    assert top > values[0] + 0.05
    assert values[0] > values[1] > values[2]


@pytest.mark.soak(only=True)
def test_features_lean_to_classes_and_to_none_with_labels_shuffled():
    named = [
        a for a in on_digits("abs_topk_sae")[1]["embedding-codes"].axes if "(+" in a or "−" in a
    ]
    assert len(named) >= 5
    from dataclasses import replace

    data = sample("digits")
    mixed = replace(
        data,
        table=data.table.assign(digit=np.random.default_rng(0).permutation(data.table["digit"])),
    )
    _, found = fit("abs_topk_sae", mixed, on=base()[1], k=4)
    assert sum("(+" in a or "−" in a for a in found["embedding-codes"].axes) < len(named) / 3


def test_a_feature_walks_back_to_pictures_through_the_earlier_model():
    method, found = on_digits("abs_topk_sae")
    data = sample("digits")
    assert {"embed", "decode"} <= set(method.abilities)
    x = torch.from_numpy(data.inputs(np.arange(6)))
    with torch.no_grad():
        codes = method.embed(x)
        np.testing.assert_allclose(codes.numpy(), found["embedding-codes"].z[:6], atol=1e-4)
        back = method.decode(codes)
        assert back.shape == x.shape
        feature = int(np.abs(found["embedding-codes"].z).sum(0).argmax())
        plus, minus = codes.clone(), codes.clone()
        plus[:, feature], minus[:, feature] = 3.0, -3.0
        assert (method.decode(plus) - method.decode(minus)).abs().mean() > 0.01


def test_steering_both_ways_moves_a_probe_both_ways():
    """+a and -a along a feature that leans to a class move a linear probe for that class in
    opposite directions.
    """
    from sklearn.linear_model import LogisticRegression

    method, found = on_digits("abs_topk_sae")
    data, codes = sample("digits"), np.asarray(found["embedding-codes"].z)
    z = np.asarray(base()[1]["embedding-latent"].z)
    j = next(i for i, a in enumerate(method.axes_) if "(+ " in a)
    label = data.classes.index(method.axes_[j].partition("(+ ")[2].rstrip(")").partition(",")[0])
    probe = LogisticRegression(max_iter=1000).fit(z, data.labels == label)
    way = method.net_.decoder[j].detach().numpy() * method.scale_
    a = float(np.quantile(np.abs(codes[:, j][codes[:, j] != 0]), 0.9))
    up, down = (
        probe.decision_function(z + s * a * way).mean() - probe.decision_function(z).mean()
        for s in (1, -1)
    )
    assert up > 0 > down


@pytest.mark.parametrize("id", ["abs_topk_sae", "variational_sae"])
def test_on_a_run_that_does_not_decode_it_gives_codes_alone(id):
    data, on, _ = planted()
    method, found = fit(id, data, on=on, k=3, epochs=5)
    assert "decode" not in method.abilities
    assert "embedding-codes" in found
