"""What a look at an upload may cost, and what it did cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.data.readers.files import HEAD, Member

SECONDS = 8.0  # after which no further file is opened for its picture
FILE_BYTES = 256 << 20  # a larger file is not drawn
HEADERS = 60  # files whose headers are looked at, spread over all
PICTURES = 12  # pictures drawn of an upload


@dataclass
class Meter:
    """What a look costs: files opened beyond their first bytes, and the bytes they gave."""

    started: float = field(default_factory=time.monotonic)
    bytes: int = 0
    files: set[str] = field(default_factory=set)

    def watch(self, member: Member) -> Member:
        """Return the member, counted whenever it is opened."""
        inner = member.open

        def opened(most: int) -> bytes:
            data = inner(most)
            self.bytes += len(data)
            if most > HEAD:
                self.files.add(member.name)
            return data

        return replace(member, open=opened)

    @property
    def late(self) -> bool:
        """Whether the time for pictures is up."""
        return time.monotonic() - self.started > SECONDS

    def told(self, files: int) -> dict[str, Any]:
        """Return what was looked at of so many files: {"files", "of", "bytes", "seconds"}."""
        return {
            "files": len(self.files),
            "of": files,
            "bytes": self.bytes,
            "seconds": round(time.monotonic() - self.started, 1),
        }


def spread(n: int, most: int) -> list[int]:
    """Return at most so many of n positions, evenly spread, the first among them."""
    return (
        sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist())) if n else []
    )
