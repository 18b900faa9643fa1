"""Early stopping: ends when nothing improves, with the best weights, and alike after a resume."""

import numpy as np
import pytest
import torch

import core.training.early_stopping
from core.method import check_params
from core.registry import methods
from core.training.run import Run
from tests.contract._fits import small_shared

SCORES = [5.0, 3.0, 4.0, 2.0, 2.5, 2.0, 9.0, 1.0]  # the best before three without one is the fourth


@pytest.fixture(autouse=True)
def a_look_each_epoch(monkeypatch):
    monkeypatch.setattr(core.training.early_stopping, "LEAST", 1)


def train(scores, patience=3, epochs=8, after=0, tell=lambda *a: None, **more):
    """A line fitted to digits, with these scores; gives its weight, its weights after each epoch,
    and the run.
    """
    data = small_shared("digits").part("train")
    run = Run(device="cpu", report_to=tell, **more)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(1))
    net(torch.from_numpy(data.inputs(np.arange(1))))
    run.setup(net, torch.optim.SGD(net.parameters(), 1e-3))
    along = {}
    run.stop_early(patience, lambda: scores[along_epochs[-1]], after)
    along_epochs = []
    for batch in run.batches(data, 32, epochs):
        run.step((net(batch.x) - batch.y[:, None]).square().mean())
        along_epochs.append(batch.epoch)
        along[batch.epoch] = net[1].weight.detach().clone()
        run.report(batch.step)
    return net[1].weight.detach().clone(), along, run


def test_it_ends_when_nothing_improved_and_has_the_weights_that_were_best():
    last, along, run = train(SCORES)
    assert max(along) == 6
    assert torch.equal(last, along[3])
    assert run.notes == [
        "Stopped at epoch 7 of 8, since nothing improved on the validation cases for 3 epochs."
    ]


@pytest.mark.parametrize("how", [{"patience": 0}, {"patience": 5}, {"patience": 3, "after": 4}])
def test_without_need_it_goes_to_the_end_with_the_last_weights(how):
    last, along, run = train(SCORES, **how)
    assert max(along) == 7
    assert torch.equal(last, along[7])
    assert run.notes == []


@pytest.mark.parametrize("at", [8, 10, 15, 19])  # of three steps an epoch; it ends after 21
def test_killed_and_resumed_it_ends_as_it_would_have(tmp_path, at):
    def kill(step, total, scalars):
        if step == at and not scalars:
            raise KeyboardInterrupt

    straight = train(SCORES)[0]
    with pytest.raises(KeyboardInterrupt):
        train(SCORES, folder=tmp_path, checkpoint_every=-1.0, tell=kill)
    steps = []
    resumed, _, run = train(
        SCORES, folder=tmp_path, resume=True, tell=lambda step, *a: steps.append(step)
    )
    assert steps[0] == at
    assert max(steps) == 21
    assert torch.equal(resumed, straight)
    assert run.notes[-1].startswith("Stopped at epoch 7 of 8")
    again, _, _ = train(
        SCORES, folder=tmp_path, resume=True, tell=lambda step, *a: pytest.fail("all was done")
    )
    assert torch.equal(again, straight)


@pytest.mark.parametrize("id", ["gaussian_vae", "dirichlet_vae", "classifier"])
def test_methods_that_offer_it_look_at_validation_cases_only_and_report_the_loss(id):
    kind, data, seen = methods()[id], small_shared("digits"), []
    params = check_params(kind, kind.tiny | {"epochs": 6, "patience": 5})
    run = Run(
        device="cpu",
        report_to=lambda step, total, scalars: (
            seen.append(scalars["validation loss"]) if "validation loss" in scalars else None
        ),
    )
    with run.seeded():
        kind(params).fit(data, run)
    assert seen
    assert np.isfinite(seen).all()
    without = Run(
        device="cpu",
        report_to=lambda step, total, scalars: (
            pytest.fail("a look") if "validation loss" in scalars else None
        ),
    )
    with without.seeded():
        kind(params).fit(data.part("train"), without)
