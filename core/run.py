"""What a fit is given: device and precision, seeds, batches that resume, reports, checkpoints, and the request to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact
from core.errors import Cancelled, UserError

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

LOOKS = 10  # times a training is watched
MEMORY_LIMIT = 2 << 30  # bytes of float32 inputs kept on the device; above it batches are read from disk


@dataclass
class Batch:
    """`x` float32 [b,*shape] on the device (tables: NaN = missing); `y` int64 class codes, -1 = unknown; `at` int64 positions in the data."""

    x: torch.Tensor
    y: torch.Tensor
    at: np.ndarray
    step: int
    epoch: int


@dataclass
class Run:
    """The circumstances of one fit. Methods take everything that is not mathematics from here.

    `report_to(step, total, scalars)` receives progress; `stop()` tells whether the user has cancelled; `on` holds the artifacts of the earlier
    run this one builds upon, by slug. `folder` is where checkpoints go; None = keep none. `chosen` holds the int64 row ids the user has picked
    for a method that asks for some. `cache` is a folder that outlives runs, for results worth keeping; None = keep none.
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
    watch: Callable[[], dict[str, float]] | None = None  # looked at ten times along the training, what it gives is reported; changes nothing


    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._tracked: dict[str, Any] = {}
        self._fabric: Any = None
        self._net: Any = None
        self._optimiser: Any = None
        self._total = 1
        self._done = 0
        self._data = ""
        self._loss: Any = None

    # -- device and seeds -----------------------------------------------------------------------------------------------------------
    @property
    def fabric(self) -> Any:
        """The Lightning Fabric of this run: bf16 mixed precision on a GPU, float32 on a CPU."""
        if self._fabric is None:
            import torch
            from lightning_fabric import Fabric

            if self.device == "cuda" and not torch.cuda.is_available():
                raise UserError("No CUDA device is available here; choose device “auto” or “cpu”.")
            gpu = self.device in ("auto", "cuda") and torch.cuda.is_available()
            self._fabric = Fabric(accelerator="cuda" if gpu else "cpu", devices=1, precision="bf16-mixed" if gpu else "32-true")
        return self._fabric

    @property
    def where(self) -> torch.device:
        """The torch device this run computes on."""
        return self.fabric.device

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Torch's generators seeded inside, as they were outside."""
        import torch

        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)
            yield

    # -- the training loop ----------------------------------------------------------------------------------------------------------
    def setup(self, net: torch.nn.Module, optimiser: torch.optim.Optimizer, **more: Any) -> torch.nn.Module:
        """Move `net` to the device, track it with its optimiser and `more` (things with state_dict) for checkpoints; gives the net to call.

        All that needs gradients goes through one call of the returned net, so that precision and data parallelism apply.
        """
        import torch

        # Convolutions of few channels are 1.4 times as fast so on a CPU. Trap: a fused optimiser reads restored state in the other order.
        if all(p.ndim < 5 for p in net.parameters()):  # there is no such order for kernels of volumes
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net, self._optimiser = self.fabric.setup(net, optimiser)
        self._tracked = {"net": net, "optimiser": optimiser, **more}
        net.train()
        return self._net

    def step(self, loss: torch.Tensor, clip: float | None = None) -> None:
        """Backward pass and optimiser step. Raises UserError, naming the step, once the loss is not finite."""
        self._optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self._loss = loss.detach()
        if clip is not None:  # a gradient that is no number counts as a loss that is none
            self._loss = self._loss + 0 * self.fabric.clip_gradients(self._net, self._optimiser, max_norm=clip, error_if_nonfinite=False)
        self._optimiser.step()

    def cosine(self, peak: float) -> None:
        """Set the step size at this batch: `peak` at the first, falling to 0 at the last along half a cosine."""
        import math

        for group in self._optimiser.param_groups:
            group["lr"] = 0.5 * peak * (1 + math.cos(math.pi * self._done / self._total))

    def batches(self, data: Dataset, size: int, epochs: int, *, drop_last: bool = False, shuffle: bool = True) -> Iterator[Batch]:
        """Shuffled batches of `data` over `epochs`, the order fixed by (seed, epoch); continues in mid-epoch after a resume.

        Between batches it checkpoints, checks the loss, and raises Cancelled when asked to stop. BatchNorm wants `drop_last` (a last batch of
        one row fails); a part smaller than one batch is always given whole.
        """
        import torch

        n, self._data = len(data.rows), data.hash
        per_epoch = max(1, n // size if drop_last else -(-n // size))
        self._total = per_epoch * epochs
        fits = data.inputs_bytes <= MEMORY_LIMIT
        every = torch.from_numpy(data.inputs()).to(self.where) if fits else None
        labels = torch.from_numpy(data.labels).to(self.where)
        start, self._saved = self._restored(), time.monotonic()
        order = None
        for step in range(start, self._total):
            epoch, k = divmod(step, per_epoch)
            if order is None or k == 0:
                order = np.random.default_rng((self.seed, epoch)).permutation(n) if shuffle else np.arange(n)
            at = order[k * size : (k + 1) * size]
            index, self._done = torch.from_numpy(at).to(self.where), step
            x = every[index] if every is not None else torch.from_numpy(data.inputs(at)).to(self.where)
            yield Batch(x=x, y=labels[index], at=at, step=step, epoch=epoch)
            self._between(step + 1)
        self.check_loss(self._total)

    def _between(self, done: int) -> None:
        if self.stop():
            raise Cancelled
        if done % 10 == 0:
            self.check_loss(done)
        if self.watch is not None and (done == 1 or done % max(1, self._total // LOOKS) == 0):
            self.report_to(done, self._total, self.watch())
        if self.folder is not None and time.monotonic() - self._saved > self.checkpoint_every and done < self._total:
            self.checkpoint(done)
            self._saved = time.monotonic()

    def check_loss(self, step: int | None = None) -> None:
        step = self._done + 1 if step is None else step
        if self._loss is not None and not bool(self._loss.isfinite()):
            raise UserError(f"The loss stopped being a number by step {step}; try a smaller learning rate, or check the data for extreme values.")

    def check(self) -> None:
        """Raise Cancelled when the user has asked to stop; for methods without batches."""
        if self.stop():
            raise Cancelled

    def report(self, step: int, **scalars: Any) -> None:
        """Say how far training is (`step` of the batches' total) and the values of the curves, plain floats or 0-d tensors."""
        self.report_to(step + 1, self._total, {k: v.detach() if hasattr(v, "detach") else v for k, v in scalars.items()})

    # -- checkpoints ----------------------------------------------------------------------------------------------------------------
    def checkpoint(self, done: int) -> None:
        """Save everything tracked, torch's generator and the number of steps done, keeping the last good checkpoint until this one stands."""
        import shutil

        import torch

        from core.store.state import nested, save_state

        assert self.folder is not None
        state: dict[str, Any] = {"done": done, "data": self._data, "rng": torch.get_rng_state()}
        if self.where.type == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state(self.where)
        for name, thing in self._tracked.items():
            state |= nested(name, _flat(thing.state_dict()))
        new, old = self.folder / "checkpoint.new", self.folder / "checkpoint"
        shutil.rmtree(new, ignore_errors=True)
        save_state(new, state)
        shutil.rmtree(self.folder / "checkpoint.old", ignore_errors=True)
        if old.exists():
            old.rename(self.folder / "checkpoint.old")
        new.rename(old)

    def _restored(self) -> int:
        if not self.resume or self.folder is None:
            return 0
        import torch

        from core.store.state import load_state, taken

        for name in ("checkpoint", "checkpoint.old"):
            if (self.folder / name / "plain.json").exists():
                state = load_state(self.folder / name)
                if state.get("data", self._data) != self._data:  # cases were excluded since: what it has learned from them must not go on
                    return 0
                for key, thing in self._tracked.items():
                    thing.load_state_dict(_unflat(taken(key, state), thing.state_dict()))
                torch.set_rng_state(state["rng"])
                if "rng_cuda" in state and self.where.type == "cuda":
                    torch.cuda.set_rng_state(state["rng_cuda"], self.where)
                return int(state["done"])
        return 0

    # -- applying -------------------------------------------------------------------------------------------------------------------
    def map(self, fn: Callable[[torch.Tensor], Any], data: Dataset, size: int = 256) -> Any:
        """`fn(x)` over all rows of `data` in order, without gradients, concatenated as float32 numpy; `fn` may give a tuple of tensors."""
        import torch

        parts = []
        with torch.no_grad():
            for i in range(0, len(data.rows), size):
                self.check()
                out = fn(torch.from_numpy(data.inputs(np.arange(i, min(i + size, len(data.rows))))).to(self.where))
                parts.append([o.float().cpu().numpy() for o in (out if isinstance(out, tuple) else (out,))])
        joined = [np.concatenate(p) for p in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 else tuple(joined)


def _flat(state: Any, path: str = "") -> dict[str, Any]:
    """A nested state_dict as one level: lists and dicts opened, keys joined by `/`."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, (list, tuple)) else None
    if items is None:
        return {path: state}
    return {k: v for key, value in items for k, v in _flat(value, f"{path}/{key}" if path else str(key)).items()}


def _unflat(flat: dict[str, Any], like: Any) -> Any:
    """The nested form of `flat`; optimisers start with an empty "state", so its shape comes from the keys, types of keys from torch's habit."""
    tree: dict[Any, Any] = {}
    for path, value in flat.items():
        node, keys = tree, [int(k) if k.isdigit() else k for k in path.split("/")]
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return _as(tree, like)


def _as(tree: Any, like: Any) -> Any:
    if isinstance(like, (list, tuple)):
        return type(like)(_as(tree[i], part) for i, part in enumerate(like))
    if isinstance(like, dict):
        return {k: _as(tree[k], like[k]) if k in like else tree[k] for k in tree} | {k: v for k, v in like.items() if k not in tree}
    return tree
