"""Memory of the server: what stands for good is not looked through after each run of a page."""

from __future__ import annotations

import gc
import sys

GROWN = 50  # modules imported since from which it is worth setting aside again

_set_aside = 0  # modules that were there when the collector last set everything aside


def set_modules_aside() -> None:
    """Have Python's collector pass over the modules that are loaded by now.

    Streamlit collects garbage after every run of a page, which looks through every object of the
    process: of torch, pandas, numba and the like over half a million, which takes longer (0.25 s)
    than most pages. They stay to the end, so they are set aside; a run's own garbage is still
    collected at once. Done again whenever many more modules were imported.
    """
    global _set_aside
    if len(sys.modules) < _set_aside + GROWN:
        return
    _set_aside = len(sys.modules)
    gc.collect()
    gc.freeze()
