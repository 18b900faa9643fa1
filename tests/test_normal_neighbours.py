"""The nearest normal cases of a case, and how far they are beside what is usual."""

import numpy as np
import pytest

from core.artifacts import Embedding
from core.explain.normal_neighbours import find_normal_neighbours


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
