"""The memory of a masked autoencoder on screen: its layers, orders of slots, the case looked at,
and what is said where there is nothing to show.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.state import Selection
from app.views import memory_slots as view
from core.artifacts import Model
from core.errors import UserError
from core.explain.memory_slots import SlotUse
from tests.test_memory_slots import trained


def context():
    return SimpleNamespace(
        data=trained()[0],
        ws=SimpleNamespace(home="here", slugs=lambda run: []),
        job=SimpleNamespace(id="run", method="mem_mc_mae"),
        key=lambda name: f"run-{name}",
    )


def script(slots: int) -> None:
    from app.views import memory_slots
    from tests.app.test_memory_slots import context
    from tests.test_memory_slots import trained

    memory_slots.show(trained(slots)[2], context())


@pytest.fixture
def shown(monkeypatch):
    """The view, with shares of our own: slot 3 of layer 2 is the one attended to, slot 1 hardly."""
    use = SlotUse(
        rows=np.arange(40),
        share=np.array([[0.05, 0.05, 0.05, 0.05], [0.001, 0.05, 0.2, 0.1]]),
        first=np.array([[0.25] * 4, [0.0, 0.1, 0.7, 0.2]]),
        where=np.full((2, 4, 16), 0.1, "f4"),
        most=np.tile(np.array([[0.06] * 4, [0.002, 0.3, 0.9, 0.3]], "f4"), (40, 1, 1)),
        place=np.zeros((40, 2, 4), np.int64),
        side=4,
    )
    monkeypatch.setattr(view, "_opened", lambda *_: trained()[1])
    monkeypatch.setattr(view, "_measured", lambda *_: use)

    def draw(slots: int = 4) -> AppTest:
        at = AppTest.from_function(script, args=(slots,), default_timeout=60).run()
        assert not at.exception
        return at

    return draw


def said(at) -> str:
    return " ".join(m.value for m in [*at.markdown, *at.caption, *at.info])


def slots_of(at) -> list[str]:
    """Which slots are shown, in their order."""
    heads = [m.value for m in at.markdown if m.value.startswith("**Slot ")]
    return [head.split("**")[1].removeprefix("Slot ") for head in heads]


def test_the_layer_with_the_most_attention_comes_first_and_its_slots_by_use(shown):
    at = shown()
    layer = next(c for c in at.segmented_control if c.label == "Layer of the encoder")
    assert layer.value == 1
    assert slots_of(at) == ["3", "4", "2", "1"]
    assert "1 of 4 are hardly used" in said(at)
    assert said(at).count("· hardly used") == 1
    assert "the 4 slots get 35 % of the attention of 40 cases" in said(at).replace("\\", "")


@pytest.mark.parametrize(
    ("order", "wanted"),
    [("least used", ["1", "2", "4", "3"]), ("number", ["1", "2", "3", "4"])],
)
def test_slots_come_in_the_order_asked_for(shown, order, wanted):
    at = shown()
    at.selectbox(key="run-slots-order").set_value(order).run()
    assert not at.exception
    assert slots_of(at) == wanted


def test_a_layer_whose_slots_are_alike_claims_no_meaning_of_them(shown):
    at = shown()
    assert "All patches attend to these slots almost alike" not in said(at)
    assert "**The slot each patch picks out**" in said(at)
    layer = next(c for c in at.segmented_control if c.label == "Layer of the encoder")
    layer.set_value(0).run()
    assert not at.exception
    assert "All patches attend to these slots almost alike" in said(at)
    assert "**The slot each patch picks out**" not in said(at)


def test_the_case_looked_at_goes_through_the_masks(shown):
    at = shown()
    at.session_state["selection"] = Selection(primary=7)
    at.run()
    assert not at.exception
    assert "**One case through the masks: row 7**" in said(at).replace("\\", "")
    first = next(b for b in at.button if b.key == "run-slots-2-0")
    assert first.label == "×4.5", "0.9 where 0.2 is usual"
    first.click().run()
    assert not at.exception
    looked = at.session_state["selection"].primary
    assert f"**One case through the masks: row {looked}**" in said(at).replace("\\", "")


def test_models_without_a_memory_or_that_cannot_be_opened_say_so(shown, monkeypatch):
    assert "This model has no memory." in said(shown(0))

    def fails(*_):
        raise UserError("A part of the model is damaged.")

    monkeypatch.setattr(view, "_opened", fails)
    at = shown()
    assert "A part of the model is damaged" in at.info[0].value
    assert not at.selectbox


def test_only_models_of_pictures_with_slots_have_the_view():
    data = trained()[0]
    assert view.fits(trained()[2], data)
    assert not view.fits(trained(0)[2], data)
    assert not view.fits(Model.example(), data)
    assert not view.fits(trained()[2], SimpleNamespace(modality="table"))


def test_a_patch_is_framed_where_it_lies():
    x = np.zeros((1, 32, 32), "f4")
    drawn = view._framed(x, 6, 4, trained()[0])  # row 1, column 2
    framed = (drawn == view.FRAME).all(-1)
    rows, columns = (np.flatnonzero(framed.any(axis)) for axis in (1, 0))
    side = drawn.shape[0]
    assert abs(rows.min() - side // 4) <= 2
    assert abs(rows.max() - side // 2) <= 2
    assert abs(columns.min() - side // 2) <= 2
    assert abs(columns.max() - 3 * side // 4) <= 2
    bright = view._where(np.eye(4), trained()[0])
    assert set(np.unique(bright)) == {0, 255}
