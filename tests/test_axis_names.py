"""Axes are named by what they follow: known factors are found, chance is not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import rankdata

import lightbox
from core.artifacts import Embedding
from core.errors import UserError
from core.explain.axis_names import _ranker, measure_pictures, name_axes
from core.workspace import notes


@cache
def phantom():
    return lightbox.sample("head-phantom")


def space(*columns, noise=0.0, seed=0):
    """An embedding whose axes are these numbers, with noise."""
    data = phantom()
    z = np.stack([np.asarray(c, dtype=float) for c in columns], 1)
    z = (z - z.mean(0)) / z.std(0)
    z += noise * np.random.default_rng(seed).normal(size=z.shape)
    return Embedding(rows=data.rows, z=z.astype("f4"))


def test_known_factors_of_the_phantom_are_found_with_sign_and_interval():
    data = phantom()
    frame = data.frame
    made = space(
        frame["ventricle size"], -frame["tilt"], frame["scanner"] == "B", frame["level"], noise=0.5
    )
    size, tilt, scanner, level = name_axes(made, data)
    assert size.column == "ventricle size"
    assert size.low < size.value < size.high
    assert size.value > 0.7
    assert tilt.column == "tilt"
    assert tilt.value < -0.7
    assert (scanner.column, scanner.statistic, scanner.of) == ("scanner", "AUROC", "B")
    assert level.column == "level"
    assert size.n == int((data.splits != "train").sum())
    assert size.words.startswith("ventricle size, ρ = 0.")


def test_axes_of_principal_components_follow_what_moves_the_pictures():
    fit = lightbox.fit("pca", phantom(), dimensions=8)
    found = {a.column: a for a in lightbox.axis_names(fit) if a is not None}
    assert found["tilt"].low > 0.7
    assert "brightness of the picture" in found


@pytest.mark.parametrize("seed", range(3))
def test_chance_gets_no_name(seed):
    data = phantom()
    rng = np.random.default_rng(seed)
    noise = Embedding(rows=data.rows, z=rng.normal(size=(len(data), 8)).astype("f4"))
    assert name_axes(noise, data) == [None] * 8
    # the same for every slice of a patient, as what a patient is born with: no more chance of it
    _, of = np.unique(data.groups.astype(str), return_inverse=True)
    each = rng.normal(size=(of.max() + 1, 8)).astype("f4")[of]
    assert name_axes(Embedding(rows=data.rows, z=each), data) == [None] * 8


def test_several_categories_have_eta_squared():
    data = lightbox.sample("digits")
    fit = lightbox.fit("pca", data, dimensions=2)
    first = name_axes(fit.embedding, data)[0]
    assert (first.column, first.statistic) == ("digit", "η²")
    assert 0.5 < first.low < first.value < first.high < 1
    few = replace(fit.embedding, rows=data.rows[:12], z=np.asarray(fit.embedding.z)[:12])
    assert name_axes(few, data) == [None, None], "too few cases say nothing"


def test_ranks_among_some_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=50), rng.integers(0, 4, 50), np.ones(50)):
        rank = _ranker(x)
        for many in (50, 30, 1):
            i = rng.permutation(50)[:many]
            np.testing.assert_array_equal(rank(i), rankdata(x[i]))


def test_measures_of_pictures_are_what_they_are_called():
    data = phantom().take(np.arange(4))
    x = np.zeros((4, 1, 64, 64), np.uint8)
    x[0, 0, :16, :16], x[1, 0, 48:, 48:] = 255, 255
    x[2], x[3, 0, :, :32] = 128, 255
    value = {
        c.name: c.values
        for c in measure_pictures(
            replace(data, samples=x, at=None, table=data.frame.reset_index(drop=True))
        )
    }
    assert value["brightness of the picture"][2] == pytest.approx(0.5, abs=0.01)
    assert value["contrast of the picture"][2] == 0
    down, across = (v for k, v in value.items() if "0 =" in k)
    assert down[0] < 0.2 < 0.8 < down[1]
    assert across[0] < 0.2 < 0.8 < across[1]
    assert value["size of the bright area"][3] == pytest.approx(0.5)


def test_people_name_axes_and_take_it_back(own_workspace):
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    ws = Workspace()
    ws.add(lightbox.sample("breast-cancer"), sample=True)
    run = queue.wait(ws, queue.train(ws, "breast-cancer", "pca", {"dimensions": 3}).id).id
    notes.name_axis(ws, run, 0, "size of nuclei")
    notes.name_axis(ws, run, 1, "edges")
    assert notes.load_axis_names(ws, run) == {0: "size of nuclei", 1: "edges"}
    assert notes.undo_axis_name(ws, run)
    assert notes.load_axis_names(ws, run) == {0: "size of nuclei"}
    notes.name_axis(ws, run, 0, "")
    assert notes.load_axis_names(ws, run) == {}
    assert notes.undo_axis_name(ws, run)
    assert notes.undo_axis_name(ws, run)
    assert not notes.undo_axis_name(ws, run)
    with pytest.raises(UserError):
        notes.name_axis(ws, run, 0, "a/b\\c" * 40)
