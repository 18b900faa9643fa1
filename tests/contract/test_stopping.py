"""A run that is cancelled, killed, or short of memory."""

import re

import pytest
import torch

from core.errors import Cancelled, UserError
from core.registry import methods
from core.training.run import Run
from tests.contract._fits import (
    TRAINED,
    assert_same,
    data_for,
    fit,
    shared,
)


@pytest.mark.parametrize("id", methods())
def test_cancelled_it_stops_at_once_and_leaves_nothing(id, tmp_path):
    asked, steps = [], []
    few = 2 if id in TRAINED else 0  # batches before the user gives up

    def stop():
        asked.append(1)
        return len(asked) > few

    before = torch.get_rng_state().clone()
    with pytest.raises(Cancelled):
        fit(
            id,
            stop=stop,
            folder=tmp_path,
            report_to=lambda step, total, scalars: steps.append(step),
        )
    assert len(asked) == few + 1
    assert not steps or max(steps) <= few + 1
    assert not list(tmp_path.rglob("artifact.json"))
    assert torch.equal(before, torch.get_rng_state())


class Killed(Exception):
    pass


@pytest.mark.parametrize("id", TRAINED)
def test_killed_early_late_and_after_its_last_step_it_ends_as_if_nothing_had_happened(id, tmp_path):
    """The same run is killed at its third step, in mid-epoch in its last third, and when it
    describes what it learned; each time it goes on from there.
    """
    total, first = 0, []

    def killed_at(wanted):
        def report(step, of, scalars):
            nonlocal total
            total = of
            first.append(step)
            if step == wanted:
                raise Killed

        return report

    def begun(at, resume=True):
        first.clear()
        with pytest.raises(Killed):
            fit(id, folder=tmp_path, checkpoint_every=-1.0, resume=resume, report_to=killed_at(at))
        return first[0]

    assert begun(3, resume=False) == 1
    late = max(4, total - total // 5)
    assert begun(late) == 3  # two were done, the third is done again

    def killed_when_describing(words):
        if words.startswith("describing"):
            raise Killed

    first.clear()
    with pytest.raises(Killed):
        fit(id, folder=tmp_path, resume=True, report_to=killed_at(0), phase=killed_when_describing)
    assert first[0] == late
    first.clear()
    _, resumed = fit(id, folder=tmp_path, checkpoint_every=1e9, resume=True, report_to=killed_at(0))
    assert first == [], "all was learned"
    assert_same(resumed, shared(id)[1], tolerance=1e-5)


class Poisoned(Run):
    """The loss of the second step is no number."""

    steps = 0

    def step(self, loss, clip=None):
        self.steps += 1
        super().step(loss * float("nan") if self.steps == 2 else loss, clip)


@pytest.mark.parametrize("id", TRAINED)
def test_a_loss_that_is_no_number_is_told_with_its_step(id):
    with pytest.raises(
        UserError, match=r"loss .* at step \d+, in a batch of \d+ cases: row \d+"
    ) as said:
        fit(id, kind_of_run=Poisoned)
    assert int(re.search(r"at step (\d+)", str(said.value))[1]) == 2
    named = [int(r) for r in re.findall(r"row (\d+)", str(said.value))]
    assert set(named) <= set(data_for(id).part("train").rows.tolist())


class Tight(Run):
    """Memory suffices for half a batch."""

    def step(self, loss, clip=None):
        self.learned = [*getattr(self, "learned", []), len(self.loop.positions)]
        if len(self.loop.positions) > self.loop.size // 2 + 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        super().step(loss, clip)


@pytest.mark.parametrize("id", TRAINED)
def test_memory_for_half_a_batch_suffices_or_the_size_to_try_is_told(id):
    runs = []

    def tight(**given):
        runs.append(Tight(**given, stop=lambda: len(getattr(runs[0], "learned", [])) > 6))
        return runs[0]

    if not methods()[id].divides:
        with pytest.raises(
            UserError, match=r"Memory does not suffice for .* in batches of \d+; try \d+"
        ):
            fit(id, kind_of_run=tight)
        return
    with pytest.raises(Cancelled):
        fit(id, kind_of_run=tight)
    whole, *parts = runs[0].learned
    assert runs[0].accumulation_steps == 2
    assert len(parts) >= 6
    assert max(parts) == -(-whole // 2)
    assert "in 2 parts" in runs[0].notes[0]
