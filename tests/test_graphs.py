"""Steps that are recorded and replayed. Here the processor stands in for a GPU: what would be
recorded is called again, on the memory that a recording would use; `test_gpu.py` has the real ones.
"""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.artifacts import Embedding
from core.method import check_params
from core.registry import methods
from core.training import graphs
from core.training.fit import fit_and_apply
from core.training.optimisers import suit_device
from core.training.run import Run
from tests.contract._fits import small


@pytest.fixture
def recorded(monkeypatch):
    """Have steps recorded here; gives how often each recording was replayed."""
    replays = Counter()

    def record(step):
        def again():
            replays[step] += 1
            step()

        return again

    monkeypatch.setattr(graphs, "can_record", lambda loop: True)
    monkeypatch.setattr(graphs, "record", record)
    return replays


def latents(id, data, **more):
    kind = methods()[id]
    params = {**kind.tiny, "epochs": 6, "batch_size": 16}
    run = Run(device="cpu", **more)
    _, found = fit_and_apply(kind, check_params(kind, params), data, run)
    return run, next(np.asarray(a.z) for a in found if isinstance(a, Embedding))


@pytest.mark.parametrize("id", ["gaussian_vae", "swav"])
def test_replayed_steps_learn_what_computed_ones_learn(id, request):
    data = small("digits")
    _, straight = latents(id, data)
    replays = request.getfixturevalue("recorded")
    curve = []
    run, replayed = latents(id, data, report_to=lambda *said: curve.append(said))
    assert np.array_equal(straight, replayed)
    assert run.notes == []
    assert sum(replays.values()) >= len(curve) // 2
    losses = [float(scalars["loss"]) for _, _, scalars in curve if "loss" in scalars]
    assert len(set(losses)) == len(losses), "what was reported stays as it was"


def test_each_phase_is_recorded_by_itself(recorded):
    run, _ = latents("gaussian_vae", small("digits"))
    assert len(recorded) == 2, "before and with the joint classifier"
    assert run.notes == []


def test_killed_and_resumed_it_goes_on_as_if_it_had_not_been(recorded, tmp_path):
    data = small("digits")
    _, straight = latents("gaussian_vae", data)

    def kill(step, total, scalars):
        if step == 9:
            raise KeyboardInterrupt

    folder = {"folder": tmp_path, "checkpoint_every": -1.0}
    with pytest.raises(KeyboardInterrupt):
        latents("gaussian_vae", data, report_to=kill, **folder)
    _, resumed = latents("gaussian_vae", data, resume=True, **folder)
    assert np.array_equal(straight, resumed)


def train(loss, epochs=3):
    """Train a line on random inputs; gives its run and weights."""
    data = small("digits")
    torch.manual_seed(0)
    net = torch.nn.Linear(int(np.prod(data.shape)), 1)
    params = SimpleNamespace(batch_size=16, epochs=epochs, learning_rate=0.01, patience=0)
    run = Run(device="cpu")
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    run.fit(net, lambda net, batch: loss(net, batch, run), data, params, optimiser=optimiser)
    return run, net.weight.detach().numpy().copy()


def by_step(net, batch, run):
    return {"loss": net(batch.x.flatten(1)).square().mean() * (1 + batch.step)}


def drawing(net, batch, run):
    noise = torch.from_numpy(run.rng.normal(size=batch.x.shape).astype(np.float32))
    return {"loss": (net((batch.x + noise).flatten(1)) - 1).square().mean()}


@pytest.mark.parametrize(
    ("loss", "why"),
    [(by_step, "each batch's “step”"), (drawing, "random numbers on the processor")],
)
def test_what_would_not_be_the_same_again_is_computed_and_said(loss, why, request):
    _, straight = train(loss)
    replays = request.getfixturevalue("recorded")
    run, weight = train(loss)
    assert not replays
    assert np.array_equal(straight, weight)
    (note,) = run.notes
    assert why in note
    assert "call by call" in note


def test_a_recording_that_torch_refuses_is_no_end(recorded, monkeypatch):
    def refuse(step):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    def loss(net, batch, run):
        return {"loss": (net(batch.x.flatten(1)) - 1).square().mean()}

    _, straight = train(loss)
    monkeypatch.setattr(graphs, "record", refuse)
    run, weight = train(loss)
    assert np.array_equal(straight, weight)
    assert "“operation not permitted when stream is capturing”" in run.notes[0]


def test_a_loss_that_is_no_number_is_found_among_replayed_steps(recorded):
    def loss(net, batch, run):
        high = (batch.placed == 3).any()  # of one batch an epoch
        return {"loss": net(batch.x.flatten(1)).mean() * torch.where(high, torch.nan, 1.0)}

    with pytest.raises(Exception, match="stopped being a number at step"):
        train(loss)


def test_nothing_is_recorded_where_it_is_switched_off(recorded, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_CAPTURE", "0")
    run, _ = latents("gaussian_vae", small("digits"))
    assert not recorded
    assert run.notes == []


def test_an_optimiser_from_a_gpu_is_one_of_the_processor_again():
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([weight], 0.1)
    weight.sum().backward()
    optimiser.step()
    (group,) = optimiser.param_groups
    group |= {"fused": True, "capturable": True, "lr": torch.tensor(0.1)}
    suit_device(optimiser)
    assert (group["fused"], group["capturable"]) == (False, False)
    assert isinstance(group["lr"], float)
    optimiser.step()
    assert weight.detach().numpy() == pytest.approx(0.8, abs=1e-3)
