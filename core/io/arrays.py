"""Arrays [n,*shape] on disk: Zarr v3, a few entries a chunk, each chunk with its checksum. What was
lost or changed is never read as numbers.

Trap: Zarr reads a chunk whose file is gone as zeros, and Zstandard unpacks a flipped bit to another
number; both without a word. So reading goes by the dataset's manifest (`core.io.checksums`) and by
each chunk's CRC-32C; data from before checksums were kept is compared with the manifest's sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.errors import UserError
from core.io.checksums import Sum, damage_error

T = TypeVar("T")
# zarr would compare each chunk with zeros, value by value, which takes longer than packing it
AS_GIVEN: Any = {"write_empty_chunks": True}
LOOKED = 4096  # bytes of a chunk that tell mostly that it is not all zeros


def create_array(place: Path, shape: tuple[int, ...], dtype: Any, per: int) -> Any:
    """Return a new Zarr array at `place`, `per` entries a chunk, to be filled by assignment; what
    was there is replaced.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    # the sum is over the packed bytes: 11 GB/s, and no flipped bit passes
    codecs = (ZstdCodec(level=1), Crc32cCodec())
    return zarr.create_array(
        place,
        shape=shape,
        dtype=dtype,
        chunks=(per, *shape[1:]),
        compressors=codecs,
        overwrite=True,
        config=AS_GIVEN,
    )


def open_to_write(place: Path) -> Any:
    """Return the array that `create_array` began at `place`, to be filled further."""
    import zarr

    return zarr.open_array(place, mode="r+").with_config(AS_GIVEN)


def write_chunk(array: Any, start: int, entries: np.ndarray) -> None:
    """Write entries [per,*shape] from position `start` on, where a chunk of `array` begins. Of
    zeros nothing is written: a chunk without a file reads as zeros.
    """
    packed = np.ascontiguousarray(entries).reshape(-1).view(np.uint8)
    if packed[:LOOKED].any() or packed.any():
        array[start : start + len(entries)] = entries


class Entries:
    """What is read entry by entry, like an array [n,*shape]."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of all entries once they are read."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]


class StoredArray(Entries):
    """The array `key`.zarr in a dataset's `folder`, to be read by slices, positions and one
    position, as numpy's.

    `lines`: what the dataset's manifest lists; {} = it has none, and only checksums are compared.
    Every read raises UserError, which calls the dataset `called`, when a chunk is missing or not
    what was written.
    """

    def __init__(self, folder: Path, key: str, lines: dict[str, Sum], called: str) -> None:
        self.key, self.called = f"{key}.zarr", called
        self._array: Any = self._tried(lambda: _opened(folder / self.key, self.key, lines))
        self.shape = self._array.shape
        self.dtype = self._array.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, at: Any) -> np.ndarray:
        """Return the entries at a slice or a position (numpy's basic indexing along the first
        axis).
        """
        return self._tried(lambda: np.asarray(self._array[at]))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the entries at these positions (int64 [m]), in the order given."""
        return self._tried(lambda: np.asarray(self._array.oindex[np.asarray(rows)]))

    def _tried(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except Lost as e:
            raise damage_error(self.called, [str(e)]) from None
        except (MemoryError, UserError, IndexError):
            raise
        except OSError as e:
            if isinstance(e, FileNotFoundError):
                raise damage_error(self.called, [self.key]) from None
            raise
        except Exception:  # whatever a damaged chunk makes the codecs do
            raise damage_error(self.called, [f"a part of {self.key}"]) from None


class Lost(Exception):
    """A stored file is missing or not what was written; the message is its name."""


def _opened(place: Path, key: str, lines: dict[str, Sum]) -> Any:
    import zarr
    from zarr.storage import LocalStore

    sums = {
        name.removeprefix(f"{key}/"): line
        for name, line in lines.items()
        if name.startswith(f"{key}/")
    }
    store = LocalStore(place, read_only=True)
    return zarr.open_array(_listed(store, key, sums) if sums else store, mode="r")


def _listed(store: Any, key: str, sums: dict[str, Sum]) -> Any:
    """`store`, in which a file that `sums` lists raises `Lost` when it is missing, or, unless it is
    a chunk with its own checksum, changed.
    """
    # imported where it is used: it takes as long as the rest of the start
    from zarr.storage import WrapperStore

    own = b'"crc32c"' in (store.root / "zarr.json").read_bytes()
    sound: set[str] = set()

    class Listed(WrapperStore[Any]):
        async def get(self, name: str, prototype: Any, byte_range: Any = None) -> Any:
            found = await self._store.get(name, prototype, byte_range)
            line = sums.get(name)
            if line is None:
                return found
            if found is None:
                raise Lost(f"{key}/{name}")
            if name not in sound and (name == "zarr.json" or not own):
                if hashlib.sha256(found.as_buffer_like()).hexdigest() != line.sha256:
                    raise Lost(f"{key}/{name}")
                sound.add(name)
            return found

    return Listed(store)
