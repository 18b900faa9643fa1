"""Planes and paths through latent space where what lies on them is known."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.explain import paths, plane, traversal
from core.imaging.palette import PAGES, WHITE, rgb
from core.report.plane_figure import plane_figure
from core.workspace.workspace import Workspace
from tests.app.test_cli import refused, told
from tests.methods._fit import on_digits, sample


class Copy:
    """A model whose picture of a place is the place."""

    abilities, classes = ("embed", "decode", "predict"), ["left", "right"]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z.clone()

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        right = torch.sigmoid(5 * (x[:, 0] - 0.5))
        return torch.stack([1 - right, right], 1)


def made(n: int = 200) -> tuple[Dataset, Embedding]:
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(n, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 2.0]])).astype("f4")
    table = pd.DataFrame(
        {
            "age": 50 + 3 * z[:, 0] - 2 * z[:, 2],
            "noise": rng.normal(size=n),
            "sex": np.where(z[:, 1] > 0, "F", "M"),
            "split": np.where(np.arange(n) % 4, "train", "test"),
        }
    )
    data = Dataset("made", "table", table, z, roles={"split": "split"}, features=("a", "b", "c"))
    return data, Embedding(rows=data.rows, z=z)


def test_a_path_along_a_linear_column_leads_from_its_low_to_its_high_value():
    data, embedding = made()
    line = paths.fit_column(data, embedding, "age")
    assert line.r2 == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(line.weights, [3, 0, -2], atol=0.02)
    # the mean change of the latent with the column: covariance over variance, not the weights
    cov = np.cov(np.asarray(embedding.z)[data.splits == "train"].T, bias=True)
    w = np.array([3, 0, -2.0])
    np.testing.assert_allclose(line.slope, cov @ w / (w @ cov @ w), atol=2e-3)
    path = paths.traverse_column(Copy(), data, embedding, 7, "age", 5)
    ages = 50 + path.frames @ w
    np.testing.assert_allclose(ages, path.value, atol=0.05)
    train = data.part("train").frame["age"]
    assert (path.value[0], path.value[-1]) == pytest.approx(tuple(train.quantile([0.05, 0.95])))
    assert "R² on held-out cases 1.00" in path.axis
    assert "read nothing into" in paths.traverse_column(Copy(), data, embedding, 7, "noise").axis
    with pytest.raises(UserError, match="no column of numbers"):
        paths.fit_column(data, embedding, "sex")


def test_a_path_between_means_ends_at_the_means():
    data, embedding = made()
    path = paths.traverse_means(Copy(), data, embedding, "sex", "F", "M", 4)
    train = (data.splits == "train") & (data.frame["sex"] == "F").to_numpy()
    np.testing.assert_allclose(path.path[0], np.asarray(embedding.z)[train].mean(0), atol=1e-5)
    assert len(path.rows) == 0
    with pytest.raises(UserError, match="No case has “X”"):
        paths.traverse_means(Copy(), data, embedding, "sex", "F", "X")
    with pytest.raises(UserError, match="no column of a few words"):
        paths.traverse_means(Copy(), data, embedding, "age", "1", "2")
    assert paths.path_columns(data) == (["age", "noise"], ["sex"])


def test_a_walk_passes_every_case_and_goes_around_empty_space():
    # a ring of cases: straight from one side to the other leads over its empty middle
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1).astype("f4")
    table = pd.DataFrame({"split": ["train"] * 80})
    data = Dataset("ring", "table", table, ring, roles={"split": "split"}, features=("a", "b", "c"))
    embedding = Embedding(rows=data.rows, z=ring)
    straight = paths.traverse_through(Copy(), data, embedding, [0, 38, 60], 9)
    around = paths.traverse_through(Copy(), data, embedding, [0, 38, 60], 9, between=True)
    for path in (straight, around):
        for row in (0, 38, 60):
            assert (path.path == ring[row]).all(1).any(), "the case itself is a step"
        assert (path.value[0], path.value[-1]) == (0, pytest.approx(1))
        assert (np.diff(path.value) > 0).all()
    assert np.linalg.norm(straight.path, axis=1).min() < 0.3
    assert np.linalg.norm(around.path, axis=1).min() > 0.98
    assert len(straight.path) == 9
    way = paths.shortest_way(embedding, 0, 38)
    assert way == sorted(way)
    assert (way[0], way[-1]) == (0, 38)
    with pytest.raises(UserError, match="at least two"):
        paths.traverse_through(Copy(), data, embedding, [0], 9)


def test_two_islands_have_no_way_between_them():
    z = np.concatenate([np.zeros((12, 2)), np.ones((12, 2)) * 50]) + np.arange(24)[:, None] * 1e-3
    embedding = Embedding(rows=np.arange(24), z=z.astype("f4"))
    assert paths.shortest_way(embedding, 0, 23) == [0, 23]


def test_at_the_corners_of_a_plane_stand_the_reconstructions():
    model, given = on_digits("gaussian_vae", epochs=6, latent=6, width=8)
    data, embedding = sample("digits"), given["embedding-latent"]
    rows = (3, 17, 40)
    found = plane.plane_of_cases(model, data, embedding, rows)
    assert [c[0] for c in found.cases] == list(rows)
    assert found.frames.shape == (7, 7, 1, 8, 8)
    assert found.distance.shape == found.output.shape[:2] == (25, 25)
    for row, i, j in found.cases:
        own = traversal.decode(model, np.asarray(embedding.z[row])[None])[0]
        np.testing.assert_allclose(found.frames[j, i], own, atol=1e-6)
        np.testing.assert_allclose(
            found.frames[j, i], given["images-reconstruction"].image[row], atol=1e-5
        )
        said = model.predict(torch.from_numpy(own[None])).detach().numpy()[0]
        np.testing.assert_allclose(found.output[j * 4, i * 4], said, atol=1e-5)
    corner = embedding.z[3] - 0.25 * (embedding.z[17] - embedding.z[3])
    corner = corner - 0.25 * (embedding.z[40] - embedding.z[3])
    np.testing.assert_allclose(
        found.frames[0, 0], traversal.decode(model, corner[None])[0], atol=1e-5
    )
    with pytest.raises(UserError, match="three different"):
        plane.plane_of_cases(model, data, embedding, (3, 3, 40))
    png = plane_figure(data, found, model.classes, stamp="digits, run x")
    corner = {
        dark: Image.open(io.BytesIO(plane_figure(data, found, model.classes, dark=dark)))
        .convert("RGB")
        .getpixel((2, 2))
        for dark in (False, True)
    }
    assert corner == {False: rgb(WHITE), True: rgb(PAGES["dark"])}
    picture = np.asarray(Image.open(io.BytesIO(png)))[..., :3]
    orange = (np.abs(picture.astype(int) - (230, 159, 0)) < 30).all(-1)
    assert orange.sum() > 49 * 20, "every picture says GENERATED"


def test_two_axes_meet_where_the_case_is():
    model, given = on_digits("pca", dimensions=6)
    data, embedding = sample("digits"), given["embedding-latent"]
    found = plane.plane_of_axes(model, data, embedding, 5, (0, 3))
    ((row, i, j),) = found.cases
    assert row == 5
    np.testing.assert_allclose(
        found.frames[j, i], given["images-reconstruction"].image[5], atol=1e-5
    )
    assert found.titles == ("component 1", "component 4")
    assert found.output is None
    moved = traversal.set_coordinate(embedding, np.asarray(embedding.z[5]), 0, found.x[0])
    np.testing.assert_allclose(
        found.frames[j, 0], traversal.decode(model, moved[None])[0], atol=1e-5
    )


def test_a_plane_of_a_table_has_borders_and_no_pictures():
    data, embedding = made()
    found = plane.plane_of_cases(Copy(), data, embedding, (0, 1, 2))
    assert found.frames.shape == (7, 7, 3)
    assert len(plane_figure(data, found, Copy.classes)) > 5000


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("paths")))
        kept = Workspace()
        kept.add(make_sample("head-phantom").take(np.arange(240)), True)
        yield kept


def test_commands_and_pages(ws, tmp_path):
    run = told("train", "head-phantom", "pca", "-p", "dimensions=6")["run"]
    flat = told("traverse", run, "--row", 4, "--plane", "9, 40", "--to-dir", tmp_path / "plane")
    assert flat["cases"] == [4, 9, 40]
    assert {p.name for p in (tmp_path / "plane").iterdir()} == {"plane.png", "plane.json"}
    assert json.loads((tmp_path / "plane" / "plane.json").read_text())["generated"]
    told("traverse", run, "--row", 4, "--plane", "axes:1,2", "--to-dir", tmp_path / "axes")
    along = told("traverse", run, "--row", 4, "--column", "tilt", "--to-dir", tmp_path / "tilt")
    assert along["axis"].startswith("tilt from low to high (R²")
    means = told(
        "traverse", run, "--row", 4, "--column", "scanner=A..B", "--to-dir", tmp_path / "ab"
    )
    assert "“A”" in means["axis"]
    walk = told(
        "traverse", run, "--row", 4, "--through", "9,40", "--between", "--steps", 6,
        "--to-dir", tmp_path / "walk",
    )  # fmt: skip
    assert len(walk["values"]) >= 6
    for args, said in (
        (["--plane", "9"], "two other cases"),
        (["--plane", "axes:1,9"], "axes 1 to 6"),
        (["--plane", "4,9"], "three different"),
        (["--column", "patient"], "no column of numbers"),
        (["--column", "scanner=A"], "COLUMN=ONE..OTHER"),
        (["--between"], "goes with --through"),
        (["--through", "9", "--plane", "9,40"], "one of"),
    ):
        assert said in refused("traverse", run, "--row", 4, *args, "--to-dir", tmp_path / "no")
    for way in ("on_a_plane", "along_a_column"):
        _draw(run, way)


def _draw(run: str, way: str) -> None:
    from streamlit.testing.v1 import AppTest

    def page(run: str, way: str) -> None:
        from app import state
        from app.panels import latent_paths

        state.adopt_url()
        state.open_run(run)
        context = state.context()
        assert context is not None
        getattr(latent_paths, way)(context, 4)

    at = AppTest.from_function(page, args=(run, way), default_timeout=120).run()
    assert not at.exception, way
    assert not at.error, way
