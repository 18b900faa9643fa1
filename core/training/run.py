"""What a fit is given: device and precision, seeds, batches that resume, reports, checkpoints, and
the request to stop. The work is done in `device`, `loop`, `resume` and `inference`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from core.artifacts import Artifact
from core.errors import Cancelled, UserError
from core.training.device import choose_device, gpu_here, open_fabric, own_device, seeded
from core.training.inference import map_rows
from core.training.loop import Batch, Loop
from core.training.ordinary import fit_network
from core.training.ranks import Ranks

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

CALL_BY_CALL = (
    "This method steps by itself, so its training steps were not recorded on the GPU but computed"
    " call by call, which takes longer."
)
A = TypeVar("A", bound=Artifact)

__all__ = ["Batch", "Run", "gpu_here"]


@dataclass
class Run:
    """The circumstances of one fit. Methods take everything that is not mathematics from here."""

    seed: int = 0
    device: str = "auto"  # or "cpu", "cuda"
    folder: Path | None = None  # where checkpoints go; None = keep none
    on: dict[str, Artifact] = field(default_factory=dict)  # of the run this builds on, by slug
    # (step, total, scalars): receives progress
    report_to: Callable[[int, int, dict[str, float]], None] = lambda step, total, scalars: None
    stop: Callable[[], bool] = lambda: False  # whether the user has cancelled
    # hears how far each `map` over a dataset is, 0 to 1
    part_to: Callable[[float], None] = lambda done: None
    resume: bool = False
    checkpoint_every: float = 30.0  # seconds
    chosen: np.ndarray | None = None  # int64 ids of the rows the user picked, where asked for
    cache: Path | None = None  # a folder that outlives runs; None = keep nothing
    # looked at ten times along the training, what it gives is reported; changes nothing
    watch: Callable[[], dict[str, float]] | None = None
    # hears what is to be read beside the result: that it was resumed, what it fell back to
    note_to: Callable[[str], None] = lambda words: None
    spent: float = 0.0  # seconds of earlier attempts
    notes: list[str] = field(default_factory=list)
    ranks: Ranks = field(default_factory=Ranks)  # the processes that train this run together
    accumulation_steps: int = 1  # parts in which each batch is computed, their gradients gathered

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Stand at the start, or where the checkpoints stand; the generator begins anew."""
        self.rng = np.random.default_rng(self.seed)
        self.loop = Loop(self)
        if self.resume and not (self.loop.checkpoints and self.loop.checkpoints.found()):
            self.note(
                "Nothing of it had been saved when it was stopped, so it began again from the"
                " start."
            )

    # -- device, seeds, words ----------------------------------------------------------------------
    @cached_property
    def where(self) -> torch.device:
        """The torch device this run computes on."""
        chosen = choose_device(self.device, self.note)
        return own_device(chosen, self.ranks) if self.ranks.several else chosen

    @cached_property
    def fabric(self) -> Any:
        """The Lightning Fabric that trains (see `core.training.device.open_fabric`)."""
        return open_fabric(self.where, self.ranks)

    def seeded(self) -> AbstractContextManager[None]:
        """Torch's generators seeded inside, as they were outside."""
        return seeded(self.seed, self.device)

    def note(self, words: str) -> None:
        """Say a sentence that is to be read beside the result; said again, it counts once."""
        if words not in self.notes:
            self.notes.append(words)
            self.note_to(words)

    def check(self) -> None:
        """Raise Cancelled when the user has asked to stop; for methods without batches."""
        if self.stop():
            raise Cancelled

    def base(self, kind: type[A]) -> A:
        """Return the artifact of this type of the run this one builds on. UserError when it has
        none.
        """
        for artifact in self.on.values():
            if isinstance(artifact, kind):
                return artifact
        raise UserError(f"The earlier run gives no {kind.__name__}, which this builds on.")

    # -- training ----------------------------------------------------------------------------------
    def setup(
        self, net: torch.nn.Module, optimiser: torch.optim.Optimizer, **more: Any
    ) -> torch.nn.Module:
        """Move `net` to the device, track it with its optimiser and `more` (things with state_dict)
        for checkpoints; gives the net to call.

        All that needs gradients goes through one call of the returned net, so that precision and
        data parallelism apply.
        """
        return self.loop.setup(net, optimiser, **more)

    def batches(
        self,
        data: Dataset,
        size: int,
        epochs: int,
        *,
        drop_last: bool = False,
        shuffle: bool = True,
        of: Dataset | None = None,
    ) -> Iterator[Batch]:
        """Shuffled batches of `data` over `epochs`, the order fixed by (seed, epoch); continues in
        mid-epoch after a resume.

        Between batches it checkpoints, checks the loss, and raises Cancelled when asked to stop.
        BatchNorm wants `drop_last` (a last batch of one row fails); a part smaller than one batch
        is always given whole. `of`: the rows, in the same order, of which `data` holds something
        made; errors speak of them. A method may have several such loops; all that a loop changes
        must be tracked (see `setup`) or be worked out again from what is. A batch comes in parts of
        at least two rows where memory did not suffice for it in one.
        """
        return self.loop.batches(data, size, epochs, drop_last, shuffle, of)

    def step(self, loss: torch.Tensor, clip: float | None = None) -> None:
        """Backward pass and optimiser step, which waits for the last part of a batch. Raises
        UserError, naming the step, once the loss is not finite.
        """
        if self.where.type == "cuda" and not self.loop.ordinary:
            self.note(CALL_BY_CALL)
        self.loop.step(loss, clip)

    # the ordinary training of one network: `run.fit(net, loss, data, params, optimiser=...)`
    fit = fit_network

    def set_rate(self, rate: float) -> None:
        """Set the optimiser's step size from this batch on."""
        self.loop.set_rate(rate)

    def stop_early(self, patience: int, score: Callable[[], float], after: int = 0) -> None:
        """Have the next loop over batches end when `score()` (lower is better) has had no new best
        for `patience` epochs after the first `after`; the network then gets its best weights. 0 =
        never. Call it after `setup`. See `core.training.early_stopping`.
        """
        self.loop.stop_early(patience, score, after)

    def report(self, step: int, **scalars: Any) -> None:
        """Say how far training is (`step` of the batches' total) and the values of the curves,
        plain floats or 0-d tensors; of a batch in parts, its last one's.
        """
        self.loop.report(step, scalars)

    def check_loss(self) -> None:
        """UserError naming the step and cases at which the loss was no number first, if it was."""
        self.loop.losses.check()

    # -- applying ----------------------------------------------------------------------------------
    def map(self, fn: Callable[[torch.Tensor], Any], data: Dataset, size: int = 256) -> Any:
        """`fn(x)` over all rows of `data` in order, without gradients, concatenated as float32
        numpy; `fn` may give a tuple of tensors.
        """
        return map_rows(fn, data, self.where, size, self.check, self.part_to)
