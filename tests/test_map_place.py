"""What puts a case there: known pushes are found with their direction, and chance is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Map
from core.data.dataset import Dataset
from core.explain.map_place import explain_place


def table(seed=0, n=400):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype("f4")
    frame = pd.DataFrame(x, columns=list("abcd"))
    frame["kind"] = np.where(rng.random(n) < 0.5, "one", "two")
    return Dataset("t", "table", frame, x, features=tuple("abcd"))


def drawn(data, xy):
    return Map(rows=data.rows, xy=np.asarray(xy, dtype="f4"), how="pca", scores={})


def test_the_columns_that_place_cases_are_found_with_their_direction():
    data = table()
    a, b = data.samples[:, 0], data.samples[:, 1]
    made = drawn(data, np.stack([a, -b], 1))
    row = int(np.argmax(a + b))  # far to the right, far down
    found = explain_place(made, data, row)
    assert not found.why
    assert found.low > 0.8
    push = {p.column: p for p in found.pushes}
    assert {p.column for p in found.pushes[:2]} == {"a", "b"}
    assert push["a"].direction == "right"
    assert push["b"].direction == "down"
    assert push["c"].size < 0.1 * push["a"].size
    # together they lead from the middle of the surroundings to the case
    xy = (np.asarray(made.xy) - made.xy.min(0)) / np.ptp(made.xy, axis=0)
    near = np.argsort(np.square(xy - xy[row]).sum(1))[: found.n]
    steps = np.sum([p.step for p in found.pushes], 0)
    np.testing.assert_allclose(steps, xy[row] - xy[near].mean(0), atol=0.02)


def test_columns_that_say_the_same_speak_once():
    data = table()
    twice = data.table.assign(again=data.table["a"] + 0.01 * data.table["d"])
    data = replace(data, table=twice)
    made = drawn(data, data.samples[:, :2])
    row = int(np.argmax(data.samples[:, 0]))
    first = explain_place(made, data, row).pushes[0]
    assert first.column == "a with again"
    assert first.direction == "right"


@pytest.mark.parametrize("seed", range(5))
def test_a_map_that_no_column_foretells_says_nothing(seed):
    data = table(seed)
    made = drawn(data, np.random.default_rng(seed + 50).normal(size=(len(data), 2)))
    found = explain_place(made, data, 3)
    assert not found.pushes
    assert "does not foretell" in found.why
    assert found.fit < 0.3


def test_few_cases_and_maps_of_three_axes_are_refused():
    data = table(n=30)
    assert "at least" in explain_place(drawn(data, data.samples[:, :2]), data, 3).why
    assert "two axes" in explain_place(drawn(data, data.samples[:, :3]), data, 3).why
