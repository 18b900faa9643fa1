"""How samples reach the device: kept there as stored where they fit, else laid out flat once and
read ahead by one thread.

Stored values (uint8, int16, ...) become model inputs on the device, bit for bit as `Dataset.inputs`
makes them, so that pictures take a quarter of the memory: float32, or float64 for tables that are
stored so. Chunks on disk are made for reading in order: a batch of rows in random order unpacks
dozens of them, and a flat copy of the rows gives it a thousand times as fast, at the cost of one
pass and of the disk space until training ends.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError
from core.io.files import write_rows
from core.io.threads import read_ahead

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

# bytes of samples, as stored, kept in memory; larger data is read from disk while training
MEMORY_LIMIT = 2 << 30
# they may also take at most this part of what is free; on a GPU, whose memory nothing else wants,
# this alone bounds them
SHARE = 4
BLOCK = 16 << 20  # bytes read at a time in order
AT_ONCE = 1 << 20  # bytes of batches read ahead at a time
# types torch turns into float32 as numpy does; others are turned before
ON_DEVICE = tuple(np.dtype(t) for t in ("u1", "i1", "i2", "i4", "f2", "f4"))


def device_of(nets: Iterable[Any]) -> Any:
    """Return the torch device that networks lie on; the processor for what has no parameters."""
    import torch

    return next((p.device for net in nets for p in net.parameters()), torch.device("cpu"))


def free_bytes(device: Any) -> int:
    """Memory that is free: of the GPU `device` is, else of the machine."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def room(device: Any) -> int:
    """Bytes of samples, as stored, that are kept on `device` while training."""
    free = free_bytes(device) // SHARE
    return free if device.type == "cuda" else min(MEMORY_LIMIT, free)


def row_bytes(data: Dataset) -> int:
    """Bytes of one sample as stored. UserError for text, which has none."""
    if data.samples is None:
        data.raw()
    return max(1, data.samples.dtype.itemsize * int(np.prod(data.shape)))


class Positions:
    """Positions [n] in a dataset, int64: `at` here, `placed` on `device`. A slice of them is one of
    both, so that an epoch's order goes to a GPU once and not a batch at a time, which it would have
    to wait for.
    """

    def __init__(self, at: np.ndarray, device: torch.device) -> None:
        import torch

        self.at, self.placed = at, torch.from_numpy(at).to(device)

    def __getitem__(self, part: slice) -> Positions:
        some = object.__new__(Positions)
        some.at, some.placed = self.at[part], self.placed[part]
        return some

    def __len__(self) -> int:
        return len(self.at)


class Inputs:
    """Batches of `data` on `device`, as `Dataset.inputs` gives them. A context: what it has laid
    out on disk, in `folder`, goes when it ends.

    Costs: samples that fit (`room`) are read once into memory (of the GPU where there is one, a
    block at a time); larger ones are copied once, uncompressed, to disk, and a thread reads the
    next batch while the last one is used. `check` is called between blocks read and may raise.
    """

    def __init__(
        self,
        data: Dataset,
        device: torch.device,
        folder: Path | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.data, self.device, self.folder, self.check = data, device, folder, check
        self.turned = on_device(data, device)

    def __enter__(self) -> Inputs:

        data = self.data
        self.temporary: Any = None
        self.array: Any = None
        self.held: torch.Tensor | None = None
        size = len(data) * row_bytes(data)
        fits = size <= room(self.device)
        self.rows = np.arange(len(data))
        if isinstance(data.samples, np.ndarray) and self.device.type == "cpu":
            self.array, self.rows, fits = data.samples, data.rows, True  # in memory already
        elif fits and self.device.type == "cuda":
            self.held = self._held()
        elif fits:
            self.array = plain(data.raw(), data) if size <= BLOCK else self._read_whole()
        elif isinstance(data.samples, np.ndarray):
            self.array, self.rows = data.samples, data.rows
        else:
            self._lay_out()
        self.fits = fits
        return self

    def __exit__(self, *of: object) -> None:
        self.array = self.held = None
        if self.temporary is not None:
            self.temporary.cleanup()

    def batches(self, wanted: Iterable[Positions]) -> Iterator[tuple[Positions, torch.Tensor]]:
        """(positions, model inputs [b,*shape] on the device) for each of `wanted`, of `data`."""
        import torch

        if self.held is not None:
            for some in wanted:
                x = self.held[some.placed]
                yield some, x if self.ready else self.turned(x)
        elif self.fits:
            for some in wanted:
                yield some, self.turned(torch.from_numpy(self._at(some.at)))
        else:
            for several, read in read_ahead(self._several, self._grouped(wanted)):
                held = read.to(self.device, non_blocking=True)
                for some, x in zip(several, held.split([len(some) for some in several])):
                    yield some, self.turned(x)

    def _at(self, at: np.ndarray) -> np.ndarray:
        return plain(np.take(self.array, self.rows[at], axis=0), self.data)

    def _grouped(self, wanted: Iterable[Positions]) -> Iterator[list[Positions]]:
        """Small batches several at a time, since handing one over costs as much as reading a
        hundred pictures.
        """
        group: list[Positions] = []
        for some in wanted:
            group.append(some)
            if sum(map(len, group)) * row_bytes(self.data) >= AT_ONCE:
                yield group
                group = []
        if group:
            yield group

    def _several(self, group: list[Positions]) -> tuple[list[Positions], torch.Tensor]:
        whole = np.concatenate([some.at for some in group])
        return group, pinned(self._at(whole), self.device)

    def _blocks(self) -> Iterator[np.ndarray]:
        """Positions in the order in which they are stored, a block at a time."""
        order = np.argsort(self.data.rows, kind="stable")
        per = max(1, BLOCK // row_bytes(self.data))
        for i in range(0, len(order), per):
            if i:
                self.check()
            yield order[i : i + per]

    def _read_whole(self) -> np.ndarray:
        kind = self.data.samples.dtype
        out = np.empty(
            (len(self.data), *self.data.shape), kind if kind in ON_DEVICE else self.data.input_type
        )
        for at, block in read_ahead(lambda at: (at, self.data.raw(at)), self._blocks()):
            out[at] = block
        return out

    def _held(self) -> torch.Tensor:
        """All samples on the GPU, as inputs where there is room for these, else as stored."""
        import torch

        self.ready = self.data.input_type.itemsize * len(self.data) * int(
            np.prod(self.data.shape)
        ) <= room(self.device)
        out: torch.Tensor | None = None
        for at, stored in read_ahead(
            lambda at: (
                torch.from_numpy(at),
                pinned(plain(self.data.raw(at), self.data), self.device),
            ),
            self._blocks(),
        ):
            block = stored.to(self.device, non_blocking=True)
            block = self.turned(block) if self.ready else block
            if out is None:
                out = torch.empty(
                    (len(self.data), *self.data.shape), dtype=block.dtype, device=self.device
                )
            out[at.to(self.device)] = block
        assert out is not None
        return out

    def _lay_out(self) -> None:
        # by an attempt that was killed
        for left in self.folder.glob("inputs-*") if self.folder is not None else ():
            shutil.rmtree(left, ignore_errors=True)
        self.temporary = tempfile.TemporaryDirectory(
            prefix="inputs-", dir=self.folder, ignore_cleanup_errors=True
        )
        path = Path(self.temporary.name) / "inputs.npy"
        order = np.argsort(self.data.rows, kind="stable")
        try:
            write_rows(path, _Ordered(self.data, self.check), order, BLOCK)  # type: ignore[arg-type]
        except OSError as e:
            size = len(order) * row_bytes(self.data) / 1e9
            raise UserError(
                f"The cases do not fit in memory and need {size:.1f} GB of disk space while"
                f" training ({e.strerror}); free some, or take fewer cases."
            ) from e
        self.array = np.load(path, mmap_mode="r", allow_pickle=False)
        self.rows[order] = np.arange(len(order))


class _Ordered:
    """What `write_rows` needs of an array, read through the dataset's view."""

    def __init__(self, data: Dataset, check: Callable[[], None]) -> None:
        self.data = data
        self.check = check
        self.shape = (len(data), *data.shape)
        self.dtype = data.samples.dtype

    def __getitem__(self, at: np.ndarray) -> np.ndarray:
        self.check()
        return self.data.raw(at)


def plain(raw: np.ndarray, data: Dataset) -> np.ndarray:
    """Return stored values in a type that torch turns into inputs as numpy does."""
    return raw if raw.dtype in (*ON_DEVICE, data.input_type) else raw.astype(data.input_type)


def pinned(raw: np.ndarray, device: torch.device) -> torch.Tensor:
    """`raw` as a tensor; for a GPU in memory from which it copies while it computes. Trap: torch
    would copy there with as many threads as there are processors, which then spin (a training on a
    GPU took twelve times the processor time); numpy does with one.
    """
    import torch

    tensor = torch.from_numpy(raw)
    if device.type == "cuda":
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        tensor.numpy()[...] = raw
    return tensor


def on_device(data: Dataset, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function: stored values [b,*shape] on `device` -> model inputs, bit for bit those of
    `Dataset.inputs`.
    """
    import torch

    if data.input_type == np.float64:
        return lambda x: x
    if data.modality not in ("image", "volume"):
        return lambda x: x.float()
    low, high = data.input_range
    # Trap: a GPU divides by a plain number as it multiplies by its inverse, which rounds otherwise;
    # by a tensor it divides.
    start, span = (torch.tensor(np.float32(v), device=device) for v in (low, high - low))
    return lambda x: (x.float() - start).div_(span).clamp_(0.0, 1.0)


def in_order(data: Dataset, device: torch.device, size: int) -> Iterator[torch.Tensor]:
    """All rows of `data` as model inputs on `device`, `size` at a time, read once, in larger blocks
    and ahead.
    """
    n, turned = len(data), on_device(data, device)
    per = size * max(1, BLOCK // (size * row_bytes(data)))
    for block in read_ahead(
        lambda i: pinned(plain(data.raw(np.arange(i, min(i + per, n))), data), device),
        range(0, n, per),
    ):
        for part in block.to(device, non_blocking=True).split(size):
            yield turned(part)
