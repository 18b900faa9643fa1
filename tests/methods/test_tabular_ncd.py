"""Novel class discovery on the digits as a table."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from core.errors import UserError
from core.stats.cluster_agreement import accuracy
from tests.benchmarks.bench_tabular_ncd import digits_table, kmeans
from tests.methods._fit import fit, sample
from tests.soak import longer

NOVEL = "0,3,5,6,7"
EPOCHS = longer(5, 120)


@cache
def found():
    data = digits_table()
    return data, fit("tabular_ncd", data, novel=NOVEL, tune=False, epochs=EPOCHS)


def hidden(data):
    return np.isin(data.labels, [int(c) for c in NOVEL.split(",")])


@pytest.mark.soak(only=True)
def test_hidden_digits_are_found_about_as_well_as_by_k_means_that_is_told_their_number():
    data, (_, given) = found()
    test = hidden(data) & (data.splits == "test")
    assert (
        accuracy(given["clusters-groups"].label[test], data.labels[test])
        > kmeans(data.inputs() / 16, data, hidden(data)) - 0.1
    )


@pytest.mark.soak(only=True)
def test_their_number_is_estimated_within_one():
    _, (_, given) = found()
    assert abs(sum(not k for k in given["clusters-groups"].known) - 5) <= 1


@pytest.mark.soak(only=True)
def test_known_digits_keep_their_class_and_are_named_right_when_unseen():
    data, (_, given) = found()
    said, held = given["predictions-known"], ~hidden(data) & (data.splits == "test")
    assert (
        np.mean(
            [
                said.classes[j] == data.classes[c]
                for j, c in zip(said.prob[held].argmax(1), data.labels[held])
            ]
        )
        > 0.9
    )
    groups = given["clusters-groups"]
    assert (groups.label[~hidden(data)] < len(said.classes)).all()


def test_labels_of_novel_classes_are_never_used():
    from dataclasses import replace

    data, (_, given) = found()
    table = data.table.copy()
    label = data.roles["label"]
    rows = np.flatnonzero(hidden(data))
    table.loc[table.index[rows], label] = np.random.default_rng(0).permutation(
        table.loc[table.index[rows], label].to_numpy()
    )
    _, again = fit(
        "tabular_ncd", replace(data, table=table), novel=NOVEL, tune=False, epochs=EPOCHS
    )
    np.testing.assert_allclose(again["embedding-latent"].z, given["embedding-latent"].z, atol=1e-5)


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(UserError, match="unheard"):
        fit("tabular_ncd", sample("breast-cancer"), novel="unheard")
