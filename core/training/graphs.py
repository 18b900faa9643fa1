"""Training steps on a GPU, recorded once and replayed (CUDA graphs).

A step of a small network is hundreds of short calls, and their number, not their work, takes the
time; replayed, a step is one call. What is recorded runs on the same memory and takes the same
branches each time, so it must not depend on anything of the batch but its tensors, draw random
numbers on the processor, or wait for the GPU. Steps that do are computed call by call, and the run
says why.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from core.settings import Settings
from core.training.generators import generator_states, set_generator_states

if TYPE_CHECKING:
    from core.training.loop import Batch, Loop

WARM_UP = 3  # steps of a kind that are computed call by call, and watched, before it is recorded
SLOWER = "so they were computed call by call, which takes longer"


class CannotRecordError(Exception):
    """A step that would not be the same when replayed; says why."""


class BatchOfTensors:
    """What a recorded step may know of its batch: `x`, `y`, `placed` and `phase`, see `Batch`."""

    def __init__(self, batch: Batch) -> None:
        self.x, self.y, self.placed = batch.x, batch.y, batch.placed
        self.phase = batch.phase

    def __getattr__(self, name: str) -> Any:
        raise CannotRecordError(f"they depend on each batch's “{name}”")

    def copy(self) -> BatchOfTensors:
        """Return one with memory of its own."""
        other = object.__new__(BatchOfTensors)
        other.__dict__ = {
            k: v.clone() if hasattr(v, "clone") else v for k, v in self.__dict__.items()
        }
        return other

    def fill(self, batch: Batch) -> None:
        """Take over the values of a batch of the same shapes."""
        self.x.copy_(batch.x)
        self.y.copy_(batch.y)
        self.placed.copy_(batch.placed)


class Steps:
    """The steps of an ordinary training (see `core.training.ordinary`): loss, gradients, optimiser.

    On a GPU those on whole batches are recorded, once for each shape and phase, after WARM_UP steps
    of that kind.
    """

    def __init__(
        self,
        loop: Loop,
        net: Any,
        loss: Callable[[Any, Any], dict[str, Any]],
        clip: float | None,
    ) -> None:
        self.loop, self.net, self.loss, self.clip = loop, net, loss, clip
        loop.ordinary = True
        settings = Settings()
        self.records = can_record(loop) and settings.capture and not settings.compile
        self.seen: Counter[Hashable] = Counter()
        self.recorded: dict[Hashable, Recorded] = {}

    def take(self, batch: Batch) -> dict[str, Any]:
        """Make one step; gives what `loss` does, detached from what it was computed from."""
        whole = self.loop.first and self.loop.last and len(batch.x) == self.loop.size
        if not (self.records and whole):
            return self._compute(batch)
        kind = (batch.x.shape, batch.x.dtype, batch.phase)
        try:
            if kind in self.recorded:
                return self.recorded[kind].replay(batch)
            self.seen[kind] += 1
            if self.seen[kind] <= WARM_UP:
                return self._watch(batch, self.seen[kind] == WARM_UP)
            self.recorded[kind] = Recorded(self, batch)
            return self.recorded[kind].replay(batch)
        except CannotRecordError as e:
            self.give_up(str(e))
            return self._compute(batch)

    def give_up(self, why: str) -> None:
        """Record no step of this training."""
        self.records = False
        self.loop.run.note(f"Its training steps could not be recorded on the GPU: {why}, {SLOWER}.")

    def _compute(self, batch: Any) -> dict[str, Any]:
        scalars = self.loss(self.net, batch)
        self.loop.run.step(scalars["loss"], clip=self.clip)
        return scalars

    def _watch(self, batch: Batch, last: bool) -> dict[str, Any]:
        """Make a step call by call on what a recorded one may know of its batch; whatever it does
        that could not be recorded ends the recording from the next step on. What waits is looked
        at in the last such step: the first ones set things up.
        """
        before = generator_states(self.loop.run)
        with warm_up(self.loop), waits() as waited:
            try:
                scalars = self._compute(BatchOfTensors(batch))
            except CannotRecordError:  # the step is made again: with the same numbers
                set_generator_states(self.loop.run, before)
                raise
        if draws_here(self.loop, before):
            self.give_up("they draw random numbers on the processor")
        elif waited and last:
            self.give_up("they wait for it")
        return scalars


class Recorded:
    """One recorded step: the memory its batch is copied into, and that its values are read from."""

    def __init__(self, steps: Steps, batch: Batch) -> None:
        import torch

        self.loop = steps.loop
        self.batch = BatchOfTensors(batch).copy()
        self.clips = steps.clip is not None
        self.plain: dict[str, Any] = {}  # of what the loss gives, that is no tensor
        self.names: list[str] = []

        def step() -> None:
            self.loop.optimiser.zero_grad(set_to_none=True)
            scalars = steps.loss(steps.net, self.batch)
            norm = self.loop.descend(scalars["loss"], steps.clip)
            values = {k: v.detach() for k, v in scalars.items() if isinstance(v, torch.Tensor)}
            self.names, self.plain = list(values), scalars | values
            ends = [*values.values(), *([norm] if self.clips else [])]
            self.values = torch.stack([v.float() for v in ends if v is not None])

        before = generator_states(self.loop.run)
        try:
            self.again = record(step)
        except RuntimeError as e:
            words = str(e).strip().splitlines()[0].rstrip(".") if str(e).strip() else "no reason"
            set_generator_states(self.loop.run, before)
            raise CannotRecordError(f"torch says “{words}”") from e
        if draws_here(self.loop, before):
            set_generator_states(self.loop.run, before)
            raise CannotRecordError("they draw random numbers on the processor")

    def replay(self, batch: Batch) -> dict[str, Any]:
        """Make the step on this batch."""
        self.batch.fill(batch)
        self.again()
        values = self.values.clone()  # the next replay writes where these are
        scalars = self.plain | dict(zip(self.names, values))
        self.loop.log_loss(scalars["loss"])
        if self.clips:
            self.loop.log_loss(values[-1])
        return scalars


def can_record(loop: Loop) -> bool:
    """Whether steps of this loop can be recorded: on a GPU of NVIDIA's, by one process."""
    return bool(loop.run.where.type == "cuda") and not loop.run.ranks.several


def record(step: Callable[[], None]) -> Callable[[], None]:
    """Call `step`, whose work is recorded and not done; gives what does it."""
    import torch

    graph = torch.cuda.CUDAGraph()
    # other threads, which read ahead, may allocate meanwhile
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    return graph.replay


@contextmanager
def warm_up(loop: Loop) -> Iterator[None]:
    """Inside, the GPU works on a stream that is not the usual one, as torch wants it before a
    recording.
    """
    import torch

    if loop.run.where.type != "cuda":
        yield
        return
    usual, other = torch.cuda.current_stream(), torch.cuda.Stream()
    other.wait_stream(usual)
    with torch.cuda.stream(other):
        yield
    usual.wait_stream(other)


@contextmanager
def waits() -> Iterator[list[Any]]:
    """Inside, torch tells where the processor waits for the GPU: what it said is in the list
    afterwards.
    """
    import torch

    told: list[Any] = []
    if not torch.cuda.is_available():
        yield told
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield told
        finally:
            torch.cuda.set_sync_debug_mode(before)
            told += [w for w in caught if "called a synchronizing" in str(w.message)]


def draws_here(loop: Loop, before: dict[str, Any]) -> bool:
    """Whether a generator of the processor has been drawn from since."""
    now = generator_states(loop.run)
    own = loop.run.where.type == "cpu"  # what is drawn there is drawn where it computes
    return bool(
        now["numpy"] != before["numpy"]
        or (not own and not np.array_equal(now["torch"], before["torch"]))
    )
