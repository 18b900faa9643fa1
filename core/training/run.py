"""What a fit is given: device and precision, seeds, batches that resume, reports, checkpoints, and
the request to stop.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact
from core.errors import Cancelled, UserError, out_of_memory
from core.settings import Settings
from core.training.checkpoints import ANEW, Checkpoints, flat, unflat
from core.training.early_stopping import LEAST, Stopping
from core.training.loader import Inputs, in_order

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

LOOKS = 10  # times a training is watched
LOOSE = 10  # steps after which a loss is looked at, at the latest
NAMED = 5  # cases of a bad batch that are named
GPUS = Path("/proc/driver/nvidia/gpus")  # one entry for each in the machine, usable or not


def gpu_here() -> bool:
    """Whether this machine has a graphics card of NVIDIA's, usable or not; looks for traces of its
    driver, since importing torch takes a second.
    """
    return (GPUS.exists() and any(GPUS.iterdir())) or shutil.which("nvidia-smi") is not None


@dataclass
class Batch:
    """`x` float32 [b,*shape] on the device (tables: NaN = missing; float64 where they are stored
    so: `Standardise` gives float32); `y` int64 class codes, -1 = unknown; `at` int64 positions in
    the data.

    `turn`: the first of an epoch that is not the first epoch. Trap: to compare `epoch` with one
    remembered goes wrong in a run that was resumed. Where memory does not suffice for a whole
    batch, several with the same `step` are its parts: `Run.step` gathers their gradients.
    """

    x: torch.Tensor
    y: torch.Tensor
    at: np.ndarray
    step: int
    epoch: int
    turn: bool = False


@dataclass
class Run:
    """The circumstances of one fit. Methods take everything that is not mathematics from here.

    `report_to(step, total, scalars)` receives progress; `stop()` tells whether the user has
    cancelled; `on` holds the artifacts of the earlier run this one builds upon, by slug. `folder`
    is where checkpoints go; None = keep none. `chosen` holds the int64 row ids the user has picked
    for a method that asks for some. `cache` is a folder that outlives runs, for results worth
    keeping; None = keep none. `note_to(sentence)` hears what is to be read beside the result: that
    it was resumed, what it fell back to; all of them are in `notes`.
    """

    seed: int = 0
    device: str = "auto"
    folder: Path | None = None
    on: dict[str, Artifact] = field(default_factory=dict)
    report_to: Callable[[int, int, dict[str, float]], None] = lambda step, total, scalars: None
    stop: Callable[[], bool] = lambda: False
    resume: bool = False
    checkpoint_every: float = 30.0  # seconds
    chosen: np.ndarray | None = None
    cache: Path | None = None
    # looked at ten times along the training, what it gives is reported; changes nothing
    watch: Callable[[], dict[str, float]] | None = None
    note_to: Callable[[str], None] = lambda words: None
    spent: float = 0.0  # seconds of earlier attempts
    notes: list[str] = field(default_factory=list)
    parts: int = 1  # in which each batch is computed, their gradients gathered

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.checkpoints = Checkpoints(self.folder) if self.folder is not None else None
        self._tracked: dict[str, Any] = {}
        self._fabric: Any = None
        self._net: Any = None
        self._optimiser: Any = None
        self._loop = -1  # of the method's loops over batches, the one that goes on
        self._stopping: Any = None
        self._after = 0
        self._total = 1
        self._before = 0  # steps of the loops that ended
        self._done = 0
        self._data: Dataset | None = None
        self._plan: list[Any] = []
        self._at = np.zeros(0, np.int64)
        self._size = 0  # of a batch of the loop that goes on; 0 between loops
        # of the batch at hand: its share of the rows, whether it is the first, the last
        self._part = (1.0, True, True)
        # step, loss and batch since the loss was looked at
        self._losses: list[tuple[int, Any, np.ndarray]] = []
        if self.resume and not (self.checkpoints and self.checkpoints.found()):
            self.note(
                "Nothing of it had been saved when it was stopped, so it began again from the"
                " start."
            )

    def divide(self) -> bool:
        """After memory did not suffice: go on from the last checkpoint, or from the start where
        there is none, with each batch in twice as many parts.

        False when that is no way out: no batch was being learned from, or its parts are of two or
        three rows already.
        """
        if self._size < 4 * self.parts:
            return False
        self.parts *= 2
        self.note(
            f"Memory did not suffice for {-(-2 * self._size // self.parts)} cases at a time, so"
            f" each batch of {self._size} was computed in {self.parts} parts and their gradients"
            " gathered; statistics of a batch are those of a part."
        )
        self.resume = (
            self.checkpoints is not None and self._loop >= 0 and bool(self.checkpoints.found())
        )
        self.__post_init__()
        return True

    def note(self, words: str) -> None:
        """Say a sentence that is to be read beside the result; said again, it counts once."""
        if words not in self.notes:
            self.notes.append(words)
            self.note_to(words)

    # -- device and seeds --------------------------------------------------------------------------
    @property
    def fabric(self) -> Any:
        """The Lightning Fabric of this run: bf16 mixed precision on a GPU that has it, else
        float32.
        """
        if self._fabric is None:
            import torch
            from lightning_fabric import Fabric

            if self.device == "cuda" and not torch.cuda.is_available():
                raise UserError(
                    "No CUDA device (graphics card) can be used here; have it computed on the"
                    " processor (--device auto or cpu)."
                )
            gpu = self.device in ("auto", "cuda") and torch.cuda.is_available()
            # by the user; a lane's worker is shown its own card
            hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
            if self.device == "auto" and not gpu and not hidden and gpu_here():
                self.note(
                    "This machine has a GPU that could not be used (see its driver), so the"
                    " processor computed this."
                )
            # older GPUs only imitate it, slowly
            fast = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
            self._fabric = Fabric(
                accelerator="cuda" if gpu else "cpu",
                devices=1,
                precision="bf16-mixed" if fast else "32-true",
            )
        return self._fabric

    @property
    def where(self) -> torch.device:
        """The torch device this run computes on."""
        return self.fabric.device

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Torch's generators seeded inside, as they were outside; on a GPU its sums are taken in
        one order and in full float32 as well.

        Without that a GPU gives another result each time, and one a thousandth off the processor's.
        Networks in training are in bf16 all the same.
        """
        import torch

        there = torch.cuda.is_available()
        devices = list(range(torch.cuda.device_count())) if there else []
        with (
            torch.random.fork_rng(devices),
            _one_order() if there and self.device != "cpu" else nullcontext(),
        ):
            torch.manual_seed(self.seed)
            yield

    # -- the training loop -------------------------------------------------------------------------
    def setup(
        self, net: torch.nn.Module, optimiser: torch.optim.Optimizer, **more: Any
    ) -> torch.nn.Module:
        """Move `net` to the device, track it with its optimiser and `more` (things with state_dict)
        for checkpoints; gives the net to call.

        All that needs gradients goes through one call of the returned net, so that precision and
        data parallelism apply.
        """
        import torch

        # Convolutions of few channels are 1.4 times as fast so on a CPU. Trap: a fused optimiser
        # reads restored state in the other order.
        # there is no such order for kernels of volumes
        if all(p.ndim < 5 for p in net.parameters()):
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if backend := Settings().compile:
            torch._dynamo.config.suppress_errors = True
            # in place, so that weights keep their names in what is saved
            net.compile(backend=backend)
            self.note(f"Its network was compiled ({backend}) where that is possible.")
        self._net, self._optimiser = self.fabric.setup(net, optimiser)
        self._tracked = {"net": net, "optimiser": optimiser, **more}
        net.train()
        return self._net

    def step(self, loss: torch.Tensor, clip: float | None = None) -> None:
        """Backward pass and optimiser step, which waits for the last part of a batch. Raises
        UserError, naming the step, once the loss is not finite.
        """
        share, first, last = self._part
        if first:
            self._optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss if first and last else loss * share)
        loss = loss.detach()
        if not last:
            self._losses.append((self._done + 1, loss, self._at))
            return
        self._losses.append((self._done + 1, loss, self._at))
        if clip is not None:  # a gradient that is no number counts as a loss that is none
            norm = self.fabric.clip_gradients(
                self._net, self._optimiser, max_norm=clip, error_if_nonfinite=False
            )
            self._losses.append((self._done + 1, norm, self._at))
        self._optimiser.step()

    def cosine(self, peak: float, after: float = 0.0) -> None:
        """Set the step size at this batch: `peak` for the first share `after` of the steps, from
        there falling to 0 along half a cosine.
        """
        import math

        start = after * self._total
        for group in self._optimiser.param_groups:
            group["lr"] = (
                0.5
                * peak
                * (1 + math.cos(math.pi * max(0.0, self._done - start) / (self._total - start)))
            )

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
        must be tracked (see `setup`) or be worked out again from what is. A batch comes in `parts`
        of at least two rows where memory did not suffice for it in one.
        """
        import torch

        n = len(data.rows)
        per_epoch = max(1, n // size if drop_last else -(-n // size))
        start = self._begin(data if of is None else of, per_epoch * epochs, [n, size, epochs])
        self._size = min(n, size)

        def wanted() -> Iterator[np.ndarray]:
            for step in range(start, self._total):
                epoch, k = divmod(step, per_epoch)
                if step == start or k == 0:
                    order = (
                        np.random.default_rng((self.seed, epoch)).permutation(n)
                        if shuffle
                        else np.arange(n)
                    )
                yield order[k * size : (k + 1) * size]

        with Inputs(data, self.where, self.folder, self.check) as inputs:
            labels = torch.from_numpy(data.labels).to(self.where)
            for step, (at, x) in enumerate(inputs.batches(wanted()), start):
                self._done, epoch, y = step, step // per_epoch, labels[inputs.place(at)]
                parts = min(self.parts, max(1, len(at) // 2))
                split = (
                    zip(
                        np.array_split(at, parts),
                        x.tensor_split(parts),
                        y.tensor_split(parts),
                        strict=True,
                    )
                    if parts > 1
                    else [(at, x, y)]
                )
                for k, (part, x_part, y_part) in enumerate(split):
                    self._at, self._part = part, (len(part) / len(at), k == 0, k == parts - 1)
                    yield Batch(
                        x=x_part,
                        y=y_part,
                        at=part,
                        step=step,
                        epoch=epoch,
                        turn=k == 0 and step % per_epoch == 0 < step,
                    )
                if self._stopping is not None and self._looked(step + 1, per_epoch):
                    break
                self._between(step + 1)
        self._end(start)

    def stop_early(self, patience: int, score: Callable[[], float], after: int = 0) -> None:
        """Have the next loop over batches end when `score()` (lower is better) has had no new best
        for `patience` epochs after the first `after`; the network then gets its best weights. 0 =
        never. Call it after `setup`. See `core.training.early_stopping`.
        """
        if patience:
            self._stopping, self._after = Stopping(self._tracked["net"], patience, score), after
            self._tracked["stopping"] = self._stopping

    def _looked(self, done: int, per_epoch: int) -> bool:
        """After an epoch: whether nothing has improved for so long that the training is over."""
        stopping = self._stopping
        every = per_epoch * -(-LEAST // per_epoch)  # whole epochs
        if done % every or done <= self._after * per_epoch or done == self._total:
            return False
        self._tell(done, {"validation loss": stopping.look()})
        if stopping.over:
            stopping.put_back()
            of = self._total // per_epoch
            self.note(
                f"Stopped at epoch {done // per_epoch} of {of}, since nothing improved on the"
                f" validation cases for {stopping.patience * every // per_epoch} epochs."
            )
        return bool(stopping.over)

    def _begin(self, data: Dataset, total: int, plan: list[Any]) -> int:
        """A loop of `total` steps over `data` begins; gives the steps that are done already."""
        if self._loop >= 0:
            self._before += self._total
        self._loop, self._data, self._total, self._plan, self._losses = (
            self._loop + 1,
            data,
            total,
            plan,
            [],
        )
        start, self._saved = self._restored(), time.monotonic()
        return start

    def _end(self, start: int) -> None:
        """What a loop has come to is kept, so that what follows it can be done again from there."""
        self.check_loss()
        if self.checkpoints is not None and start < self._total:
            self.checkpoint(self._total)
        self._stopping, self._size, self._part = None, 0, (1.0, True, True)

    def _between(self, done: int) -> None:
        if self.stop():
            raise Cancelled
        if done % LOOSE == 0:
            self.check_loss()
        if self.watch is not None and (done == 1 or done % max(1, self._total // LOOKS) == 0):
            self._tell(done, self.watch())
        if (
            self.checkpoints is not None
            and time.monotonic() - self._saved > self.checkpoint_every
            and done < self._total
        ):
            self.checkpoint(done)
            self._saved = time.monotonic()

    def check_loss(self) -> None:
        """UserError naming the step and cases of the batch at which the loss was no finite number
        for the first time, if it was.
        """
        import torch

        looked, self._losses = self._losses, []
        if not looked:
            return
        bad = ~torch.stack([loss.float() for _, loss, _ in looked]).isfinite()
        if bool(bad.any()):
            step, _, at = looked[int(bad.float().argmax())]
            raise UserError(
                f"The loss stopped being a number at step {step}{self._worst(at)}; look at them for"
                " extreme values, or try a smaller learning rate."
            )

    def _worst(self, at: np.ndarray) -> str:
        """The cases of a batch in words, those with the most extreme inputs first."""
        assert self._data is not None
        rows, names = self._data.rows[at], self._data.names()[at]
        order = np.arange(len(at))
        if self._data.samples is not None:
            x = np.abs(self._data.raw(at).reshape(len(at), -1).astype(np.float64))
            order = np.argsort(-np.where(np.isnan(x), 0, x).max(1, initial=0), kind="stable")
        # slices of volumes are called by the volume's row
        deep = getattr(self._data.samples, "depth", 0)
        words = [
            f"row {r // deep}, slice {r % deep}" if deep else f"row {r}"
            for r in rows[order[:NAMED]]
        ]
        said = [
            row + (f" ({name})" if name != f"row {r}" else "")
            for row, r, name in zip(words, rows[order], names[order])
        ]
        more = f" and {len(at) - NAMED} more" if len(at) > NAMED else ""
        return f", in a batch of {len(at)} cases: {', '.join(said)}{more}"

    def check(self) -> None:
        """Raise Cancelled when the user has asked to stop; for methods without batches."""
        if self.stop():
            raise Cancelled

    def report(self, step: int, **scalars: Any) -> None:
        """Say how far training is (`step` of the batches' total) and the values of the curves,
        plain floats or 0-d tensors; of a batch in parts, its last one's.
        """
        if not self._part[2]:
            return
        self._tell(
            step + 1, {k: v.detach() if hasattr(v, "detach") else v for k, v in scalars.items()}
        )

    def _tell(self, done: int, scalars: dict[str, float]) -> None:
        """`done` steps of this loop, which come behind those of the loops before it."""
        self.report_to(self._before + done, self._before + self._total, scalars)

    # -- checkpoints -------------------------------------------------------------------------------
    def checkpoint(self, done: int) -> None:
        """Save the place in the batches, everything tracked and all generators, `done` steps into
        this loop.

        UserError instead when the loss or a weight is no finite number: what was saved last stays
        the last good one.
        """
        import torch

        from core.io.tensors import nested

        assert self.checkpoints is not None
        assert self._data is not None
        self.check_loss()
        if self._net is not None and not all(
            bool(v.isfinite().all()) for v in self._net.parameters()
        ):
            raise UserError(
                f"The weights stopped being numbers at step {done}{self._worst(self._at)}; look at"
                " them for extreme values, or try a smaller learning rate."
            )
        state: dict[str, Any] = {
            "done": done,
            "data": self._data.hash,
            "plan": self._plan,
            "parts": self.parts,
            "where": self._place(),
            "rng": torch.get_rng_state(),
        }
        state |= nested("numpy", flat(self.rng.bit_generator.state))
        if self.where.type == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state(self.where)
        for name, thing in self._things().items():
            state |= nested(name, flat(thing.state_dict()))
        self.checkpoints.save(self._loop, state)

    def _things(self) -> dict[str, Any]:
        # the gradient scaler, where the precision has one
        return {**self._tracked, "precision": self.fabric.strategy.precision}

    def _place(self) -> str:
        """Where and how it computes, in words."""
        return (
            f"{'the GPU' if self.where.type == 'cuda' else 'the processor'}"
            f" ({self.fabric.strategy.precision.precision})"
        )

    def _restored(self) -> int:
        """Put back the newest whole checkpoint of this loop; gives its steps. 0 when the run is
        new, the loop was not reached, or the cases are others.
        """
        if self.checkpoints is None:
            return 0
        if not self.resume:
            if self._loop == 0:
                self.checkpoints.clear()
            return 0
        state, damaged = self.checkpoints.load(self._loop)
        if state is None:
            return 0
        assert self._data is not None
        # cases were excluded since: what it has learned from them must not go on
        if state["data"] != self._data.hash:
            self.note(
                "The cases in use had changed since it was stopped, so it began again from the"
                " start."
            )
            self.checkpoints.clear()
            return 0
        if state["plan"] != self._plan:
            raise UserError(
                "This run cannot go on: it was begun with other batches than it would have now;"
                f" {ANEW}."
            )
        self._put_back(state)
        self.parts = max(self.parts, int(state.get("parts", 1)))
        self.note("It was stopped and resumed from its last checkpoint.")
        if damaged:
            self.note(
                "The newest checkpoint was damaged on the disk, so it went on from the one before."
            )
        if state["where"] != self._place():
            self.note(
                f"It began on {state['where']} and went on on {self._place()}: figures may differ a"
                " little from those of a run in one go."
            )
        return int(state["done"])

    def _put_back(self, state: dict[str, Any]) -> None:
        import torch

        from core.io.tensors import taken

        try:
            for key, thing in self._things().items():
                thing.load_state_dict(unflat(taken(key, state), thing.state_dict()))
        except (KeyError, IndexError, ValueError, RuntimeError) as e:
            raise UserError(
                "This run cannot go on: what it had saved is of another version of the method;"
                f" {ANEW}."
            ) from e
        self.rng.bit_generator.state = unflat(taken("numpy", state), self.rng.bit_generator.state)
        torch.set_rng_state(state["rng"])
        if "rng_cuda" in state and self.where.type == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"], self.where)

    # -- applying ----------------------------------------------------------------------------------
    def map(self, fn: Callable[[torch.Tensor], Any], data: Dataset, size: int = 256) -> Any:
        """`fn(x)` over all rows of `data` in order, without gradients, concatenated as float32
        numpy; `fn` may give a tuple of tensors.
        """
        import torch

        found: list[np.ndarray] = []
        at = 0
        with torch.no_grad():
            for x in in_order(data, self.where, size):
                self.check()
                out = eased(fn, x)
                out = out if isinstance(out, tuple) else (out,)
                found = found or [np.empty((len(data), *o.shape[1:]), np.float32) for o in out]
                for whole, o in zip(found, out, strict=True):
                    whole[at : at + len(x)] = o.float().cpu().numpy()
                at += len(x)
        return found[0] if len(found) == 1 else tuple(found)


@contextmanager
def _one_order() -> Iterator[None]:
    """Inside, torch computes on GPUs in a fixed order, where it can (elsewhere it warns), and
    rounds as on a processor.
    """
    import torch

    switches: Any = torch.utils.deterministic
    before, filled = torch.get_deterministic_debug_mode(), switches.fill_uninitialized_memory
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        torch.use_deterministic_algorithms(True, warn_only=True)
        # it costs time and guards against a mistake of ours only
        switches.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)
            switches.fill_uninitialized_memory = filled


def eased(fn: Callable[[torch.Tensor], Any], x: torch.Tensor) -> Any:
    """`fn(x)`, in halves where memory does not suffice for all of x at once."""
    import torch

    try:
        return fn(x)
    except Exception as e:
        if len(x) < 2 or not out_of_memory(e):
            raise
    if x.is_cuda:
        torch.cuda.empty_cache()
    halves = [eased(fn, half) for half in x.chunk(2)]
    return (
        tuple(map(torch.cat, zip(*halves, strict=True)))
        if isinstance(halves[0], tuple)
        else torch.cat(halves)
    )
