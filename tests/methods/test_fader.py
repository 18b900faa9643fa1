"""FADeR's parts: gates that do nothing when open, a network they leave as it was, and what they
learn with.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch

from core.explain import gates as explained
from core.io.tensors import take_prefix
from core.methods.anomaly._fader_copies import fill_in, taken_apart, targets_of, with_copies
from core.methods.anomaly._pasted import altered, covered
from core.methods.anomaly.fader import FADeR
from core.nets.gates import SkipGates, attenuated
from core.nets.inpainting import Inpainter
from core.nets.losses.gating import gate_error, share_to_keep
from core.registry import open_model
from core.training.run import Run
from tests.methods._fit import curves_of, fit
from tests.methods.test_ear import trained as trained_base


@cache
def trained(mask="saliency", **params):
    data, _, given = trained_base(mask=mask)
    return data, given, *fit("fader", data, on=given, epochs=1, batch_size=8, **params)


def levels_of(b=2, width=4, side=32):
    return [torch.randn(b, width * 2**i, side // 2**i, side // 2**i) for i in range(5)]


def test_gates_lie_between_0_and_1_begin_open_and_are_few():
    gates = SkipGates(4 * 31).eval()
    found = gates(levels_of())
    assert [tuple(g.shape) for g in found] == [(2, 1, s, s) for s in (32, 16, 8, 4)]
    assert all(g.min() >= 0 and g.max() <= 1 for g in found)
    assert 0.85 < torch.cat([g.flatten() for g in found]).mean() < 0.99
    many = [
        sum(q.numel() for q in net.parameters()) for net in (SkipGates(8 * 31), Inpainter(1, 8))
    ]
    assert many[0] < 0.05 * many[1]


def test_a_gate_of_1_changes_nothing_and_one_of_0_shuts_the_skips_alone():
    levels = levels_of()
    whole = attenuated(levels, [torch.ones_like(x[:, :1]) for x in levels[:-1]])
    assert all(torch.equal(a, b) for a, b in zip(whole, levels))
    shut = attenuated(levels, [torch.zeros_like(x[:, :1]) for x in levels[:-1]])
    assert not any(x.any() for x in shut[:-1])
    assert torch.equal(shut[-1], levels[-1])


@pytest.mark.parametrize("mask", ["saliency", "grid"])
def test_the_earlier_network_is_left_as_it_was_whatever_it_hides(mask):
    _, before, method, _ = trained(mask)
    earlier, kept = before["model"].state, method.base_.state
    assert earlier.keys() == kept.keys()
    opened = method.opened("base_").net_.state_dict()
    for name, value in take_prefix("net", earlier).items():
        assert np.array_equal(np.asarray(value), opened[name].cpu().numpy()), name


def test_without_strength_it_gives_what_the_earlier_run_gave_bit_for_bit():
    data, before, method, _ = trained(strength=0.0)
    base = open_model(before["model"], "cpu")
    base.net_.to(memory_format=torch.channels_last)  # as it was trained
    x = torch.from_numpy(data.inputs())
    with torch.no_grad():
        assert torch.equal(method.recovered(x), base.recovered(x))
        heat = method.heat(method.resized(x))
        assert np.array_equal(heat.numpy(), before["anomalymaps"].map)
        levels = method.levels(x)
        ones = [torch.ones_like(v[:, :1]) for v in levels[:-1]]
        assert torch.equal(method.fill_in(levels, ones), base.recovered(x))
    _, _, other, _ = trained()
    with torch.no_grad():
        assert not torch.equal(other.recovered(x), base.recovered(x))


def test_a_copy_differs_where_a_part_is_and_half_of_that_is_hidden():
    data, before, _method, _ = trained()
    base, some = open_model(before["model"], "cpu"), data.part("train")
    rows = torch.from_numpy(with_copies(base, some, Run(device="cpu")).inputs())
    x, given, shut = taken_apart(base, rows)
    assert torch.equal(x, torch.from_numpy(some.inputs()))
    assert given.shape == (2 * len(x), 1, 32, 32)
    copies = rows[:, 1:2]
    assert torch.equal(given[len(x) :][shut > 0], copies[shut > 0])  # it is seen as it is
    assert ((copies != x).float().mean((1, 2, 3)) < 0.5).all()
    where = np.zeros((3, 32, 32), bool)
    where[:, 5:20, 8:30] = True
    hidden = covered(where, np.random.default_rng(0))
    share = hidden.sum((1, 2)) / where.sum((1, 2))
    assert ((share > 0.25) & (share < 0.75)).all()
    assert not (hidden & ~where).any()
    changed = altered(some.inputs(), np.random.default_rng(0))
    assert changed.shape == some.inputs().shape
    assert 0.3 < (changed != some.inputs()).any((1, 2, 3)).mean() < 1


def test_gates_are_to_shut_where_a_part_is_seen_or_the_error_is_unusual():
    error = [torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])]
    shut = torch.zeros(1, 1, 4, 4)
    shut[:, :, :2, :2] = 1
    (target,) = targets_of(error, shut, [torch.tensor([1.0, 3.0])])
    assert target[:, 0].tolist() == [[[1.0, 1.0], [0.5, 0.0]], [[0.0, 1.0], [1.0, 1.0]]]
    assert share_to_keep(error[0], torch.tensor(1.0), torch.tensor(3.0)).min() == 0
    half = torch.full((1, 1, 1, 2), 0.5)
    aim = torch.tensor([[[[1.0, 0.0]]]])
    assert gate_error([half], [aim], 3.0).item() == pytest.approx(2 * np.log(2), rel=1e-4)


def test_gates_learn_from_what_is_to_be_shut_what_is_redrawn_and_what_is_kept():
    data, before, method, _ = trained()
    p, seen = method.params, curves_of("fader", data, on=before, epochs=1, batch_size=8)
    assert len(seen) >= 2
    for s in seen:
        gates, redrawing, lost = (
            s[name] for name in ("gates", "redrawing", "shut on normal pictures")
        )
        assert min(gates, p.redraw * redrawing, p.keep * lost) > 1e-3
        assert s["loss"] == pytest.approx(gates + p.redraw * redrawing + p.keep * lost, rel=1e-4)


def test_a_second_round_takes_the_worst_fifth_with_a_tenth_of_the_step_size(monkeypatch):
    data, before, _, _ = trained()
    rounds = []

    def look(self, ready, of, rate, earlier, run):
        rounds.append((ready, of, rate, earlier))
        if len(rounds) == 1:  # what the first round learned
            self.gates_.to(run.where).last.bias.data -= 2

    monkeypatch.setattr(FADeR, "_round", look)
    fit("fader", data, on=before, epochs=2, batch_size=8)
    (ready, of, rate, none), (worst, of_worst, less, gates) = rounds
    assert none is None
    assert less == pytest.approx(rate / 10)
    assert gates.last.bias.item() == pytest.approx(make_bias() - 2)
    base = open_model(before["model"], "cpu")
    x, given, shut = taken_apart(base, torch.from_numpy(ready.inputs()))
    with torch.no_grad():
        levels = base.net_.encode(given[len(x) :])
        wrong = (fill_in(base, levels, gates(levels)) - x).abs() * shut
    left = wrong.sum((1, 2, 3)) / shut.sum((1, 2, 3)).clamp_min(1)
    at = left.argsort(descending=True)[:9].sort().values.numpy()  # of 2 x 24
    assert np.array_equal(worst.inputs(), ready.take(at).inputs())
    assert np.array_equal(of_worst.rows, of.take(at).rows)


def make_bias():
    """What opens the gates of a network that has learned nothing."""
    return SkipGates(4).last.bias.item()


def test_it_says_what_the_gates_let_through_cost_and_gain():
    _, _, method, given = trained()
    found = {(m.name, m.split): m.value for m in given["metrics"]}
    assert 0.5 < found["share let through", "train"] < 1
    assert found["error on normal pictures, with gates / without", "val"] > 0
    assert found["parameters of the gates / of the network", "all"] > 0
    shut = given["images-suspicion"].image
    assert 0 <= shut.min() <= shut.max() <= 1
    x = torch.from_numpy(trained()[0].inputs())
    with torch.no_grad():
        assert torch.equal(method.score(x), method.score(x))


def test_other_models_are_declined_in_a_sentence():
    _data, _, method, given = trained()
    why = type(method)().declines_on({"model": given["model"]})
    assert why is not None
    assert "does not fill in what it hides" in why


def test_gates_that_cost_too_much_are_opened_and_no_others(monkeypatch):
    data, _, trained_method, _ = trained(cost=0.05)
    method, base = deepcopy(trained_method), trained_method.opened("base_")
    worse = lambda levels, gates: base.net_.decode(levels) + 1 - gates[0]  # noqa: E731
    monkeypatch.setattr(method, "fill_in", worse)
    bias = method.gates_.last.bias

    def cost():
        x = torch.from_numpy(data.part("val").inputs())
        with torch.no_grad():
            levels = method.levels(x)
            errors = [
                (back - x).abs().mean()
                for back in (method.fill_in(levels, method.gates(levels)), base.recovered(x))
            ]
        return float(errors[0] / errors[1])

    bias.data[:] = -3.0
    assert cost() > 2
    method._open(data.part("val"), Run(device="cpu"))
    assert bias.item() == pytest.approx(method.shift_ - 3, abs=1e-5)
    assert 1.03 < cost() <= 1.0501
    bias.data[:] = 7.0
    method._open(data.part("val"), Run(device="cpu"))
    assert (method.shift_, bias.item()) == (0.0, 7.0)


def test_each_pass_meets_another_copy_of_a_picture():
    data, before, method, _ = trained()
    many = 4
    method = type(method)(method.params.model_copy(update={"epochs": many}))
    method.base_, method._device, method._fitted = before["model"], "cpu", True
    some = data.part("train")
    several = method._several(some)
    assert (len(several), method.passes_) == (many * len(some), 1)
    rows = with_copies(open_model(before["model"], "cpu"), several, Run(device="cpu")).inputs()
    first, second = rows[: len(some)], rows[len(some) : 2 * len(some)]
    assert np.array_equal(first[:, :1], second[:, :1])
    assert (np.abs(first[:, 1] - second[:, 1]).max((1, 2)) > 0).all()


def test_in_use_gates_are_those_of_training_with_what_was_learned_of_all_batches():
    torch.manual_seed(0)
    gates, levels = SkipGates(4 * 31), levels_of(4)
    gates.scale.momentum = 1.0  # of the last batch
    while_training = gates(levels)
    n = 4 * 8 * 8
    gates.scale.running_var *= (n - 1) / n  # it keeps the unbiased one
    for a, b in zip(while_training, gates.eval()(levels)):
        assert torch.allclose(a, b, atol=1e-5)


def test_steps_without_gates_are_the_earlier_runs_and_with_them_this_ones():
    data, before, method, given = trained()
    (control,) = method.controls()
    assert (control.value, control.words(0.0)) == (1.0, "off")
    x = torch.from_numpy(data.inputs()[:1])
    with torch.no_grad():
        on = {s.title: s.image for s in method.stages(x, strength=1.0)}
        off = {s.title: s.image for s in method.stages(x, strength=0.0)}
    maps = (given["anomalymaps"].map[0], before["anomalymaps"].map[0])
    for steps, heat in zip((on, off), maps):
        assert np.allclose(steps["Where the edges differ"], heat, atol=1e-5)
    assert np.array_equal(off["Redrawn with gates"], on["Redrawn without gates"])
    assert not off["Suspicion"].any()
    assert off["What the gates add"].max() == 0


def test_what_is_shown_of_the_gates_is_what_the_run_measured():
    data, _, method, given = trained()
    assert explained.has_gates(method)
    train = data.part("train")
    use = explained.measure_gates(method, train)
    (told,) = (m for m in given["metrics"] if m.name == "share let through" and m.split == "train")
    assert use.open.mean() == pytest.approx(told.value, abs=1e-4)
    assert use.is_one_gate
