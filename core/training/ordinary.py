"""The loop most methods need: one network, one optimiser, a schedule, the best weights kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.loop import Batch
    from core.training.run import Run

# step sizes: constant, half a cosine down to 0, or a function of (step, steps in all)
Schedule = Literal["cosine"] | Callable[[int, int], float] | None


def fit_network(
    run: Run,
    net: torch.nn.Module,
    loss: Callable[[Any, Batch], dict[str, torch.Tensor]],
    data: Dataset,
    params: Any,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    clip: float | None,
    drop_last: bool,
    validation: Callable[[], float] | None,
    of: Dataset | None,
) -> None:
    """Train `net` in place over the batches of `data`; see `Run.fit`.

    `loss` calls the network it is given, which is `net` on the run's device in its precision.
    """
    called = run.setup(net, optimiser)
    if validation is not None:
        run.stop_early(params.patience, validation)
    batches = run.batches(data, params.batch_size, params.epochs, drop_last=drop_last, of=of)
    for batch in batches:
        if schedule == "cosine":
            run.cosine(params.learning_rate)
        elif schedule is not None:
            run.set_rate(schedule(batch.step, run.loop.total))
        scalars = loss(called, batch)
        run.step(scalars["loss"], clip=clip)
        run.report(batch.step, **scalars)
