"""Set A against set B: what tells them apart is found, what is alike is not, and cases of both
stand on neither side.
"""

import numpy as np
import pytest

from core.artifacts import Embedding
from core.columns import Column
from core.explain.set_differences import (
    compare_columns,
    latent_columns,
    measure_mixing,
    most_typical,
    part_sets,
)

ROWS = np.arange(0, 400, 2)  # ids are no positions


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    a, b = ROWS[:60], ROWS[60:120]
    z = rng.normal(size=(200, 6)).astype("f4")
    z[:60, 2] += 8
    age = rng.normal(50, 10, 200)
    age[:60] += 20
    sex = np.array(["F", "M"], dtype=object)[rng.integers(0, 2, 200)]
    ward = np.array(["x", "y"], dtype=object)[(np.arange(200) >= 50).astype(int)]
    columns = [
        Column("age", age, "amount", "data"),
        Column("sex", sex, "category", "data"),
        Column("ward", ward, "category", "data"),
    ]
    return columns, Embedding(rows=ROWS, z=z), a, b


def test_cases_of_both_stand_on_neither_side():
    a, b, both = part_sets(np.array([5, 1, 3]), np.array([3, 9]))
    assert (a.tolist(), b.tolist(), both.tolist()) == ([1, 5], [9], [3])


def test_columns_that_differ_are_found_with_their_sizes(world):
    columns, _, a, b = world
    found = {d.name: d for d in compare_columns(columns, ROWS, a, b)}
    assert list(found) == ["ward", "age", "sex"], "all of them, by effect"
    assert found["age"].effect > 0.6
    assert found["age"].q < 1e-6
    assert found["age"].n == (60, 60)
    assert "higher: typically" in found["age"].words
    assert "in A" in found["age"].words
    assert "in B" in found["age"].words
    assert found["sex"].q > 0.05
    # swapped, the same effect the other way round
    other = {d.name: d for d in compare_columns(columns, ROWS, b, a)}
    assert other["age"].effect == pytest.approx(-found["age"].effect)
    assert other["age"].q == pytest.approx(found["age"].q)


def test_the_axis_and_the_distance_in_the_latent_space(world):
    _, space, a, b = world
    axes = compare_columns(latent_columns(space, ROWS), ROWS, a, b)
    assert axes[0].name == "latent axis 3"
    assert axes[0].effect == pytest.approx(1.0)
    one, other = measure_mixing(space, a, b)
    assert one.own == pytest.approx(1.0, abs=0.01)
    assert other.own == pytest.approx(1.0, abs=0.01)
    assert one.chance == pytest.approx(59 / 119)
    apart = measure_mixing(space, ROWS[60:120], ROWS[120:])
    for mixed in apart:
        assert mixed.own == pytest.approx(mixed.chance, abs=0.12), "drawn from one cloud"
        assert mixed.interval.low < mixed.own < mixed.interval.high
    assert measure_mixing(space, a, b[:2]) is None


def test_typical_cases_lie_in_the_middle(world):
    _, space, a, _ = world
    z = np.asarray(space.z)[:60]
    first = most_typical(space, a, 3)[0]
    assert first == a[np.argmin(np.linalg.norm(z - z.mean(0), axis=1))]
