"""UNet++ against a plain U-Net of as many parameters: nuclei in three seeds, MS lesions by patient,
and every depth's Dice and cost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.readers import read
from core.evidence import shared_data, store_evidence
from core.measures.segmentation import Segmentation
from core.nets.unetpp import PlainUNet, UNetPlusPlus, size
from tests.benchmarks._common import over_seeds, row, run, table, verdict

SEEDS = [0, 1, 2]
OURS, RIVAL = "UNet++ (depth chosen on validation)", "plain U-Net, as many parameters"


def nuclei_pictures(seed: int) -> Dataset:
    folder = shared_data()
    assert folder is not None
    return read(
        folder / "dsb2018_nuclei",
        masks=folder / "dsb2018_nuclei" / "labels",
        domain="modality_group",
        seed=seed,
    )


def figures(
    data: Dataset, seed: int, **params: Any
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """(held-out figures of the outlines, the run's own figures by (name, group))."""
    _, made = run("unet_plus_plus", data, params, seed)
    own = {(m.name, m.group): m.value for m in made["metrics"]}
    return {
        m.name: m.value
        for m in Segmentation().compute(data, made["predictions"], rng=np.random.default_rng(0))
        if m.value is not None
    }, own


def lesions(held: str) -> Dataset:
    folder = shared_data()
    assert folder is not None
    data = read(folder / "ms_lesion_mri" / "derived_axial_slices_128.npz", group="patient")
    names, marked = data.groups.astype(str), data.mask().any((1, 2))
    split = np.where(names == held, "test", "train")
    other = np.flatnonzero((names != held) & marked)
    split[other[::5]] = "val"
    return replace(
        data, table=data.table.assign(split=split), roles=data.roles | {"split": "split"}
    )


def tables() -> list[dict[str, Any]]:
    if not shared_data():
        return []
    found, settings = [], {"epochs": 30}
    each = {
        n: [figures(nuclei_pictures(s), s, network=n, **settings) for s in SEEDS]
        for n in ("nested", "plain")
    }
    ratio = size(PlainUNet(3, 8)) / size(UNetPlusPlus(3, 8))
    n = len(nuclei_pictures(0).part("test"))
    for name in ("Dice", "IoU", "Dice of small objects"):
        rows = [
            row(said, over_seeds([f[0][name] for f in each[k]]))
            for k, said in (("nested", OURS), ("plain", RIVAL))
        ]
        found.append(
            table(
                f"Nuclei: {name}",
                "dsb2018_nuclei, three stains",
                "test",
                n,
                SEEDS,
                name,
                rows,
                f"{verdict(rows)} The plain network has {ratio:.2f} times the parameters.",
            )
        )
    for name, better in (
        ("Dice", True),
        ("million multiplications a picture", False),
        ("milliseconds a picture", False),
    ):
        rows = [
            row(
                f"UNet++ cut back to depth {j}",
                over_seeds([f[1][name, f"depth = {j}"] for f in each["nested"]]),
            )
            for j in (1, 2, 3, 4)
        ]
        rows.append(
            row("plain U-Net", over_seeds([f[1][name, "depth = 1"] for f in each["plain"]]))
        )
        own = [r["value"] for r in rows]
        words = f"Depth 4 {own[3]:.3g}, depth 1 {own[0]:.3g}, plain {own[4]:.3g}."
        found.append(
            table(
                f"Nuclei, every depth: {name}",
                "dsb2018_nuclei, three stains",
                "test",
                n,
                SEEDS,
                name,
                rows,
                words,
                better,
            )
        )
    for held in ("patient07", "patient19"):
        data = lesions(held)
        got = {
            k: [figures(data, s, network=k, epochs=60, crop=0)[0] for s in SEEDS]
            for k in ("nested", "plain")
        }
        rows = [
            row(said, over_seeds([g["Dice"] for g in got[k]]))
            for k, said in (("nested", OURS), ("plain", RIVAL))
        ]
        marked = int(data.part("test").mask().any((1, 2)).sum())
        found.append(
            table(
                f"MS lesions, {held} held out",
                "ms_lesion_mri (2 patients: trained on one, tried on the other)",
                "test",
                marked,
                SEEDS,
                "Dice",
                rows,
                f"{verdict(rows)} Two patients are no evidence of how it does on others.",
            )
        )
    return found


if __name__ == "__main__":
    store_evidence("unet_plus_plus", tables())
