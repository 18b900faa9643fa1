"""Concepts: on pictures where one patch decides the class and another does not, the first is found
and the second not; what cannot be read concludes nothing.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import lightbox
from core.data.dataset import Dataset
from core.errors import UserError
from core.explain import concepts as tcav
from core.explain.layers import list_layers, read_layer


def patches(seed=0, decides=True, n=480):
    """Noise with a bright patch to the upper left in half of the pictures, `a`, and stripes to the
    lower right in half of them, `b`; the class is `a`, or a coin's.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(0.4, 0.08, (n, 1, 24, 24))
    a, b = rng.random(n) < 0.5, rng.random(n) < 0.5
    for i in range(n):
        if a[i]:
            y, z = rng.integers(2, 8, 2)
            x[i, 0, y : y + 4, z : z + 4] += 0.35
        if b[i]:
            y, z = rng.integers(13, 19, 2)
            x[i, 0, y : y + 4 : 2, z : z + 4] += 0.45
    sick = a if decides else rng.random(n) < 0.5
    share = np.arange(n) / n
    table = pd.DataFrame(
        {
            "class": np.where(sick, "sick", "well"),
            "a": np.where(a, "yes", "no"),
            "b": np.where(b, "yes", "no"),
            "amount": np.where(a, 1.0, 0.0) + rng.random(n) / 2,
            "coin": np.where(rng.random(n) < 0.5, "head", "tail"),
            "split": np.where(share < 0.6, "train", np.where(share < 0.7, "val", "test")),
        }
    )
    return Dataset(
        "patches",
        "image",
        table,
        (np.clip(x, 0, 1) * 255).astype(np.uint8),
        roles={"label": "class", "split": "split"},
        input_range=(0, 255),
    )


@cache
def fitted(decides=True):
    return lightbox.fit("classifier", patches(decides=decides), epochs=20, width=8)


def ask(fit, *concepts, **more):
    return tcav.measure_concepts(fit.method, fit.data, concepts, **more)


def sick(made):
    return next(r for r in made.results if r["output"] == "class sick")


def test_the_classifier_that_is_asked_has_learned_what_decides():
    fit = fitted()
    held = fit.data.splits != "train"
    prob = np.asarray(fit.artifacts["predictions"].prob)
    assert (prob.argmax(1) == fit.data.labels)[held].mean() > 0.95


def test_the_patch_that_decides_is_significant_and_the_other_is_not():
    fit = fitted()
    a, b = ask(
        fit,
        *(tcav.concept_of_column(fit.data, c, "yes") for c in "ab"),
    )
    assert a.readable["ok"]
    assert a.readable["auroc"] > 0.9
    assert b.readable["ok"], "the layer holds the other patch as well"
    assert sick(a)["significant"]
    assert sick(a)["q"] < 1e-6
    assert sick(a)["effect"] > 0
    assert sick(a)["low"] > 0.9
    assert not sick(b)["significant"]
    assert abs(sick(b)["effect"]) < 0.2 * sick(a)["effect"]
    assert "for “sick”" in a.says
    assert "no output changes" in b.says
    # what holds most of it does have it
    yes = (fit.data.of(a.rows).frame["a"] == "yes").to_numpy()
    assert yes[np.argsort(-a.amount)[:20]].all()
    assert not yes[np.argsort(a.amount)[:20]].any()


def test_twenty_selected_cases_are_enough():
    fit = fitted()
    rows = fit.data.rows[(fit.data.frame["a"] == "yes").to_numpy()][::12][:20]
    (made,) = ask(fit, tcav.concept_of_rows(fit.data, rows, "patch"))
    assert made.inside < 20, "learned on training cases only"
    assert sick(made)["significant"]
    assert sick(made)["effect"] > 0


def test_with_classes_by_coin_the_patch_is_not_significant():
    fit = fitted(False)
    a, b = ask(fit, *(tcav.concept_of_column(fit.data, c, "yes") for c in "ab"))
    assert not sick(a)["significant"]
    assert not sick(b)["significant"]


def test_what_cannot_be_read_concludes_nothing():
    fit = fitted()
    (made,) = ask(fit, tcav.concept_of_column(fit.data, "coin", "head"))
    assert not made.readable["ok"]
    assert made.says.startswith("nothing can be concluded")
    assert not any(r["significant"] for r in made.results)
    assert all(r["q"] is None for r in made.results)


def test_a_column_of_numbers_is_a_concept_by_its_upper_third():
    fit = fitted()
    c = tcav.concept_of_column(fit.data, "amount")
    train = fit.data.part("train").rows
    assert np.isin(train, c.inside).mean() == pytest.approx(1 / 3, abs=0.02)
    (made,) = ask(fit, c)
    assert sick(made)["significant"]


def test_a_slope_is_how_the_output_changes():
    import torch

    from core.explain.layers import _log_odds

    fit = fitted()
    layer = list_layers(fit.method, fit.data)[0]
    assert layer.latent
    found = read_layer(fit.method, fit.data.take(np.arange(6)), layer.key, ["class sick"])
    z, k, e = torch.from_numpy(found.held).float(), fit.method.classes.index("sick"), 1e-2
    for c in (0, 3):
        moved = z.clone()
        moved[:, c] += e
        with torch.no_grad():
            before, after = (_log_odds(fit.method.net_.head(v))[:, k] for v in (z, moved))
        np.testing.assert_allclose(
            ((after - before) / e).numpy(), found.slope[:, 0, c], rtol=0.02, atol=1e-3
        )


def test_tables_and_scores_have_concepts_too():
    data = lightbox.sample("breast-cancer")
    fit = lightbox.fit("gaussian_vae", data, epochs=4, latent=4)
    (made,) = ask(fit, tcav.concept_of_column(data, "mean radius"))
    assert made.outputs[-1] == "score"
    assert made.slope.shape == (len(made.rows), 3)
    assert np.isfinite(made.slope).all()
    assert np.abs(made.slope[:, -1]).max() > 0


def test_bad_questions_are_one_sentence():
    fit = fitted()
    with pytest.raises(UserError, match="no column"):
        tcav.concept_of_column(fit.data, "charm", "yes")
    with pytest.raises(UserError, match="there are: no, yes"):
        tcav.concept_of_column(fit.data, "a", "perhaps")
    with pytest.raises(UserError, match="at least 8"):
        ask(fit, tcav.concept_of_rows(fit.data, fit.data.rows[:5], "few"))
    with pytest.raises(UserError, match="no layer"):
        ask(fit, tcav.concept_of_column(fit.data, "a", "yes"), layer="attic")
    with pytest.raises(UserError, match="at least 20 random"):
        ask(fit, tcav.concept_of_column(fit.data, "a", "yes"), random=5)
    table = lightbox.sample("breast-cancer")
    other = lightbox.fit("pca", table, dimensions=30, variance=1.0)
    size = tcav.concept_of_column(table, "mean radius")
    with pytest.raises(UserError, match="neither classes nor a score"):
        tcav.measure_concepts(other.method, table, [size])
    digits = lightbox.sample("digits")
    plain = lightbox.fit("pca", digits, dimensions=4)
    assert "no layer" in tcav.why_no_concepts(plain.method, digits)


def test_what_was_tested_is_in_the_report():
    from dataclasses import replace

    from core.artifacts import ConceptTest, Steering
    from core.report import html
    from core.workspace.catalogue import Job

    class Kept:
        def artifacts(self, id):
            return {"concepttest": ConceptTest.example(), "steering": Steering.example()}

    job = Job(id="j", kind="concept", dataset="d")
    tested, steered = html._tested(Kept(), job)
    assert "“tubes”: it speaks for “1”" in tested["caption"]
    assert "feature 4 (+ 1): raises “1”" in steered["caption"]
    assert all(one["picture"].startswith("data:image/png") for one in (tested, steered))
    assert not list(html._tested(Kept(), replace(job, kind="explain")))
    unread = ConceptTest.example()
    unread.readable |= {"ok": False}
    assert html.concept_figure(unread) != html.concept_figure(ConceptTest.example())
