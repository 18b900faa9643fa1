"""The training loops of one run, one after the other: batches in a fixed order, steps, and between
them checkpoints, looks at the loss, early stopping, and the user's request to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import fitted
from core.errors import Cancelled, UserError
from core.settings import Settings
from core.training import resume
from core.training.checkpoints import Checkpoints
from core.training.early_stopping import Stopping
from core.training.loader import Inputs, Positions
from core.training.loss_log import EVERY, LossLog
from core.training.optimisers import suit_device

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run

LOOKS = 10  # times a training is watched


@dataclass
class Batch:
    """`x` float32 [b,*shape] on the device (tables: NaN = missing; float64 where they are stored
    so: `Standardise` gives float32); `y` int64 class codes, -1 = unknown; `at` int64 positions in
    the data, `placed` the same on the device; `phase`: see `core.training.ordinary`.

    `turn`: the first of an epoch that is not the first epoch. Trap: to compare `epoch` with one
    remembered goes wrong in a run that was resumed. Where memory does not suffice for a whole
    batch, several with the same `step` are its parts: `Run.step` gathers their gradients.
    """

    x: torch.Tensor
    y: torch.Tensor
    at: np.ndarray
    placed: torch.Tensor
    step: int
    epoch: int
    turn: bool = False
    phase: Hashable = None


class Loop:
    """What `Run` does of training. `number` counts the method's loops over batches; `total`, `done`
    and `plan` are of the one that goes on, `before` the steps of those that ended.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.checkpoints = Checkpoints(run.folder) if run.folder is not None else None
        self.losses = LossLog()
        self.tracked: dict[str, Any] = {}
        self.net: Any = None
        self.optimiser: Any = None
        self.stopping: Stopping | None = None
        self.number, self.total, self.before, self.done = -1, 1, 0, 0
        self.plan: list[int] = []
        self.positions = np.zeros(0, np.int64)  # in the data, of the batch at hand
        self.size = 0  # of a batch; 0 between loops
        self.ordinary = False  # whether `Run.fit` takes the steps, which then says what it records
        # of the batch at hand: its share of the rows, whether it is the first part, the last
        self.share, self.first, self.last = 1.0, True, True

    # -- the network -------------------------------------------------------------------------------
    def setup(
        self, net: torch.nn.Module, optimiser: torch.optim.Optimizer, **more: Any
    ) -> torch.nn.Module:
        """See `Run.setup`."""
        import torch

        # Convolutions of few channels are 1.4 times as fast so on a CPU. Trap: a fused optimiser
        # reads restored state in the other order.
        fitted.lay_out(net)
        if (backend := Settings().compile) and not self.run.ranks.several:
            torch._dynamo.config.suppress_errors = True
            # in place, so that weights keep their names in what is saved
            net.compile(backend=backend)
            self.run.note(f"Its network was compiled ({backend}) where that is possible.")
        self.net, self.optimiser = self.run.fabric.setup(net, optimiser)
        suit_device(optimiser)
        self.tracked = {"net": net, "optimiser": optimiser, **more}
        net.train()
        if self.run.ranks.several:
            from core.training.split_calls import SplitCalls

            return SplitCalls(self.net, self.run.ranks)  # type: ignore[return-value]
        return self.net

    def step(self, loss: torch.Tensor, clip: float | None) -> None:
        """See `Run.step`."""
        if self.first:
            self.optimiser.zero_grad(set_to_none=True)
        norm = self.descend(loss if self.first and self.last else loss * self.share, clip)
        self.log_loss(loss.detach())
        if norm is not None:
            self.log_loss(norm)

    def descend(self, loss: torch.Tensor, clip: float | None) -> torch.Tensor | None:
        """Add the gradients of `loss` and, on the last part of a batch, move the weights; gives the
        norm of the gradients where they are clipped.
        """
        fabric, norm = self.run.fabric, None
        fabric.backward(loss)
        if self.last:
            if clip is not None:
                norm = fabric.clip_gradients(
                    self.net, self.optimiser, max_norm=clip, error_if_nonfinite=False
                )
            self.optimiser.step()
        return norm

    def log_loss(self, value: torch.Tensor) -> None:
        """Keep the loss of the batch at hand until losses are looked at; the norm of its gradients
        as well, since one that is no number counts as a loss that is none.
        """
        self.losses.add(self.done + 1, value, self.positions)

    def set_rate(self, rate: float) -> None:
        """Set the optimiser's step size from this batch on."""
        import torch

        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def stop_early(self, patience: int, score: Callable[[], float], after: int) -> None:
        """See `Run.stop_early`."""
        if patience:
            agreed = self.run.ranks.agree
            self.stopping = Stopping(self.tracked["net"], patience, lambda: agreed(score()), after)
            self.tracked["stopping"] = self.stopping

    # -- batches -----------------------------------------------------------------------------------
    def batches(
        self,
        data: Dataset,
        size: int,
        epochs: int,
        drop_last: bool,
        shuffle: bool,
        of: Dataset | None,
    ) -> Iterator[Batch]:
        """See `Run.batches`."""
        import torch

        run, n = self.run, len(data.rows)
        per_epoch = max(1, n // size if drop_last else -(-n // size))
        start = self._begin(
            data if of is None else of, per_epoch * epochs, [n, min(n, size), epochs]
        )
        self.size = min(n, size)
        wanted = (
            self._order(n, step // per_epoch, shuffle)[(step % per_epoch) * size :][:size]
            for step in range(start, self.total)
        )
        with Inputs(data, run.where, self.place(), run.check) as inputs:
            labels = torch.from_numpy(data.labels).to(run.where)
            for step, (at, x) in enumerate(inputs.batches(wanted), start):
                self.done, epoch = step, step // per_epoch
                for k, (some, x_some, y_some) in enumerate(self._parts(at, x, labels[at.placed])):
                    turn = k == 0 and step % per_epoch == 0 < step
                    yield Batch(x_some, y_some, some.at, some.placed, step, epoch, turn)
                if self._is_over(step + 1, per_epoch):
                    break
                self._between(step + 1)
        self._end(start)

    def place(self) -> Path | None:
        """Return the folder in which this process may lay out samples; None = the system's."""
        return self.run.folder if self.run.ranks.leads else None

    def _order(self, n: int, epoch: int, shuffle: bool) -> Positions:
        """Positions in the order of this epoch, which (seed, epoch) fixes; the last is kept."""
        key = (n, epoch, shuffle)
        if getattr(self, "_ordered", None) != key:
            rng = np.random.default_rng((self.run.seed, epoch))
            self._ordered = key
            order = rng.permutation(n) if shuffle else np.arange(n)
            self._positions = Positions(order, self.run.where)
        return self._positions

    def _parts(self, at: Positions, x: torch.Tensor, y: torch.Tensor) -> Iterator[Any]:
        """Yield a batch in as many parts as memory asks for, of at least two rows each."""
        parts = min(self.run.accumulation_steps, max(1, len(at) // 2))
        if parts == 1:
            self.positions, self.share, self.first, self.last = at.at, 1.0, True, True
            yield at, x, y
            return
        bounds = np.cumsum([0, *map(len, np.array_split(at.at, parts))]).tolist()
        for k in range(parts):
            part = slice(bounds[k], bounds[k + 1])
            some, x_some, y_some = at[part], x[part], y[part]
            self.positions, self.share = some.at, len(some) / len(at)
            self.first, self.last = k == 0, k == parts - 1
            yield some, x_some, y_some

    def _begin(self, data: Dataset, total: int, plan: list[int]) -> int:
        """Return a loop of `total` steps over `data` begins; gives the steps that are done
        already.
        """
        if self.number >= 0:
            self.before += self.total
        self.number, self.total, self.plan = self.number + 1, total, plan
        self.losses.begin(data)
        start = resume.restore(self)
        # what one reads another must not write over yet
        self.run.ranks.wait()
        self._saved = time.monotonic()
        return start

    @property
    def writes(self) -> bool:
        """Whether this process keeps checkpoints: one alone does."""
        return self.checkpoints is not None and self.run.ranks.leads

    def _is_over(self, done: int, per_epoch: int) -> bool:
        """Whether early stopping ends this loop after `done` steps; its look is reported."""
        stopping = self.stopping
        if stopping is None or not stopping.is_due(done, per_epoch) or done == self.total:
            return False
        self.tell(done, {"validation loss": stopping.look()})
        if stopping.over:
            stopping.put_back()
            self.run.note(stopping.say(done, self.total, per_epoch))
        return stopping.over

    def _between(self, done: int) -> None:
        run = self.run
        try:
            run.check()
        except Cancelled:
            self._keep_for_resume(done)
            raise
        if done % EVERY == 0:
            self.losses.check()
        if run.watch is not None and (done == 1 or done % max(1, self.total // LOOKS) == 0):
            self.tell(done, run.watch())
        if (
            self.writes
            and time.monotonic() - self._saved > run.checkpoint_every
            and done < self.total
        ):
            resume.save(self, done)
            self._saved = time.monotonic()

    def _keep_for_resume(self, done: int) -> None:
        """Save where a run that is cancelled stands, so that a resumed one goes on from here. One
        that cannot be saved (the loss is no number, the disk is full) still ends as cancelled.
        """
        if self.writes and done < self.total:
            with suppress(UserError, OSError):
                resume.save(self, done)

    def _end(self, start: int) -> None:
        """Keep what a loop has come to, so that what follows it can be done again from there."""
        self.losses.check()
        if self.writes and start < self.total:
            resume.save(self, self.total)
        self.stopping, self.size, self.ordinary = None, 0, False
        self.share, self.first, self.last = 1.0, True, True

    # -- reports -----------------------------------------------------------------------------------
    def report(self, step: int, scalars: dict[str, Any]) -> None:
        """See `Run.report`."""
        if self.last:
            values = {k: v.detach() if hasattr(v, "detach") else v for k, v in scalars.items()}
            self.tell(step + 1, values)

    def tell(self, done: int, scalars: dict[str, float]) -> None:
        """`done` steps of this loop, which come behind those of the loops before it."""
        self.run.report_to(self.before + done, self.before + self.total, scalars)
