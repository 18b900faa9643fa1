"""Counterfactuals where the smallest change is known, of real models, and asked for everywhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import lightbox
from core.artifacts import Counterfactual, Embedding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.errors import Cancelled, UserError
from core.explain._column_flips import list_fields
from core.explain.counterfactual import find_counterfactual, list_free_columns
from core.imaging import changes
from core.jobs import queue
from core.jobs.counterfactual import make_spec
from core.workspace.workspace import Workspace
from tests.app.test_cli import refused, told
from tests.methods._fit import fit, on_digits, sample


class Linear:
    """Pictures that are linear in a latent of `d` axes, and a class linear in that latent."""

    gradients, slicewise, classes = True, False, ["no", "yes"]
    abilities = ("embed", "decode", "predict")
    SCALE = 80.0  # pictures stand in [0, 1]

    def __init__(self, d: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.basis = torch.from_numpy(np.linalg.qr(rng.normal(size=(16, d)))[0].T).float()
        self.weight, self.bias = torch.from_numpy(rng.normal(size=d)).float(), -2.0

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) - 0.5) * self.SCALE @ self.basis.T

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ self.basis).view(len(z), 1, 4, 4) / self.SCALE + 0.5

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        yes = torch.sigmoid(self.embed(x) @ self.weight + self.bias)
        return torch.stack([1 - yes, yes], 1)


def linear(seed: int = 0, axes: int = 5) -> tuple[Linear, Dataset, Embedding]:
    model = Linear(axes, seed)
    scales = np.linspace(0.5, 2, axes)
    z = (np.random.default_rng(seed).normal(size=(400, axes)) * scales).astype("f4")
    x = model.decode(torch.from_numpy(z)).numpy()
    split = pd.DataFrame({"split": np.where(np.arange(len(z)) % 4, "train", "test")})
    data = Dataset("made", "image", split, x, roles={"split": "split"})
    return model, data, Embedding(rows=data.rows, z=z)


@pytest.mark.parametrize("seed", range(3))
def test_of_a_linear_model_the_change_is_that_of_the_closed_form(seed):
    model, data, embedding = linear(seed)
    z = np.asarray(embedding.z, float)
    sd = z[data.splits == "train"].std(0)
    w, b = model.weight.double().numpy(), model.bias
    # the nearest point of the plane w z + b = 0, distance counted in training deviations
    distance = -(z @ w + b) / np.linalg.norm(w * sd)
    some = np.flatnonzero(distance > 0.2)
    for row in some[np.argsort(distance[some])][:60:12]:
        made = find_counterfactual(model, data, embedding, int(row), "class yes")
        assert made.found
        assert made.moved == pytest.approx(distance[row], abs=2e-3)
        end = z[row] + distance[row] * (w * sd**2) / np.linalg.norm(w * sd)
        expected = model.decode(torch.from_numpy(end[None].astype("f4"))).numpy()[0]
        np.testing.assert_allclose(made.after, expected, atol=2e-4)
        assert made.answer[1] == pytest.approx(0.5, abs=1e-3)
        assert made.others == ["no", "yes"]


def test_a_place_where_no_case_is_does_not_count():
    model, data, embedding = linear(0)
    model.bias = -14.0  # no real case is there, but the plane is within reach of the walk
    far = find_counterfactual(model, data, embedding, 0, "class yes")
    assert not far.found
    assert "no real case is near" in far.said
    assert far.near == -1
    assert np.array_equal(far.before, far.after)


class Rule:
    """A table model that looks at one column alone."""

    gradients, slicewise, classes, abilities = False, False, ["low", "high"], ("predict",)

    def __init__(self, at: int, limit: float) -> None:
        self.at, self.limit = at, limit

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.sigmoid(8 * (x[:, self.at].nan_to_num(0.0) - self.limit))
        return torch.stack([1 - high, high], 1)


def table(n: int = 300) -> Dataset:
    rng = np.random.default_rng(3)
    colour = rng.choice(["red", "green", "blue"], n)
    frame = pd.DataFrame(
        {
            "patient": [f"P{i // 2}" for i in range(n)],
            "split": np.where(np.arange(n) % 3, "train", "test"),
            "age": rng.integers(20, 90, n).astype(float),
            "pressure": rng.normal(120, 15, n).round(),
            "colour": colour,
        }
    )
    words = ("blue", "green", "red")
    x = np.column_stack(
        [frame["age"], frame["pressure"], *[(colour == w).astype(float) for w in words]]
    ).astype("f4")
    x[5, 0] = np.nan
    features = ("age", "pressure", *(f"colour={w}" for w in words))
    roles = {"group": "patient", "split": "split"}
    return Dataset("made", "table", frame, x, roles=roles, features=features)


def test_where_one_column_decides_it_alone_changes_to_the_nearest_real_value():
    data, model = table(), Rule(1, 130.5)
    row = int(data.rows[np.asarray(data.samples)[:, 1] < 120][0])
    made = find_counterfactual(model, data, None, row, "class high")
    real = data.part("train").inputs()[:, 1]
    assert [f["field"] for f in made.fields] == ["pressure"]
    assert float(made.fields[0]["after"]) == real[real > 130.5].min()
    assert np.array_equal(np.delete(made.after, 1), np.delete(made.before, 1))
    assert made.others == ["low", "high"]
    assert made.near not in data.rows[data.groups == data.groups[row]]
    assert data.samples[made.near, 1] > 130.5


def test_categories_change_as_a_whole_and_missing_values_are_named():
    data = table()
    assert [f.name for f in list_fields(data)] == ["age", "pressure", "colour"]
    row = int(np.flatnonzero(data.samples[:, 4] == 0)[0])
    made = find_counterfactual(Rule(4, 0.5), data, None, row, "class high")
    assert [(f["field"], f["after"]) for f in made.fields] == [("colour", "red")]
    assert made.after[2:].sum() == 1
    gone = find_counterfactual(Rule(0, 60.0), data, None, 5, "class high")
    assert gone.fields[0]["before"] == "missing"
    assert np.isnan(gone.before[0])


def test_locked_columns_and_those_that_name_somebody_stay():
    data = table()
    model = Rule(1, 130.5)
    row = int(data.rows[np.asarray(data.samples)[:, 1] < 120][0])
    made = find_counterfactual(model, data, None, row, "class high", locked=["pressure"])
    assert not made.found
    assert made.fields == []
    with pytest.raises(UserError, match="no column “weight”"):
        find_counterfactual(model, data, None, row, "class high", locked=["weight"])
    with pytest.raises(UserError, match="Every column"):
        find_counterfactual(
            model, data, None, row, "class high", locked=["age", "pressure", "colour"]
        )
    named = Dataset(
        "n",
        "table",
        data.table,
        data.samples,
        None,
        data.roles,
        ("age", "patient_id", *data.features[2:]),
    )
    assert list_free_columns(named) == ["age", "colour"]


def test_a_model_that_says_so_already_and_one_that_cannot_be_asked():
    data = table()
    row = int(data.rows[np.asarray(data.samples)[:, 1] > 140][0])
    with pytest.raises(UserError, match="answers so already: high"):
        find_counterfactual(Rule(1, 130.5), data, None, row, "class high")
    with pytest.raises(UserError, match="cannot be asked for"):
        find_counterfactual(Rule(1, 130.5), data, None, row, "class middle")
    with pytest.raises(Cancelled):
        find_counterfactual(Rule(1, 130.5), data, None, row, "class low", stop=lambda: True)


def test_a_digit_becomes_another_and_the_model_itself_says_so():
    model, given = on_digits("gaussian_vae", epochs=6, latent=6, width=8)
    data, embedding = sample("digits"), given["embedding-latent"]
    row = next(r for r in range(100) if data.labels[r] == 4)
    made = find_counterfactual(model, data, embedding, row, "class 9")
    assert made.found
    assert made.others[1] == "9"
    with torch.no_grad():
        said = model.predict(torch.from_numpy(made.after[None]))
    assert model.classes[int(said.argmax())] == "9"
    np.testing.assert_allclose(made.before, given["images-reconstruction"].image[row], atol=1e-5)
    assert made.distance[1] < 99
    assert 0 < made.changed_share < 1
    near = given["predictions"].prob[made.near]
    assert model.classes[int(near.argmax())] == "9"
    again = find_counterfactual(model, data, embedding, row, "class 9")
    np.testing.assert_array_equal(made.after, again.after)
    straight = [  # no straight way to a real nine is shorter
        np.linalg.norm(
            (embedding.z[r] - embedding.z[row]) / embedding.z[data.splits == "train"].std(0)
        )
        for r in np.flatnonzero(given["predictions"].prob.argmax(1) == 9)
    ]
    assert made.moved < min(straight)
    drawn = changes.draw_change(made, data)
    assert set(drawn) == {"before", "after", "difference"}
    for picture in drawn.values():  # the mark is in the pixels
        assert (picture[-14:, :60] == (230, 159, 0)).all(-1).any()


def test_an_unusual_case_moves_towards_the_models_picture_as_far_as_the_threshold():
    model, given = on_digits("pca", dimensions=6)
    data, maps = sample("digits"), given["anomalymaps"]
    row = int(np.argmax(maps.score))
    made = find_counterfactual(model, data, given["embedding-latent"], row, "score", maps.threshold)
    # the residual shrinks by 1 - t, so the score by its square
    t = 1 - np.sqrt(maps.threshold / maps.score[row])
    back = given["images-reconstruction"].image[row]
    x = data.inputs(np.array([row]))[0]
    np.testing.assert_allclose(made.after, x + t * (back - x), atol=1e-4)
    assert made.answer[1] <= maps.threshold
    assert made.way == "residual"


def test_a_classifier_without_a_decoder_gives_a_real_case_and_says_so():
    model, given = on_digits("classifier", epochs=2)
    data, embedding = sample("digits"), given["embedding-latent"]
    target = "class 3" if given["predictions"].prob[0].argmax() != 3 else "class 4"
    made = find_counterfactual(model, data, embedding, 0, target)
    assert (made.way, made.generated) == ("nearest case", False)
    assert "nothing was changed" in made.said
    np.testing.assert_allclose(made.after, data.inputs(np.array([made.near]))[0])
    far = np.square((embedding.z - embedding.z[0]) / embedding.z[data.splits == "train"].std(0))
    said = given["predictions"].prob.argmax(1) == int(target[-1])
    assert made.near == np.flatnonzero(said)[far.sum(1)[said].argmin()]


def test_of_the_breast_cancer_table_few_columns_change_to_real_values():
    data = make_sample("breast-cancer")
    model, given = fit("classifier", data, epochs=10)
    ill = int(np.flatnonzero(given["predictions"].prob.argmax(1) == 1)[0])
    made = find_counterfactual(model, data, None, ill, "class benign")
    assert made.found
    assert 1 <= len(made.fields) <= 8
    changed = np.flatnonzero(made.before != made.after)
    assert [data.features[j] for j in changed] == [f["field"] for f in made.fields]
    train = data.part("train").inputs()
    assert all(made.after[j] in train[:, j] for j in changed)
    assert made.distance[1] < 99 or made.distance[1] <= made.distance[0]


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("flips")))
        made = Workspace()
        made.add(make_sample("digits").take(np.arange(300)), True)
        made.add(make_sample("breast-cancer"), True)
        yield made


def test_command_job_and_page(ws, tmp_path):
    run = told("train", "digits", "pca", "-p", "dimensions=6")["run"]
    score = ws.artifact(run, "anomalymaps").score
    row = int(np.argmax(score))
    made = told("counterfactual", run, row, "--to", "score", "--to-dir", tmp_path / "out")
    assert made["found"]
    assert made["answer"][1] < made["answer"][0] == pytest.approx(float(score[row]), rel=1e-4)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "before.png",
        "after.png",
        "difference.png",
        "counterfactual.json",
    }
    assert json.loads((tmp_path / "out" / "counterfactual.json").read_text())["generated"]
    again = told("counterfactual", run, row, "--to", "score")
    assert again["counterfactual"] == made["counterfactual"], "what was found is not searched again"
    assert "cannot be asked for" in refused("counterfactual", run, row, "--to", "eleven")
    assert "no row" in refused("counterfactual", run, 9999, "--to", "score")
    fitted = lightbox.open_run(ws.home, run)
    same = lightbox.counterfactual(fitted, row, "score")
    np.testing.assert_allclose(same.answer, made["answer"])

    trees = told("train", "breast-cancer", "classifier", "-p", "epochs=5")["run"]
    prob = ws.artifact(trees, "predictions").prob
    ill = int(np.argmin(np.where(prob[:, 1] > 0.5, prob[:, 1], 1)))
    words = told("counterfactual", trees, ill, "--to", "benign", "--lock", "mean area, worst area")
    assert words["fields"]
    assert not {f["field"] for f in words["fields"]} & {"mean area", "worst area"}
    assert (
        queue.derive(
            ws,
            "counterfactual",
            trees,
            make_spec(ws, trees, ill, "class benign", ["worst area", "mean area"]),
        ).id
        == words["counterfactual"]
    )
    _press_the_button(trees, ill)


def _press_the_button(run: str, row: int) -> None:
    """On the page: the answer wanted, one press, and the columns that change and no others."""
    from streamlit.testing.v1 import AppTest

    def page(run: str, row: int) -> None:
        from app import state
        from app.panels import counterfactual
        from app.views.traversal import opened

        state.adopt_url()
        state.open_run(run)
        context = state.context()
        assert context is not None
        assert counterfactual.fits(context, opened(str(context.ws.home), run)[0])
        counterfactual.show(context, row, opened(str(context.ws.home), run)[0])

    at = AppTest.from_function(page, args=(run, row), default_timeout=120).run()
    assert not at.exception
    assert at.selectbox[0].options == ["the class “benign”"]
    at.button[0].click().run()
    for _ in range(100):
        if at.dataframe:
            break
        at.run()
    shown = at.dataframe[0].value
    assert list(shown.columns) == ["column", "before", "after"]
    assert 1 <= len(shown) <= 8
    assert (shown["before"] != shown["after"]).all()


def test_the_example_is_a_change():
    made = Counterfactual.example()
    assert made.wanted == "“b”"
