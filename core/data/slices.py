"""Volumes as their axial slices, without a copy: the pictures a method sees that learns from
volumes slice by slice.

A slice's row id is `volume row * depth + slice`, slices counted from 0 along the stored slice axis.
Label, patient, site and split of a volume are those of all its slices (so a slice without a lesion
in a volume called “lesion” is called so too); where no column names patients, the volume is the
group. Slices of one value only (air above the head, padding) are not learned from; they are
described, so that heat has the volume's shape, but they count in no mean, score or map. A volume of
nothing but such slices keeps its middle one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.stored import LazyArray
from core.limits import SLICE_CACHE

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.method import Method


class Slices(LazyArray):
    """Array [n * depth, *rest] over stored volumes [n, ..., depth, ...] whose slice axis is `axis`:
    reads the volumes that are asked for.

    Volumes read from disk are kept, the latest first, up to `limits.SLICE_CACHE` bytes. Trap:
    slices in random order over more data than that read a whole volume for each slice.
    """

    def __init__(self, volumes: Any, axis: int) -> None:
        shape = tuple(volumes.shape)
        self.volumes, self.axis, self.depth = volumes, axis, shape[axis]
        self.shape = (shape[0] * self.depth, *shape[1:axis], *shape[axis + 1 :])
        self.dtype = np.dtype(volumes.dtype)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def __getitem__(self, which: Any) -> np.ndarray:
        """Slices [m,*rest] at these positions, in the order asked for; one position gives one
        slice.
        """
        asked = np.arange(len(self))[which]
        rows = np.atleast_1d(asked)
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        volume, place = np.divmod(rows, self.depth)
        order = np.argsort(volume, kind="stable")
        cuts = np.flatnonzero(np.diff(volume[order])) + 1
        for at in np.split(order, cuts) if len(rows) else []:
            out[at] = np.moveaxis(self._volume(int(volume[at[0]])), self.axis - 1, 0)[place[at]]
        return out if asked.ndim else out[0]

    def _volume(self, v: int) -> np.ndarray:
        if isinstance(self.volumes, np.ndarray):
            return self.volumes[v]
        if v in self._kept:
            self._kept.move_to_end(v)
            return self._kept[v]
        read = np.asarray(self.volumes[v])
        self._kept[v] = read
        while len(self._kept) > max(1, SLICE_CACHE // max(1, read.nbytes)):
            self._kept.popitem(last=False)
        return read


def slices_per_volume(data: Dataset) -> int:
    """Slices of each volume."""
    return int(data.shape[1])


def slice_ids(data: Dataset, rows: np.ndarray) -> np.ndarray:
    """int64 slice ids of all slices of the volumes `rows`, volume by volume."""
    d = slices_per_volume(data)
    return (np.asarray(rows, np.int64)[:, None] * d + np.arange(d)).ravel()


def as_slices(data: Dataset) -> Dataset:
    """Return the image dataset of all axial slices of a volume dataset's view, volume by volume;
    nothing is read. Columns `volume` and `slice` are added.
    """
    d, n = slices_per_volume(data), len(data.table)
    repeated = np.repeat(np.arange(n), d)
    table = data.table.iloc[repeated].reset_index(drop=True)
    own = {
        name: name if name not in table else f"{name} of the stack" for name in ("volume", "slice")
    }
    table[own["volume"]] = [f"volume {v}" for v in repeated]
    table[own["slice"]] = np.tile(np.arange(d), n)
    if "axes" in table:
        # of a slice: down and across
        table["axes"] = table["axes"].map(lambda v: v[-2:] if isinstance(v, str) else v)
    return replace(
        data,
        modality="image",
        table=table,
        samples=Slices(data.samples, 2),
        masks=None if data.masks is None else Slices(data.masks, 1),
        roles={"group": own["volume"]} | data.roles,
        at=slice_ids(data, data.rows),
        kept=None if data.kept is None else slice_ids(data, data.kept),
    )


def find_filled_slices(data: Dataset) -> np.ndarray:
    """`bool [n,depth]` over the view's volumes: slices with more than one value (the middle one
    where a volume has none). Reads each volume once.
    """
    d = slices_per_volume(data)
    out = np.empty((len(data), d), bool)
    for i in range(len(data)):
        flat = np.moveaxis(data.raw(np.array([i]))[0], 1, 0).reshape(d, -1)
        out[i] = flat.min(1) != flat.max(1)
    out[~out.any(1), d // 2] = True
    return out


def as_model_input(method: Method, data: Dataset) -> Dataset:
    """Return the data as `method` with its parameters sees it: the slices of volumes that it takes
    slice by slice, else `data` itself.
    """
    return as_slices(data) if data.modality == "volume" and method.slicewise else data
