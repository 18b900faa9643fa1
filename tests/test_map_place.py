"""What puts a case there: known pushes are found with their direction, and chance is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from core.artifacts import Embedding, Map
from core.data.dataset import Dataset
from core.errors import UserError
from core.explain.attribution import Question, attribute
from core.explain.latent_place import explain_by_axes, find_way
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


def bent(seed=0, n=400):
    """Pictures of 8 x 8 of which two places matter: their brightness is the two latent axes, bent
    onto the map.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (n, 1, 8, 8)).astype("f4")
    z = np.stack([x[:, 0, 2, 2], x[:, 0, 5, 6], rng.uniform(size=n)], 1).astype("f4")
    data = Dataset("bent", "image", pd.DataFrame({"n": rng.random(n)}), x)
    made = Map(
        rows=data.rows, xy=np.stack([z[:, 0] ** 2, np.sqrt(z[:, 1])], 1), how="umap", scores={}
    )
    return data, Embedding(rows=data.rows, z=z), made


class Reads:
    """A model whose latent axes are two places of a picture, and one that is always 0."""

    abilities, classes, gradients, slicewise = ("embed",), (), True, False

    def nets(self):
        return []

    def embed(self, x):
        return torch.stack([x[:, 0, 2, 2], x[:, 0, 5, 6], 0 * x[:, 0, 0, 0]], 1)


def test_latent_axes_place_cases_with_intervals():
    data, space, made = bent()
    row = int(np.argmax(space.z[:, 0] + space.z[:, 1]))
    found = explain_by_axes(made, space, data, row)
    assert not found.why
    assert found.low > 0.8
    assert {p.column for p in found.pushes[:2]} == {"axis 1", "axis 2"}
    push = {p.column: p for p in found.pushes}
    assert (push["axis 1"].direction, push["axis 2"].direction) == ("right", "up")
    assert 0 < push["axis 1"].low < push["axis 1"].size < push["axis 1"].high
    assert push["axis 3"].low < 0, "what says nothing might push either way"


def test_a_map_by_components_is_its_own_surrogate():
    data, space, _ = bent()
    turn = np.array([[1.0, 0.5], [-0.3, 2.0], [0.2, 0.1]])
    made = Map(rows=data.rows, xy=np.asarray(space.z) @ turn, how="pca", scores={})
    row = int(np.argmax(made.xy[:, 0]))
    way = find_way(made, space, data, row)
    xy = (made.xy - made.xy.min(0)) / np.ptp(made.xy, axis=0)
    near = np.argsort(np.square(xy - xy[row]).sum(1))[:80]
    toward = xy[row] - xy[near].mean(0)
    along = (np.asarray(space.z)[row] - way.middle) @ way.slope
    assert along == pytest.approx(np.hypot(*toward), rel=0.02)


@pytest.mark.parametrize("how", ["gradient_x_input", "integrated_gradients", "occlusion"])
def test_the_heat_of_a_place_is_where_the_picture_decides_it(how):
    data, space, made = bent()
    row = int(np.argmax(space.z[:, 0] + space.z[:, 1]))
    ask = Question(space=space, way=find_way(made, space, data, row))
    rows = np.array([row])
    found = attribute(Reads(), data, rows, how, f"place {row}", ask=ask)
    heat = np.asarray(found.value)[0, 0]
    assert {(2, 2), (5, 6)} <= {divmod(int(i), 8) for i in np.argsort(-heat.ravel())[:8]}
    assert heat[2, 2] > 0
    assert heat[5, 6] > 0
    if how != "occlusion":
        rest = np.delete(heat.ravel(), [18, 46])
        assert np.abs(rest).max() < 1e-6
    with pytest.raises(UserError, match="nothing this model can be asked"):
        attribute(Reads(), data, rows, how, f"place {row + 1}", ask=ask)


def test_where_the_latent_space_foretells_no_place_there_is_no_way():
    data, space, made = bent()
    lost = replace(made, xy=np.random.default_rng(3).normal(size=made.xy.shape))
    assert "does not foretell" in explain_by_axes(lost, space, data, 5).why
    with pytest.raises(UserError, match="does not foretell"):
        find_way(lost, space, data, 5)
