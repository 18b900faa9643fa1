"""Memory that does not suffice: a batch goes in parts, and nothing is learned again in vain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.data.dataset import Dataset
from core.errors import UserError
from core.training.fit import fit_and_apply
from core.training.inference import retry_in_halves
from core.training.run import Run
from tests.survive._fragile import run_in, some_digits, stopped, trained
from tests.survive.methods.fragile import Fragile


@pytest.fixture(scope="module")
def data() -> Dataset:
    return some_digits()


def test_parts_of_a_batch_add_up_to_it(data: Dataset) -> None:
    """Of a loss that is a mean over cases, whatever the parts' sizes; the gradient is cut, and the
    weights moved, once a batch.
    """
    import torch

    def learned(parts: int) -> tuple[Any, list[int], list[tuple[int, int]]]:
        torch.manual_seed(0)
        net = torch.nn.Linear(64, 3)
        run = Run(device="cpu", accumulation_steps=parts)
        told: list[int] = []
        run.report_to = lambda step, total, scalars: told.append(step)
        run.setup(net, torch.optim.Adam(net.parameters(), 0.01))
        seen = []
        for batch in run.batches(data.part("train"), 26, 2):
            run.step((net(batch.x.flatten(1)) - batch.y[:, None]).square().mean(), clip=0.5)
            run.report(batch.step)
            seen.append((batch.step, len(batch.at)))
        return net.weight.detach().double(), told, seen

    whole, told, _ = learned(1)
    for parts in (2, 3, 64):
        weight, again, seen = learned(parts)
        torch.testing.assert_close(weight, whole, rtol=1e-4, atol=1e-5)
        assert again == told
        assert min(n for _, n in seen) >= 2
        if parts == 3:
            assert seen[:3] == [(0, 9), (0, 9), (0, 8)]


def test_memory_that_does_not_suffice_is_answered_by_parts_of_a_batch(
    data: Dataset, tmp_path: Any
) -> None:
    method, found = fit_and_apply(
        Fragile, Fragile.Params(batch_size=32, fits=10), data, Run(device="cpu", folder=tmp_path)
    )
    assert found[0].made_by.params["batch_size"] == method.params.batch_size == 32
    assert [n.split(" so ")[1][:47] for n in found[0].made_by.notes] == [
        f"each batch of 32 was computed in {k} parts and th" for k in (2, 4)
    ]
    np.testing.assert_array_equal(
        found[0].z, trained(data, Run(device="cpu", accumulation_steps=4), batch_size=32)
    )


def test_where_no_part_is_small_enough_a_sentence_says_so(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="not suffice for Fragile with these cases; choose smaller"):
        trained(data, Run(device="cpu"), fits=1)
    monkeypatch.setattr(Fragile, "divides", False)
    with pytest.raises(UserError, match="not suffice for Fragile in batches of 32; try 16, or"):
        trained(data, Run(device="cpu"), batch_size=32, fits=16)


def test_memory_outside_a_loop_is_no_reason_to_learn_again(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def full(*_: Any) -> None:
        tried.append(1)
        raise MemoryError

    monkeypatch.setattr(Fragile, "make", full)
    with pytest.raises(UserError, match="not suffice"):
        trained(data, Run(device="cpu"))
    assert tried == [1]


def test_memory_that_sufficed_before_goes_on_in_parts_from_the_last_checkpoint(
    data: Dataset, tmp_path: Any
) -> None:
    """What other programs take may change at any time. Killed after that, it goes on in parts."""
    stopped(data, run_in(tmp_path, 3))
    begun: list[int] = []
    run = run_in(tmp_path, resume=True)
    run.report_to = lambda step, total, scalars: begun.append(step)
    z = trained(data, run, fits=8)
    assert run.accumulation_steps > 1
    assert begun[0] > 1
    assert np.isfinite(z).all()
    again = run_in(tmp_path, resume=True)
    np.testing.assert_array_equal(trained(data, again), z)
    assert again.accumulation_steps == run.accumulation_steps


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_describing_goes_on_in_smaller_parts(error: Exception) -> None:
    import torch

    def fn(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(x) > 3:
            raise error
        return x * 2, x.sum(1)

    x = torch.arange(22.0).reshape(11, 2)
    double, total = retry_in_halves(fn, x)
    assert torch.equal(double, x * 2)
    assert torch.equal(total, x.sum(1))
    with pytest.raises(ValueError, match="else"):
        retry_in_halves(lambda x: (_ for _ in ()).throw(ValueError("else")), x)
