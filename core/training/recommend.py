"""Which method is offered first for unusual cases: the one that stored benchmarks on data like this
say is the best, and never without the cheap rival it had to beat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.evidence import load_evidence
from core.method import Method
from core.training.compatibility import why_not

MEASURE = "pixel average precision"
LESIONS = "ms_lesion_mri"  # how the data of tables about MR with real lesions is called
CT = "nnunet_example_ct"
LOOKED_AT = 64  # pictures that what the data is like is told by
DARK, SHARE = 0.02, 0.1  # of the range, and of the pixels: this dark, and this many, is background


@dataclass(frozen=True)
class Advice:
    """The method to offer first, None where no stored benchmark speaks for one, and why, in words
    for the user.
    """

    kind: type[Method] | None
    why: str


def find_likeness(data: Dataset) -> str:
    """Return how benchmarks call the measured data that `data` is like, "" where none is: CT in
    Hounsfield units, or pictures of several channels with a dark background, as MR sequences laid
    on one another have; three channels of bytes are a photograph.
    """
    if data.modality not in ("image", "volume") or data.samples is None or not len(data):
        return ""
    if data.card.get("unit") == "HU":
        return CT
    channels = data.shape[0]
    if channels < 2 or (channels == 3 and data.raw(np.arange(1)).dtype == np.uint8):
        return ""
    many = LOOKED_AT if data.modality == "image" else 2
    x = data.inputs(np.arange(0, len(data), max(1, -(-len(data) // many))))
    return LESIONS if (x <= DARK).all(1).mean() >= SHARE else ""


def compare_with_rival(
    kind: type[Method], like: str, rival: type[Method]
) -> list[tuple[str, float, float]]:
    """Return (title, value, the rival's value) of each stored table of `kind` on data called `like`
    that holds the rival: the highest row whose name has the rival's id in it.
    """
    found = []
    for table in (load_evidence(kind.id) or {"tables": []})["tables"]:
        if not table["data"].startswith(like) or table["measure"] != MEASURE:
            continue
        own, others = table["rows"][0], table["rows"][1:]
        values = [r["value"] for r in others if rival.id in r["name"]]
        if values:
            found.append((table["title"], own["value"], max(values)))
    return found


def advise(data: Dataset, kinds: list[type[Method]], rival: type[Method]) -> Advice:
    """Return which of `kinds`, methods that fit `data`, to offer: that which beat the `rival` in
    every stored table on data like this, by the largest mean factor; the rival itself where none
    did; and nothing where no data like this was measured.
    """
    like = find_likeness(data)
    name = rival.title[0].lower() + rival.title[1:]
    measured = (
        {k: compare_with_rival(k, like, rival) for k in kinds if k is not rival} if like else {}
    )
    measured = {k: tables for k, tables in measured.items() if tables}
    if not measured:
        return Advice(
            None,
            f"No method was measured against {name} on data like this, so compare the two: where"
            " what is ill is bright or dark, the simple one is often as good.",
        )
    ahead = {k: _gain(t) for k, t in measured.items() if all(own > other for _, own, other in t)}
    if not ahead:
        return Advice(
            rival,
            f"On data like this no learned method found marked pixels better than {name} in our"
            " benchmarks, so it is what is offered.",
        )
    best = max(ahead, key=lambda k: ahead[k])
    figures = "; ".join(f"{own:.2f} against {other:.2f}" for _, own, other in measured[best])
    return Advice(
        best,
        f"On data like this it found marked pixels better than {name} in our benchmarks (average"
        f" precision {figures}, by patient); look at both.",
    )


def _gain(tables: list[tuple[str, float, float]]) -> float:
    return float(np.mean([math.log(max(own, 1e-9) / max(other, 1e-9)) for _, own, other in tables]))


def finds_alone(kind: type[Method], data: Dataset) -> bool:
    """Whether `kind` scores cases of `data`, and needs no earlier run and no picked cases."""
    return (
        AnomalyMaps in kind.gives
        and not kind.takes.on
        and kind.takes.chosen == "no"
        and why_not(kind, data) is None
    )
