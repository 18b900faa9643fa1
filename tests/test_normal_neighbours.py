"""The nearest normal cases of a case, and how far they are beside what is usual."""

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.explain.normal_neighbours import (
    embed_grey_levels,
    embed_values,
    find_normal_neighbours,
)


def line(metric="euclidean") -> Embedding:
    """Rows 10..19 at 0, 1, .. 9 on a line, row 20 far away."""
    z = np.r_[np.arange(10), 30.0][:, None] * np.ones((1, 2)) / np.sqrt(2)
    return Embedding(rows=np.arange(10, 21), z=z.astype("f4"), metric=metric)


def test_the_nearest_come_first_with_their_distance_and_what_is_usual():
    found = find_normal_neighbours(line(), 20, np.arange(10, 20), k=2)
    assert found.rows.tolist() == [19, 18]
    assert found.distance == pytest.approx([21, 22], rel=1e-5)
    assert found.usual == pytest.approx(1, rel=1e-4)
    assert found.among == 10


def test_a_case_and_others_of_its_patient_are_no_neighbours():
    own = find_normal_neighbours(line(), 12, np.arange(10, 20), k=2)
    assert set(own.rows) == {11, 13}
    patient = np.array(["a", "b", "b", "b", *"cdefgh", "i"], dtype=object)
    found = find_normal_neighbours(line(), 12, np.arange(10, 20), patient, k=2)
    assert found.rows.tolist() == [10, 14]
    assert found.among == 7


def test_without_normal_cases_or_place_nothing_is_claimed():
    assert not len(find_normal_neighbours(line(), 20, np.zeros(0, int)).rows)
    assert not len(find_normal_neighbours(line(), 99, np.arange(10, 20)).rows)
    one = find_normal_neighbours(line(), 20, np.array([10]))
    assert one.rows.tolist() == [10]
    assert np.isnan(one.usual)


def test_distances_of_a_cosine_space_are_those_of_unit_vectors():
    z = np.array([[1, 0], [0, 5], [7, 7]], "f4")
    found = find_normal_neighbours(
        Embedding(rows=np.arange(3), z=z, metric="cosine"), 0, np.array([1, 2]), k=2
    )
    assert found.rows.tolist() == [2, 1]
    assert found.distance == pytest.approx([np.sqrt(2 - np.sqrt(2)), np.sqrt(2)])


def test_values_of_a_table_are_measured_by_their_spread_among_training_rows():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(0, 1, 80), rng.normal(0, 1000, 80), np.full(80, 7.0)], 1)
    x[5, 0] = np.nan
    x[79] = [50.0, 0.0, 9.0]  # a test row far out in what varies little
    table = pd.DataFrame({"split": ["train"] * 60 + ["test"] * 20})
    data = Dataset(
        "t", "table", table, x.astype("f4"), roles={"split": "split"}, features=("a", "b", "c")
    )
    z = np.asarray(embed_values(data).z)
    assert z[:60].std(0)[:2] == pytest.approx([1, 1], abs=0.3)
    assert z[5, 0] == 0
    assert not z[:, 2].any(), "what does not vary in training tells nothing"
    assert z[79, 0] > 30
    near = find_normal_neighbours(embed_values(data), 79, np.arange(60), k=1)
    by_hand = np.square(z[:60] - z[79]).sum(1).argmin()
    assert near.rows.tolist() == [by_hand]


@pytest.mark.parametrize(
    ("kind", "shape", "places"),
    [
        ("image", (2, 40, 32), 2 * 16 * 16),
        ("image", (1, 8, 20), 8 * 16),
        ("volume", (1, 10, 16, 12), 8 * 8 * 8),
        ("series", (3, 200), 3 * 64),
    ],
)
def test_pictures_without_a_latent_space_are_compared_by_their_means_at_places(kind, shape, places):
    rng = np.random.default_rng(0)
    x = rng.random((6, *shape)).astype("f4")
    table = pd.DataFrame({"split": ["train"] * 6})
    data = Dataset("t", kind, table, x, roles={"split": "split"})
    found = embed_grey_levels(data)
    assert found.z.shape == (6, places)
    assert found.rows.tolist() == data.rows.tolist()
    even = [s % min(s, {1: 64, 2: 16, 3: 8}[len(shape) - 1]) == 0 for s in shape[1:]]
    if all(even):
        assert found.z.mean(1) == pytest.approx(data.inputs().reshape(6, -1).mean(1), rel=1e-4)
    first = found.z[:, 0]
    corner = tuple(slice(0, s // min(s, {1: 64, 2: 16, 3: 8}[len(shape) - 1])) for s in shape[1:])
    here = data.inputs()[(slice(None), 0, *corner)].reshape(6, -1).mean(1)
    assert first == pytest.approx(here, rel=1e-4)


def test_tables_have_no_places():
    data = Dataset("t", "table", pd.DataFrame({"a": range(3)}), np.zeros((3, 2), "f4"))
    with pytest.raises(ValueError, match="no places"):
        embed_grey_levels(data)
