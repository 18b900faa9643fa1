"""How much of the texts was read: a text longer than the limit is cut at its end, and that is said
in figures.
"""

from __future__ import annotations

import numpy as np

from core.artifacts import Metric


def read_whole(code: np.ndarray, pad: int) -> Metric:
    """Return the share of texts that were read to their end, from token ids int64 [n, longest],
    padded; one that fills the limit counts as cut.
    """
    cut = int((code[:, -1] != pad).sum())
    note = (
        f"{cut:,} of {len(code):,} texts are longer than the {code.shape[1]:,} tokens that are read"
        " of each; what comes after was not seen"
        if cut
        else ""
    )
    return Metric("texts read to their end", 1 - cut / max(1, len(code)), n=len(code), note=note)
