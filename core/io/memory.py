"""How the C library keeps memory that numpy and Pillow let go."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM, MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
LARGEST = 16 << 20  # bytes of a block that is kept
KEPT = 128 << 20  # bytes that may lie free


@cache
def keep_freed_memory() -> bool:
    """Let this process keep freed blocks of up to 16 MB for the next of their size, at most 128 MB
    of them; return whether it does (with glibc alone).

    By itself glibc hands a frame of 512 x 512 back at once and asks for the next one anew, of which
    the system zeroes every page: a fifth of an import of CT slices.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is None:
        return False
    return bool(set_option(MMAP, LARGEST)) and bool(set_option(TRIM, KEPT))
