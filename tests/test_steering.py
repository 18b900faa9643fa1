"""Steering: a planted feature that decides the class moves it, others do not; the model's own
classes and a probe agree in sign; what cannot be asked is refused.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

import lightbox
from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.explain.steering import FEWEST, directions_of, list_steered, steer
from core.nets.coder import SparseCoder
from core.workspace.workspace import Workspace
from tests.app.test_cli import refused, told
from tests.test_concepts import patches

D = 16  # latent dimensions, and planted features


class Coder:
    """A coder that knows the planted directions: rows of `atoms`, unit length."""

    scale_ = 2.0

    def __init__(self, atoms):
        self.net_ = SparseCoder(D, len(atoms), 3, "abs top-k")
        self.net_.decoder.data = torch.from_numpy(atoms)


@cache
def planted():
    """Cases of a few of 16 orthogonal features with either sign, of which the first, where it is
    on, decides the class by its sign, else a coin does; where they lie in a latent space, and what
    codes them.
    """
    rng = np.random.default_rng(0)
    n = 1500
    atoms = np.linalg.qr(rng.normal(size=(D, D)))[0].astype("f4")
    code = np.zeros((n, D), "f4")
    for i in range(n):
        code[i, rng.choice(D, 3, replace=False)] = rng.uniform(1, 3, 3) * rng.choice([-1, 1], 3)
    code[: n // 2, 0] = rng.uniform(1, 3, n // 2) * rng.choice([-1, 1], n // 2)
    yes = np.where(code[:, 0] != 0, code[:, 0] > 0, rng.random(n) < 0.5)
    split = np.where(rng.random(n) < 0.6, "train", np.where(rng.random(n) < 0.5, "val", "test"))
    z = code @ atoms
    table = pd.DataFrame({"class": np.where(yes, "sick", "well"), "split": split})
    data = Dataset(
        "planted",
        "table",
        table,
        z,
        features=[f"v{j}" for j in range(D)],
        roles={"label": "class", "split": "split"},
    )
    space = Embedding(rows=data.rows, name="latent", z=z)
    codes = Embedding(rows=data.rows, name="codes", z=code / Coder.scale_, geometry="sparse")
    return data, space, codes, Coder(atoms)


def ask(feature, strength=1.0, **more):
    data, space, codes, coder = planted()
    return steer(coder, codes, None, space, data, feature, strength, **more)


def sick(made):
    return next(r for r in made.results if r["class"] == "sick")


def test_the_planted_feature_moves_the_class_and_others_do_not():
    made = ask(0, 1.5)
    own = sick(made)
    assert made.reader.startswith("a linear probe")
    assert own["shift"] > 0.2
    assert own["low"] > 0
    assert own["stands_out"]
    assert own["above_directions"] == made.directions == 40
    assert own["shift"] > 3 * own["feature_high"]
    assert "raises “sick”" in made.says
    other = ask(5, 1.5)
    assert not any(r["stands_out"] for r in other.results)
    assert abs(sick(other)["shift"]) < 0.2 * own["shift"]
    assert "shifts no class more" in other.says


def test_both_directions_move_the_class_oppositely_and_more_with_strength():
    up, down, weak = ask(0), ask(0, -1.0), ask(0, 0.5)
    assert sick(up)["shift"] > sick(weak)["shift"] > 0 > sick(down)["shift"]
    share = np.array(up.curve["share"])[:, up.classes.index("sick")]
    assert (np.diff(share) > 0).all()
    np.testing.assert_allclose(share[4], sick(up)["before"], atol=1e-6)
    np.testing.assert_allclose(share[-1], sick(up)["after"], atol=1e-6)


def test_taken_out_it_no_longer_tells_the_class():
    made, codes = ask(0, off=True), planted()[2]
    own = np.asarray(codes.z)[codes.at(made.rows), 0]
    assert (own != 0).all(), "only cases in which it is on"
    c = made.classes.index("sick")
    was = np.abs(made.before[:, c] - 0.5).mean()
    assert np.abs(made.after[:, c] - 0.5).mean() < 0.5 * was
    # a case moves by its own code, so classes on either side move towards the middle
    ill = own > 0
    assert made.after[ill, c].mean() < made.before[ill, c].mean()
    assert made.after[~ill, c].mean() > made.before[~ill, c].mean()


def test_neighbours_and_distance_follow():
    made, far = ask(0), ask(0, 5.0)
    around = next(a for a in made.around if a["class"] == "sick")
    assert around["after"] > around["before"] + 0.1
    assert (np.median(far.distance, 0)[1] >= np.median(made.distance, 0)[1]).all()
    assert np.median(far.distance[:, 1]) >= 99
    assert "farther from real ones" in far.says
    data, space = planted()[:2]
    train = data.part("train").rows
    assert np.isin(made.near, train).all()
    z, own = np.asarray(space.z), made.rows[0]
    away = np.square(z[space.at(train)] - z[space.at(np.array([own]))]).sum(1)
    assert made.near[0, 0, 0] == train[away.argmin()]
    assert 0 <= made.kept.min() <= made.kept.mean() < 1


def test_the_step_has_the_length_that_was_asked_for():
    data, _, codes, coder = planted()
    made, double = ask(0), ask(0, 2.0)
    value = np.asarray(codes.z)[codes.at(data.part("train").rows), 0]
    usual = np.quantile(np.abs(value[value != 0]), 0.95)
    assert made.length == pytest.approx(coder.scale_ * usual, rel=1e-4)
    assert double.length == pytest.approx(2 * made.length)


def test_the_models_own_classes_are_asked_through_its_latent_layer():
    base = lightbox.fit("classifier", patches(), epochs=30, width=8)
    fit = lightbox.fit("abs_topk_sae", base.data, on=base, epochs=40, k=4, features=32)
    data, z = base.data, np.asarray(fit.embedding.z)
    yes = data.of(fit.embedding.rows).labels == data.classes.index("sick")
    known = list_steered(fit.embedding, data)
    lean = [np.corrcoef(z[:, j], yes)[0, 1] for j in known]
    j = known[int(np.abs(lean).argmax())]
    side = float(np.sign(max(lean, key=abs)))
    made = lightbox.steer(fit, base, j + 1, side)
    assert made.reader == "the classes of the earlier model"
    assert made.classes == base.method.classes
    assert made.reads["accuracy"] > 0.9
    # moved by hand, the classifier's last layer says the same
    step = side * made.length * directions_of(fit.method)[j]
    moved = np.asarray(base.embedding.z)[base.embedding.at(made.rows)] + step
    with torch.no_grad():
        prob = base.method.net_.head(torch.from_numpy(moved.astype("f4"))).softmax(1).numpy()
    np.testing.assert_allclose(prob, made.after, atol=1e-4)
    assert sick(made)["shift"] > 0
    assert made.frames is None, "a classifier draws nothing"


def test_what_decodes_is_shown_before_and_after():
    digits = lightbox.sample("digits")
    base = lightbox.fit("pca", digits, dimensions=16, variance=1.0)
    fit = lightbox.fit("abs_topk_sae", digits, on=base, epochs=4)
    j = list_steered(fit.embedding, digits)[0]
    row = int(digits.part("test").rows[7])
    made = lightbox.steer(fit, base, j + 1, 2.0, row=row)
    assert made.shown[0] == row
    assert made.frames.shape == (4, 2, *digits.shape)
    assert np.abs(made.frames[0, 1] - made.frames[0, 0]).max() > 0.05
    again = lightbox.steer(fit, base, j + 1, 2.0, row=row)
    np.testing.assert_array_equal(made.after, again.after)


def test_bad_questions_are_one_sentence():
    data, space, codes, coder = planted()
    with pytest.raises(UserError, match="There is no feature 99"):
        ask(98)
    with pytest.raises(UserError, match="between"):
        ask(0, 0.0)
    other = lightbox.fit("pca", data, dimensions=4)
    with pytest.raises(UserError, match="Only the features of a sparse autoencoder"):
        steer(other.method, other.embedding, None, space, data, 0)
    few = data.take(np.flatnonzero(data.splits == "train"))
    with pytest.raises(UserError, match=f"of at least {FEWEST}"):
        steer(coder, codes, None, space, few, 0)


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("steer")))
        made = Workspace()
        made.add(make_sample("digits").take(np.arange(300)), True)
        yield made


def test_command_job_and_page(ws, tmp_path):
    below = told("train", "digits", "pca", "-p", "dimensions=8")["run"]
    run = told("train", "digits", "abs_topk_sae", "--from-run", below, "-p", "epochs=5")["run"]
    known = list_steered(ws.artifact(run, "embedding-codes"), ws.dataset("digits"))
    j = known[0] + 1
    made = told("steer", run, j, "--strength", "2", "--to-dir", tmp_path / "out")
    assert made["feature"] == j
    assert made["random_directions"] == 40
    assert {r["class"] for r in made["results"]} == set(map(str, range(10)))
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"steering.png", "steering.json"} < files
    assert sum(name.endswith("_after.png") for name in files) == 4
    again = told("steer", run, j, "--strength", "2")
    assert again["steer"] == made["steer"], "what was measured is not measured again"
    out = told("steer", run, j, "--off")
    assert out["off"]
    assert "Only the features of a sparse autoencoder" in refused("steer", below, 1)
    assert "cannot be steered" in refused("steer", run, 9999)
    assert "A strength lies between" in refused("steer", run, j, "--strength", "90")
    _press_the_button(run)


def _press_the_button(run):
    """On the page: one press, and the measured effect with its table."""
    from streamlit.testing.v1 import AppTest

    def page(run):
        from app import state
        from app.panels import steering
        from app.views.traversal import opened

        state.adopt_url()
        state.open_run(run)
        context = state.context()
        assert context is not None
        assert steering.fits(context, opened(str(context.ws.home), run)[0])
        steering.show(context, 0)

    at = AppTest.from_function(page, args=(run,), default_timeout=120).run()
    assert not at.exception
    next(b for b in at.button if b.label == "Measure what it changes").click().run()
    for _ in range(200):
        if at.dataframe:
            break
        at.run()
    assert "stands out" in at.dataframe[0].value.columns
    assert any("How far from real cases" in m.value for m in at.markdown)
    assert not at.exception
