"""A function of torch tensors over all rows of a dataset, however little memory there is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import is_out_of_memory
from core.io.shared_work import Work, do, helpers, pack, unpack
from core.training.loader import in_order, on_device, plain, row_bytes

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

Function = Callable[[Any], Any]
Opened = tuple[Function, Function, int]  # the function, what makes its inputs, rows of a batch


def map_rows(
    fn: Function,
    data: Dataset,
    device: torch.device,
    size: int,
    check: Callable[[], None],
    report: Callable[[float], None] = lambda done: None,
) -> Any:
    """`fn(x)` over all rows of `data` in order, `size` at a time, without gradients, concatenated
    as float32 numpy; a tuple of arrays where `fn` gives a tuple of tensors.

    `check` is called before each batch and may raise; `report` hears the share that is done, 0 to
    1. On the processor it is shared out where somebody helps (`core.io.shared_work`), unless `fn`
    draws random numbers, keeps what it has seen, or holds what cannot be sent.
    """
    if helpers() is not None and device.type == "cpu" and len(data) > size:
        return _map_shared(fn, data, device, size, check, report)
    return _map_here(fn, data, device, size, check, report)


def _map_here(
    fn: Function,
    data: Dataset,
    device: torch.device,
    size: int,
    check: Callable[[], None],
    report: Callable[[float], None] = lambda done: None,
) -> Any:
    import torch

    found: list[np.ndarray] = []
    at = 0
    with torch.no_grad():
        for x in in_order(data, device, size):
            check()
            report(at / len(data))
            out = retry_in_halves(fn, x)
            out = out if isinstance(out, tuple) else (out,)
            found = found or [np.empty((len(data), *o.shape[1:]), np.float32) for o in out]
            for whole, o in zip(found, out, strict=True):
                whole[at : at + len(x)] = o.float().cpu().numpy()
            at += len(x)
    return found[0] if len(found) == 1 else tuple(found)


def _map_shared(
    fn: Function,
    data: Dataset,
    device: torch.device,
    size: int,
    check: Callable[[], None],
    report: Callable[[float], None],
) -> Any:
    """As `_map_here`; a unit is a batch, so that each batch holds the rows it would hold there."""
    found: list[np.ndarray] = []
    turned = on_device(data, device)

    def rows(part: range) -> np.ndarray:
        return np.arange(part.start * size, min(part.stop * size, len(data)))

    def here(part: range) -> tuple[np.ndarray, ...]:
        out = _map_here(fn, data.take(rows(part)), device, size, check)
        return out if isinstance(out, tuple) else (out,)

    def keep(part: range, out: tuple[np.ndarray, ...]) -> None:
        if not found:
            found.extend(np.empty((len(data), *o.shape[1:]), np.float32) for o in out)
        at = rows(part)
        for whole, o in zip(found, out, strict=True):
            whole[at[0] : at[-1] + 1] = o

    work = Work(
        units=-(-len(data) // size),
        here=here,
        keep=keep,
        common=lambda: pack((fn, turned, size)),
        send=lambda part: plain(data.raw(rows(part)), data),
        open=unpack,
        there=map_part,
        unit_bytes=size * row_bytes(data),
        mark=lambda: _mark(fn),
    )
    do(work, check, report)
    return found[0] if len(found) == 1 else tuple(found)


def map_part(opened: Opened, raw: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return what `fn` gives of stored values, batch by batch; done by a process elsewhere."""
    import torch

    fn, turned, size = opened
    parts: list[tuple[np.ndarray, ...]] = []
    with torch.no_grad():
        for x in torch.from_numpy(np.array(raw)).split(size):
            out = fn(turned(x))
            out = out if isinstance(out, tuple) else (out,)
            parts.append(tuple(o.float().numpy() for o in out))
    return tuple(np.concatenate(several) for several in zip(*parts, strict=True))


def _mark(fn: Function) -> str | None:
    """Return what changes when a call of `fn` changes what later calls give: all that it holds, and
    where torch's and numpy's generators are. None where that cannot be told.
    """
    import torch

    packed = pack((fn, torch.get_rng_state().numpy(), np.random.get_state()))
    return None if packed is None else hashlib.sha256(packed).hexdigest()


def retry_in_halves(fn: Function, x: torch.Tensor) -> Any:
    """`fn(x)`, in halves where memory does not suffice for all of x at once."""
    import torch

    try:
        return fn(x)
    except Exception as e:
        if len(x) < 2 or not is_out_of_memory(e):
            raise
    if x.is_cuda:
        torch.cuda.empty_cache()
    halves = [retry_in_halves(fn, half) for half in x.chunk(2)]
    if isinstance(halves[0], tuple):
        return tuple(map(torch.cat, zip(*halves, strict=True)))
    return torch.cat(halves)
