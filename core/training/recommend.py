"""Which method is offered first for unusual cases: the one that stored benchmarks on data like this
say is the best, and never without the cheap rival it had to beat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.evidence import load_evidence, wins_by_data
from core.method import Method
from core.training.compatibility import why_not

MEASURE = "pixel average precision"
CASES = "case AUROC (highest heat)"
LESIONS = "ms_lesion_mri"  # how the data of tables about MR with real lesions is called
LIKE = {LESIONS: "MR with lesions of multiple sclerosis"}
XRAYS = "pneumoniamnist"  # how the data of tables about chest X-rays is called
FINDING = ("AUROC", "average precision", "AUPRO", "Dice")  # in measures of what is found
TUNED = "choices were made on this patient"  # in the title of a table whose data is not new
LOOKED_AT = 64  # pictures that what the data is like is told by
DARK, SHARE = 0.02, 0.1  # of the range, and of the pixels: this dark, and this many, is background


@dataclass(frozen=True)
class Advice:
    """The method to offer first, None where no stored benchmark speaks for one; why, in words for
    the user; and the figures behind it.
    """

    kind: type[Method] | None
    why: str
    figures: str = ""


def find_likeness(data: Dataset) -> str:
    """Return how benchmarks call the data with real findings that `data` is like, "" where none is:
    pictures of several channels with a dark background, as MR sequences laid on one another have.
    Three channels of bytes are a photograph, Hounsfield units a CT, of which nothing but pasted
    parts was measured.
    """
    if data.modality not in ("image", "volume") or data.samples is None or not len(data):
        return ""
    if data.card.get("unit") == "HU":
        return ""
    channels = data.shape[0]
    if channels < 2 or (channels == 3 and data.raw(np.arange(1)).dtype == np.uint8):
        return ""
    many = LOOKED_AT if data.modality == "image" else 2
    x = data.inputs(np.arange(0, len(data), max(1, -(-len(data) // many))))
    return LESIONS if (x <= DARK).all(1).mean() >= SHARE else ""


@dataclass(frozen=True)
class Comparison:
    """A method and the rival in one stored table: its title, the method's value and the least of
    its seeds, and the highest value of the rival.
    """

    title: str
    own: float
    least: float
    other: float


def compare_with_rival(
    kind: type[Method], like: str, rival: type[Method], measure: str = MEASURE
) -> list[Comparison]:
    """Return what each stored table of `kind` on data called `like` says by `measure`, where it has
    rows whose name has the rival's id in it.
    """
    found = []
    for table in (load_evidence(kind.id) or {"tables": []})["tables"]:
        if not table["data"].startswith(like) or table["measure"] != measure:
            continue
        own, others = table["rows"][0], table["rows"][1:]
        values = [r["value"] for r in others if rival.id in r["name"]]
        if values:
            found.append(Comparison(table["title"], own["value"], _least(own), max(values)))
    return found


def advise(
    like: str,
    kinds: list[type[Method]],
    rival: type[Method],
    is_quick: Callable[[type[Method]], bool] = lambda kind: True,
) -> Advice:
    """Return which of `kinds`, methods that fit data `like` what was measured (`find_likeness`), to
    offer: of those quick enough that which beat the `rival` in every stored table, with every seed,
    by the largest mean factor; the rival itself where none did; and nothing where no data like this
    was measured.
    """
    name = rival.title[0].lower() + rival.title[1:]
    measured = (
        {k: compare_with_rival(k, like, rival) for k in kinds if k is not rival} if like else {}
    )
    measured = {k: tables for k, tables in measured.items() if tables}
    if not measured:
        return Advice(
            None,
            "For pictures like these nothing measured says which of the two finds more, so try"
            f" both: what is bright or dark is often found as well by {name}.",
        )
    ahead = {
        k: _gain(t)
        for k, t in measured.items()
        if all(c.least > c.other for c in t) and is_quick(k)
    }
    if not ahead:
        return Advice(
            rival,
            f"{rival.title} is offered: on {LIKE[like]} no learned method that is quick enough"
            " marked pixels better in our benchmarks.",
        )
    best = max(ahead, key=lambda k: ahead[k])
    tables = measured[best]
    n = len(tables)
    where = f"{n} patients" if n > 1 else "one patient"
    tuned = ", on whom it was also developed" if all(TUNED in c.title for c in tables) else ""
    why = (
        f"This runs “{best.title}”: on {LIKE[like]} it marked pixels better than {name}"
        f" ({where}{tuned})."
    )
    if any(c.own <= c.other for c in compare_with_rival(best, like, rival, CASES)):
        why += f" Which slices hold anything, {name} told as well or better, so look at both."
    figures = "; ".join(f"{c.own:.2f} against {c.other:.2f}" for c in tables)
    return Advice(best, why, f"Average precision of pixels, by patient: {figures}.")


@dataclass(frozen=True)
class Standing:
    """How a method stands against the rivals of its stored tables: `like`, 1 ahead of them in half
    the tables on data like this or more, -1 in fewer, 0 not measured on such; `share`, 0 to 1, of
    the data it was measured on where it is ahead in half the tables or more.
    """

    like: int
    share: float


def measure_standing(kind: type[Method], like: str) -> Standing:
    """Return how `kind` stands on data that benchmarks call `like` ("": none does), and at large.
    Of methods that score cases only tables about what they find are counted, since the others
    compare a method with itself, or are about its speed.
    """
    measures = FINDING if AnomalyMaps in kind.gives else ("",)
    by = wins_by_data(kind.id, measures)
    here = [wins for name, wins in by.items() if like and name.startswith(like)]
    ahead, tables = (sum(column) for column in zip(*here)) if here else (0, 0)
    won = [2 * one >= many for one, many in by.values()]
    return Standing(
        0 if not tables else 1 if 2 * ahead >= tables else -1,
        float(np.mean(won)) if won else 0.0,
    )


def find_measured_like(data: Dataset) -> str:
    """Return how benchmarks call the data that `data` is like in what it shows, "" where none is:
    as `find_likeness`, and grey pictures that fill their frame, as chest X-rays do.
    """
    if found := find_likeness(data):
        return found
    if data.modality != "image" or data.samples is None or not len(data) or data.card.get("unit"):
        return ""
    if data.shape[0] != 1 or len(data.shape) != 3:
        return ""
    x = data.inputs(np.arange(0, len(data), max(1, -(-len(data) // LOOKED_AT))))
    return XRAYS if (x <= DARK).mean() < SHARE else ""


def _least(row: dict[str, Any]) -> float:
    return row["value"] if row["low"] is None else row["low"]


def _gain(tables: list[Comparison]) -> float:
    return float(np.mean([math.log(max(c.own, 1e-9) / max(c.other, 1e-9)) for c in tables]))


def finds_alone(kind: type[Method], data: Dataset) -> bool:
    """Whether `kind` scores cases of `data`, and needs no earlier run and no picked cases."""
    return (
        AnomalyMaps in kind.gives
        and not kind.takes.on
        and kind.takes.chosen == "no"
        and why_not(kind, data) is None
    )
