"""The use of a memory's slots: shares that are what the network says, each patch counted once."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.data.dataset import Dataset
from core.explain import memory_slots
from tests.methods._fit import fit

SMALL = {"width": 16, "patch": 8, "slots": 4, "depth": 2, "decoder": 1, "draws": 2, "side": 32}


@cache
def trained(slots=4):
    rng = np.random.default_rng(0)
    x = rng.random((40, 1, 32, 32), dtype=np.float32)
    split = np.array(["train"] * 24 + ["val"] * 8 + ["test"] * 8)
    data = Dataset("noise", "image", pd.DataFrame({"split": split}), x, roles={"split": "split"})
    method, given = fit("mem_mc_mae", data, epochs=1, batch_size=8, **{**SMALL, "slots": slots})
    return data, method, given["model"]


def every_share(method, x):
    """The shares of each place shown once: [n,P,L,M], one mask at a time."""
    found = np.zeros((len(x), 16, 2, 4))
    with torch.no_grad():
        for at in method.masks_[:4]:
            small = method.resized(torch.from_numpy(x))
            found[:, at] = method.net_.memory_shares(small, torch.from_numpy(at)).numpy()
    return found


def test_use_of_slots_is_what_the_network_says_of_each_patch_once():
    data, method, _ = trained()
    told = []
    use = memory_slots.measure_use(method, data, told.append)
    found = every_share(method, data.inputs())
    assert told[-1] == 1
    assert np.array_equal(use.rows, data.rows)
    assert np.allclose(use.share, found.mean((0, 1)), atol=1e-6)
    assert np.allclose(use.where, found.mean(0).transpose(1, 2, 0), atol=1e-6)
    assert np.allclose(use.first.sum(1), 1)
    assert np.allclose(use.first[1, 2], (found[:, :, 1].argmax(2) == 2).mean())
    assert np.allclose(use.most, found.max(1), atol=1e-6)
    assert np.array_equal(use.place[:, 0, 3], found[:, :, 0, 3].argmax(1))
    best = use.examples(0, 3, 5)
    assert use.most[best[0], 0, 3] == use.most[:, 0, 3].max()


def test_batches_do_not_change_what_is_measured(monkeypatch):
    data, method, _ = trained()
    whole = memory_slots.measure_use(method, data)
    monkeypatch.setattr(memory_slots, "AT_ONCE", 4 * 2 * 4 * 3)
    parts = memory_slots.measure_use(method, data)
    assert np.allclose(whole.share, parts.share, atol=1e-6)
    assert np.array_equal(whole.place, parts.place)


def test_slots_that_get_little_are_unused_and_even_ones_stand_for_nothing():
    share = np.array([[0.3, 0.3, 0.3, 0.01]])
    most = np.full((5, 1, 4), 0.32, np.float32)
    most[0, 0] = [0.9, 0.9, 0.9, 0.01]
    use = memory_slots.SlotUse(np.arange(5), share, share, share, most, most, 2)
    assert use.unused(0).tolist() == [False, False, False, True]
    assert not use.is_even(0)
    most[0] = [0.32, 0.32, 0.32, 0.01]
    assert use.is_even(0)
    assert np.allclose(use.times_usual(0)[1, 0], 0.32 / 0.3)


def test_the_slot_a_patch_picks_out_is_the_one_raised_most():
    data, method, _ = trained()
    use = memory_slots.measure_use(method, data)
    x = data.inputs(np.array([3]))
    slots, times = memory_slots.raised_slots(method, x, use)
    wanted = every_share(method, x)[0] / use.share
    assert np.array_equal(slots.reshape(2, 16), wanted.argmax(2).T)
    assert np.allclose(times.reshape(2, 16), wanted.max(2).T, atol=1e-5)


def test_a_case_through_a_mask_hides_what_the_mask_hides():
    data, method, _ = trained()
    x = data.inputs(np.array([3]))
    shown, back, heat = memory_slots.through_mask(method, x, 5)
    seen = np.zeros(16, bool)
    seen[method.masks_[5]] = True
    seen = np.kron(seen.reshape(4, 4), np.ones((8, 8), bool))
    assert np.allclose(shown.image[0][seen], x[0, 0][seen])
    assert (shown.image[0][~seen] == 0.5).all()
    with torch.no_grad():
        wanted = method.redrawn(torch.from_numpy(x), 5)[0].numpy()
    assert np.array_equal(back.image, wanted)
    assert heat.image.shape == (32, 32)
    assert shown.note.startswith("25%")


@pytest.mark.parametrize(("slots", "many"), [(4, 4), (0, 0)])
def test_a_stored_model_says_how_many_slots_it_has(slots, many):
    assert memory_slots.count_slots(trained(slots)[2]) == many


def script() -> None:
    from types import SimpleNamespace

    from app.views import memory_slots
    from tests.test_memory_slots import trained

    data, method, model = trained()
    memory_slots._opened = lambda *_: method
    memory_slots.show(
        model,
        SimpleNamespace(
            data=data,
            ws=SimpleNamespace(home="here", slugs=lambda run: []),
            job=SimpleNamespace(id="run", method="mem_mc_mae"),
            key=lambda name: f"run-{name}",
        ),
    )


def test_the_view_shows_the_slots_and_one_case():
    at = AppTest.from_function(script, default_timeout=60).run()
    assert not at.exception
    said = " ".join(m.value for m in [*at.caption, *at.markdown])
    assert "the 4 slots get" in said
    assert said.count("of attention · first choice") == 4
    assert "One case through the masks" in said
    at.select_slider[0].set_value(7).run()
    assert not at.exception
    select = next(b for b in at.button if b.label.startswith("Select"))
    select.click().run()
    assert len(at.session_state["selection"].rows) == 20
