"""What of a scan's header is kept, and under which names: a gate that lets technical facts through and drops the rest.

It helps; it is no certified de-identification.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

HEAD = re.compile(r"(^|[^a-z])(head|brain|skull|face|mprage|flair|t1w?|sch(ae|ä)del|kopf|cerebr\w*|cran\w*)([^a-z]|$)", re.I)


def of_volumes(texts: list[tuple[str, ...]], names: list[str]) -> dict[str, Any]:
    """The entry `deidentified` of the card for NIfTI files whose headers hold these free texts, by their names counted and not kept."""
    return {
        "profile": [], "removed": dict(Counter(t for one in texts for t in one).most_common()), "kept": ["voxels", "affine", "voxel size"],
        "dates": "NIfTI headers hold none", "ids": "names of files are kept as they are: rename files that are named after people before you bring them",
        "faces": any(HEAD.search(n) for n in names), "held": 0,
    }  # fmt: skip
