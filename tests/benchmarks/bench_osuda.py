"""Moving an outlining model to another stain or scanner without the old data: untouched, statistics
replaced, moved, and learned there with labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.data.splits import add_split
from core.evidence import shared_data, store_evidence
from tests.benchmarks._common import over_seeds, row, run, table
from tests.benchmarks.bench_unet_plus_plus import nuclei_pictures

SEEDS = [0, 1]
MODELS = ("moved", "statistics replaced only", "untouched")


def of(data: Dataset, *names: str) -> Dataset:
    return data.take(np.flatnonzero(np.isin(data.domains.astype(str), names)))


def phantom() -> Dataset:
    """The made-up heads with lesions in every part, split by patient; the sample as it comes has
    none in training. Slices with a lesion only.
    """
    from dataclasses import replace

    data = make_sample("head-phantom")
    table, roles, _ = add_split(
        data.table.drop(columns=data.roles["split"]),
        {k: v for k, v in data.roles.items() if k != "split"},
    )
    data = replace(data, table=table, roles=roles)
    return data.take(np.flatnonzero(data.mask().any((1, 2))))


def tables() -> list[dict[str, Any]]:
    found, tasks = (
        [],
        [
            (
                "lesions: scanner A to B",
                "made-up lesions of two scanners",
                lambda s: make_sample("lesions"),
                ("A",),
                ("B",),
                {"epochs": 40, "width": 4, "crop": 0},
            ),
            (
                "head phantom: scanner A to B",
                "made-up heads of two scanners",
                lambda s: phantom(),
                ("A",),
                ("B",),
                {"epochs": 40, "crop": 0},
            ),
        ],
    )
    if shared_data():
        tasks += [
            (
                "nuclei: fluo to stained",
                "dsb2018_nuclei",
                nuclei_pictures,
                ("fluo",),
                ("stained",),
                {"epochs": 40},
            ),
            (
                "nuclei: fluo to bright",
                "dsb2018_nuclei",
                nuclei_pictures,
                ("fluo",),
                ("bright_gray",),
                {"epochs": 40},
            ),
        ]
    bases: dict[tuple[str, int], Any] = {}
    for title, source, read_, old, new, settings in tasks:
        scores: dict[str, list[float]] = {
            m: [] for m in (*MODELS, "learned there, with outlines", "untouched, on the old site")
        }
        n = 0
        for s in SEEDS:
            data = read_(s)
            if (source, s) not in bases:
                bases[source, s] = run("unet_plus_plus", of(data, *old), settings, s)[1]
            base, target = bases[source, s], of(data, *new)
            made = run("osuda", target, {}, s, on=base)[1]
            own = {m.group: m for m in made["metrics"] if m.name == "Dice"}
            for m in MODELS:
                scores[m].append(own[m].value)
            n = own["moved"].n
            there = run("unet_plus_plus", target, settings, s)[1]["metrics"]
            level = next(f"depth = {m.value:.0f}" for m in there if m.name == "depth used")
            scores["learned there, with outlines"].append(
                next(m.value for m in there if m.name == "Dice" and m.group == level)
            )
            depth = next(
                f"depth = {m.value:.0f}" for m in base["metrics"] if m.name == "depth used"
            )
            scores["untouched, on the old site"].append(
                next(m.value for m in base["metrics"] if m.name == "Dice" and m.group == depth)
            )
        rows = [row(name, over_seeds(v)) for name, v in scores.items()]
        value = {r["name"]: r["value"] for r in rows}
        gain, more = (
            value["moved"] - value["untouched"],
            value["moved"] - value["statistics replaced only"],
        )
        words = (
            f"Moving changes Dice by {gain:+.3f} against the untouched model and by {more:+.3f}"
            " against statistics replaced only; learning there with outlines gives"
            f" {value['learned there, with outlines']:.3f}."
        )
        found.append(
            table(
                title[0].upper() + title[1:],
                source,
                "held-out pictures of the new site",
                n,
                SEEDS,
                "Dice",
                rows,
                words,
            )
        )
    return found


if __name__ == "__main__":
    store_evidence("osuda", tables())
