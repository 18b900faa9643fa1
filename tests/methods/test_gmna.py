"""GMNA on a tree of known shape: rows of the network, communities, distances, twins; and what must
fail on shuffled places.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from core.artifacts import Metrics, Network
from core.data.dataset import Dataset
from core.data.splits import add_split
from core.errors import UserError
from core.methods.sequences import _kmers, _network
from tests.methods._fit import fit, sample


@cache
def tree(seed: int = 0) -> Dataset:
    """Eight groups on two continents, 40 genomes of 1,000 letters each; every group is 0.006 from
    its continent, continents 0.03 apart.
    """
    rng, letters, lines = np.random.default_rng(seed), np.array(list("ACGT")), []

    def changed(code, rate):
        return np.where(
            rng.random(len(code)) < rate, (code + rng.integers(1, 4, len(code))) % 4, code
        )

    root = rng.integers(0, 4, 1000)
    for c in range(2):
        continent = changed(root, 0.03)
        for g in range(4):
            base = changed(continent, 0.006)
            lines += [
                {
                    "file": f"{c}{g}{i}",
                    "sequence": "".join(letters[changed(base, 0.003)]),
                    "place": f"g{c}{g}",
                    "continent": f"c{c}",
                }
                for i in range(40)
            ]
    table, roles, _ = add_split(
        pd.DataFrame(lines), {"file": "file", "text": "sequence", "label": "place"}
    )
    return Dataset("tree", "sequence", table, roles=roles)


def network(found: dict) -> Network:
    return found["network-left-one-out"]


def figure(found: dict, name: str) -> float | None:
    metrics: Metrics = found["metrics"]
    return next(m.value for m in metrics if m.name == name)


@cache
def on_tree(k: int = 6):
    return fit("gmna", tree(), k=k, within="continent")


def test_kmers_of_a_string_are_as_many_as_its_windows():
    texts = ["ACGTACGTAC", "AAAA", "ACGNNACGTT", "AC"]
    x = _kmers.count_kmers(texts, 4)
    # windows with an unknown letter are no k-mers
    assert x.sum(1).ravel().tolist()[0] == [7, 1, 2, 0]
    assert _kmers.name_kmer(int(x[1].indices[0]), 4) == "AAAA"
    naive: dict[str, int] = {}
    for i in range(7):
        naive[texts[0][i : i + 4]] = naive.get(texts[0][i : i + 4], 0) + 1
    assert {_kmers.name_kmer(int(c), 4): int(v) for c, v in zip(x[0].indices, x[0].data)} == naive


def test_left_one_out_rows_sum_to_one_and_no_case_leads_home():
    found = network(on_tree()[1])
    weight = _network.error_rates(found.source, found.target, 8)
    np.testing.assert_allclose(weight.sum(1), 1.0)
    assert not np.diag(weight).any()
    assert (found.source != found.target).all()


def test_a_motif_of_one_group_alone_never_brings_its_members_home():
    data = tree()
    marked = data.table.assign(
        sequence=[
            s + "ACGTTGCAAC" * 5 if p == "g00" else s
            for s, p in zip(data.table["sequence"], data.table["place"])
        ]
    )
    _, found = fit("gmna", replace(data, table=marked), k=6)
    net = network(found)
    assert (net.target[net.source == net.names.index("g00")] != net.names.index("g00")).all()
    assert figure(found, "accuracy") > 0.9


def test_errors_follow_the_tree():
    data, found = tree(), on_tree()[1]
    net, grid = network(found), found["grid-indistinguishable"]
    base = np.array(
        [
            [c for c in data.table["sequence"][data.table["place"] == name].iloc[0]]
            for name in net.names
        ]
    )
    distance = (base[:, None] != base[None]).mean(2)
    weight = _network.error_rates(net.source, net.target, 8)
    upper = np.triu_indices(8, 1)
    assert spearmanr(((weight + weight.T) / 2)[upper], -distance[upper]).statistic > 0.6
    assert net.community == [0, 0, 0, 0, 1, 1, 1, 1] or net.community == [1, 1, 1, 1, 0, 0, 0, 0]
    assert figure(found, "errors that stay within one continent: z") > 3
    assert np.isnan(np.diag(grid.value)).all()


def test_with_shuffled_places_nothing_is_found():
    """The continent goes with the name of the place: a continent of the genomes' own would be found
    again in groups that happen to hold more of it.
    """
    data, z = tree(), []
    for seed in range(3):
        place = np.random.default_rng(seed).permutation(data.table["place"])
        _, found = fit(
            "gmna",
            replace(data, table=data.table.assign(place=place, continent=[p[:2] for p in place])),
            k=6,
            within="continent",
        )
        assert figure(found, "accuracy") < 0.3
        z.append(figure(found, "errors that stay within one continent: z") or 0.0)
    assert abs(np.mean(z)) < 2.0


def test_twins_cannot_be_told_apart():
    data = tree()
    place = data.table["place"].to_numpy().copy()
    ones = np.flatnonzero(place == "g00")
    place[ones[::2]] = "twin"  # one population under two names
    _, found = fit("gmna", replace(data, table=data.table.assign(place=place)), k=6)
    net, grid = network(found), found["grid-indistinguishable"]
    a, b = net.names.index("g00"), net.names.index("twin")
    weight = _network.error_rates(net.source, net.target, len(net.names))
    assert weight[a].argmax() == b
    assert weight[b].argmax() == a
    assert grid.value[a, b] > 0.25
    assert grid.value[a, b] == np.nanmax(grid.value)


def test_rewiring_keeps_every_strength_and_leads_no_one_home():
    rng = np.random.default_rng(0)
    source = rng.integers(0, 6, 500)
    target = (source + rng.integers(1, 6, 500)) % 6
    other = _network.rewire(source, target, rng)
    assert (other != source).all()
    np.testing.assert_array_equal(np.bincount(other, minlength=6), np.bincount(target, minlength=6))
    assert (other != target).mean() > 0.5


@pytest.mark.soak(only=True)
def test_a_small_convolutional_network_learns_the_places_too():
    _, found = fit("gmna", sample("genomes"), model="network", epochs=12, k=6)
    assert figure(found, "accuracy") > 0.6
    net = network(found)
    assert (net.source != net.target).all()


def test_groups_too_small_and_columns_not_there_are_said():
    with pytest.raises(UserError, match="no such column"):
        fit("gmna", tree(), by="planet")
    with pytest.raises(UserError, match="a network needs three"):
        fit("gmna", tree(), by="continent")
    with pytest.raises(UserError, match="a network needs three"):
        fit("gmna", tree(), least=1000)
