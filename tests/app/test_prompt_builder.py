"""The prompt builder on screen: what is set reaches the model, and steps come back, marked."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.panels import prompt_builder
from app.views import pairs
from core.artifacts import MadeBy, Pairs
from core.data.dataset import Dataset
from core.errors import UserError
from core.evidence import load_evidence
from core.imaging import render
from core.stages import Control, Stage

KINDS = ["bright", "dark"]
ASKED: list[dict] = []


class Maker:
    """A method that notes what it is asked for, and gives back five stages."""

    def prompts(self):
        return [
            Control("start", "How much is redrawn", "Help.", 0.5, ((0.5, "half"), (1.0, "all")))
        ]

    def generate(self, x, mix, draw, start):
        ASKED.append({"x": x.numpy().copy(), "mix": mix, "draw": draw, "start": start})
        image = x[0].numpy()
        prob = np.zeros(image.shape[1:], "f4")
        prob[2:6, 2:6] = 1
        return [
            Stage("The normal picture it begins from", "a *case*", "input", image),
            Stage("Made", "", "generated", image),
            Stage("Mask", "", "places", prob),
            Stage("Where bright looked", "", "grey", prob),
        ]


def data() -> Dataset:
    x = np.linspace(0, 1, 12 * 16 * 16, dtype="f4").reshape(12, 1, 16, 16)
    mask = np.zeros((12, 16, 16), np.uint8)
    mask[[2, 3], 4:8, 4:8] = 1
    table = pd.DataFrame({"split": ["train"] * 8 + ["test"] * 4})
    return Dataset("made", "image", table, x, mask, roles={"split": "split"})


def context():
    return SimpleNamespace(
        data=data(),
        ws=SimpleNamespace(home="here"),
        job=SimpleNamespace(id="run", method="seas"),
        key=lambda name: f"run-{name}",
    )


def artifact(nearest=(0, 2, 5)) -> Pairs:
    """Pairs of two kinds, most like these training pictures."""
    n = len(nearest)
    near = np.array(nearest, np.int64)
    return Pairs(
        rows=np.arange(12),
        image=np.zeros((n, 1, 16, 16), "f4"),
        prob=np.zeros((n, 16, 16), "f4"),
        mix=np.eye(2, dtype="f4")[np.arange(n) % 2],
        kinds=KINDS,
        attention=np.zeros((n, 2, 4, 4), np.float16),
        tokens=KINDS,
        nearest=near,
        closest=near,
        distance=np.ones(n, "f4"),
        made_by=MadeBy(method="seas"),
    )


def script() -> None:
    from app.panels import prompt_builder
    from tests.app.test_prompt_builder import artifact, context

    prompt_builder.show(artifact(), context())


@pytest.fixture
def at(monkeypatch):
    ASKED.clear()
    monkeypatch.setattr(prompt_builder, "opened", lambda *_: Maker())
    at = AppTest.from_function(script, default_timeout=60).run()
    assert not at.exception
    return at


def test_nothing_is_made_before_it_is_asked_for(at):
    assert not ASKED
    assert not at.slider
    at.toggle[0].set_value(True).run()
    assert not at.exception
    assert ASKED[-1]["mix"] == {"bright": 1.0, "dark": 0.0}, "the first kind, to begin with"
    assert (ASKED[-1]["draw"], ASKED[-1]["start"]) == (1, 0.5)


def test_what_is_set_reaches_the_model_and_nothing_is_stored(at):
    at.toggle[0].set_value(True).run()
    at.slider(key="run-prompt-mix-bright").set_value(0.25).run()
    at.slider(key="run-prompt-mix-dark").set_value(0.75).run()
    at.select_slider(key="run-prompt-start").set_value(1.0).run()
    at.select_slider(key="run-prompt-draw").set_value(7).run()
    at.selectbox(key="run-prompt-row").set_value(5).run()
    assert not at.exception
    last = ASKED[-1]
    assert last["mix"] == {"bright": 0.25, "dark": 0.75}
    assert (last["draw"], last["start"]) == (7, 1.0)
    assert np.array_equal(last["x"], data().of(np.array([5])).inputs())
    said = [c.value for c in at.caption]
    assert any("**Made**" in words for words in said)
    assert any("a \\*case\\*" in words for words in said), "written as it is"
    assert "not patient data" in said[-1]
    assert "nothing is stored" in said[-1]


def test_it_begins_from_normal_training_pictures_those_that_pairs_are_like_first():
    assert prompt_builder._starts(artifact((5, 2, 0)), context()) == [5, 0], "2 is marked"
    none = artifact(())
    assert prompt_builder._starts(none, context()) == [0, 1, 4, 5, 6, 7]


def test_a_model_that_cannot_be_opened_says_why(at, monkeypatch):
    def fails(*_):
        raise UserError("The folder of the encoder is gone.")

    monkeypatch.setattr(prompt_builder, "opened", fails)
    at.toggle[0].set_value(True).run()
    assert not at.exception
    assert "The folder of the encoder is gone" in at.info[0].value
    assert not ASKED


def test_methods_without_prompts_have_no_builder():
    def plain() -> None:
        from app.panels import prompt_builder
        from tests.app.test_prompt_builder import artifact, context

        given = context()
        given.job.method = "pca"
        prompt_builder.show(artifact(), given)

    at = AppTest.from_function(plain, default_timeout=60).run()
    assert not at.exception
    assert not at.toggle


def test_what_is_made_is_marked_and_the_mask_is_outlined_on_it():
    stages = Maker().generate(torch_of(3), {}, 1, 0.5)
    made = stages[1].image
    given, picture, mask, grey = (prompt_builder._drawn(s, made, context()) for s in stages)
    assert min(len(p) for p in (given, picture, mask, grey)) >= prompt_builder.SIDE
    plain = render.enlarge(render.input_to_rgb(made), prompt_builder.SIDE)
    assert np.array_equal(given, plain)
    bottom = slice(-12, None)
    amber = (230, 159, 0)
    for one in (picture, mask, grey):
        assert (one[bottom] == amber).all(-1).any(), "GENERATED is written into it"
    assert not (given[bottom] == amber).all(-1).any()
    assert (mask == render.BLUE).all(-1).any()


def torch_of(row):
    import torch

    return torch.from_numpy(data().of(np.array([row])).inputs())


TABLE = {
    "title": "What does training on pairs gain? *bright*",
    "data": "few-lesions",
    "split": "test",
    "n": 72,
    "seeds": [0, 1, 2],
    "measure": "Dice",
    "higher_is_better": True,
    "rows": [
        {"name": "real pictures alone", "value": 0.41, "low": 0.3, "high": 0.5, "kind": "range"},
        {"name": "and generated pairs", "value": 0.52, "low": 0.4, "high": 0.6, "kind": "range"},
    ],
    "verdict": "It gains in two of three seeds.",
}


def gains() -> None:
    from app.views.pairs import _gains
    from tests.app.test_prompt_builder import artifact

    _gains(artifact())


def test_what_was_measured_of_the_gain_is_shown_and_nothing_else(monkeypatch):
    other = TABLE | {"title": "How fast?", "measure": "seconds"}
    monkeypatch.setattr(pairs, "load_evidence", lambda id: {"tables": [other, TABLE]})
    at = AppTest.from_function(gains, default_timeout=60).run()
    assert not at.exception
    (table,) = at.dataframe
    assert table.value["trained on"].tolist() == [r["name"] for r in TABLE["rows"]]
    assert table.value["Dice"].tolist() == [0.41, 0.52]
    assert table.value["least of seeds"].tolist() == [0.3, 0.4]
    assert table.value["largest of seeds"].tolist() == [0.5, 0.6]
    assert "\\*bright\\*" in at.markdown[0].value
    assert "n = 72" in at.caption[0].value
    assert "two of three seeds" in at.caption[0].value


@pytest.mark.parametrize("found", [None, {"tables": []}])
def test_a_method_whose_gain_nobody_measured_claims_none(found, monkeypatch):
    monkeypatch.setattr(pairs, "load_evidence", lambda id: found)
    at = AppTest.from_function(gains, default_timeout=60).run()
    assert not at.exception
    assert not at.expander
    assert not at.dataframe


def test_what_was_measured_of_this_method_is_found():
    found = load_evidence("seas")
    assert any("gain" in table["title"].lower() for table in found["tables"])
