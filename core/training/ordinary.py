"""The loop most methods need: one network, one optimiser, a schedule, the best weights kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from core.training.graphs import Steps

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.loop import Batch
    from core.training.run import Run

# (step, steps in all) -> step size
Schedule = Callable[[int, int], float]


def half_cosine(peak: float, after: float = 0.0) -> Schedule:
    """Step sizes that are `peak` for the first share `after` of the steps and from there fall to 0
    along half a cosine.
    """

    def rate(step: int, total: int) -> float:
        start = after * total
        share = max(0.0, step - start) / (total - start)
        return 0.5 * peak * (1 + math.cos(math.pi * share))

    return rate


def warm_half_cosine(peak: float, warm: int) -> Schedule:
    """Step sizes that grow to `peak` over `warm` steps and fall to 0 along half a cosine."""
    fall = half_cosine(peak)
    return lambda step, total: fall(step, total) * min(1.0, (step + 1) / warm)


def fit_network(
    run: Run,
    net: torch.nn.Module,
    loss: Callable[[Any, Batch], dict[str, torch.Tensor]],
    data: Dataset,
    params: Any,
    *,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule | None = None,
    clip: float | None = None,
    drop_last: bool = True,
    of: Dataset | None = None,
    track: dict[str, Any] | None = None,
    validation: Callable[[], float] | None = None,
    validate_after: int = 0,
    between_epochs: Callable[[int], None] | None = None,
    after_step: Callable[[Batch], None] | None = None,
    phase: Callable[[Batch], Hashable] | None = None,
) -> None:
    """Train `net` in place over the batches of `data`: what `run.fit` does.

    `loss(net, batch)` gives the curves' values, 0-d tensors, of which "loss" is learned from; the
    network it is given is `net` on the run's device in its precision. `params` (a TrainingParams)
    says `epochs`, `batch_size` and `learning_rate`. `schedule` sets the step size, else it stays
    the optimiser's; `clip` is the largest norm of a gradient. `drop_last` and `of`: see
    `Run.batches`. `track`: what else the training changes, for checkpoints (see `Run.setup`).
    `validation`: see `Run.stop_early`, with `params.patience` and `validate_after` epochs.
    `between_epochs(epoch)` is called as an epoch begins that is not the first, `after_step(batch)`
    when the weights have moved.

    On a GPU steps are recorded and replayed (see `core.training.graphs`), so `loss` is to depend on
    the batch's tensors alone. `phase(batch)` gives what else it depends on, one of a few values,
    which `loss` finds as `batch.phase`; each is recorded by itself.
    """
    called = run.setup(net, optimiser, **track or {})
    if validation is not None:
        run.stop_early(params.patience, validation, validate_after)
    steps = Steps(run.loop, called, loss, clip)
    batches = run.batches(data, params.batch_size, params.epochs, drop_last=drop_last, of=of)
    for batch in batches:
        if between_epochs is not None and batch.turn:
            between_epochs(batch.epoch)
        if schedule is not None:
            run.set_rate(schedule(batch.step, run.loop.total))
        if phase is not None:
            batch.phase = phase(batch)
        scalars = steps.take(batch)
        if after_step is not None and run.loop.last:
            after_step(batch)
        run.report(batch.step, **scalars)
