"""StRegA against its five cheap rivals on the head phantom, and beside intensity on real MS scans:
`python -m tests.benchmarks.bench_strega`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter, median_filter
from sklearn.metrics import average_precision_score

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.measures.pixel_anomaly import _binned, aupro, case_dice, pooled
from core.nets.tissue import brain_mask
from core.stats.bootstrap import interval
from tests.benchmarks._anomaly import heat_of, rivals, untrained
from tests.benchmarks._common import over_seeds, row, run, table, verdict


def phantom() -> list[dict[str, Any]]:
    data, seeds = make_sample("head-phantom"), [0, 1, 2]
    test, train = data.splits == "test", data.splits == "train"
    truth, x = data.mask()[test], data.inputs()[:, 0]
    ap = lambda h: float(average_precision_score(truth.ravel(), h.ravel()))  # noqa: E731
    given = [run("strega", data, {"epochs": 25}, s)[1] for s in seeds]
    own = [heat_of(g)[test] for g in given]
    blank = [untrained("strega", data, s)[test] for s in seeds]
    cheap = rivals(x, train, test)
    smoothed = {
        f"{k}, blurred like ours": gaussian_filter(v, (0, 0.8, 0.8))
        for k, v in cheap.items()
        if k.startswith("PCA")
    }
    found = []
    for name, value in (
        ("pixel average precision", ap),
        ("AUPRO (0.3)", lambda h: aupro(h, truth)),
    ):
        rows = [
            row("StRegA", over_seeds([value(h) for h in own])),
            row("untrained copy", over_seeds([value(h) for h in blank])),
        ]
        rows += [row(k, (value(v), None, None)) for k, v in (cheap | smoothed).items()]
        found.append(
            table(
                "Where are the lesions? Head phantom (range over three seeds)",
                "head-phantom (generated)",
                "test",
                int(test.sum()),
                seeds,
                name,
                rows,
                verdict(rows),
            )
        )
    found += _marked(data, [g["anomalymaps"] for g in given], x)
    found.append(_robust(data))
    return found


def dice_of_lesions(marks: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice of marks [n,H,W] over the slices where something is marked in truth; slices without
    a lesion count for nothing.
    """
    marks, truth = (
        v[truth.any((1, 2))].reshape(int(truth.any((1, 2)).sum()), -1) for v in (marks, truth)
    )
    return float((2 * (marks & truth).sum(1) / (marks.sum(1) + truth.sum(1))).mean())


def _marked(data: Dataset, maps: list[AnomalyMaps], x: np.ndarray) -> list[dict[str, Any]]:
    """What is marked at a threshold from healthy validation slices, in [n,H,W]: against the blurred
    PCA residual cut the same way, and without the area opening.
    """
    test, seeds = data.splits == "test", list(range(len(maps)))
    truth = data.mask()
    healthy = (data.splits == "val") & ~truth.any((1, 2))
    pca = gaussian_filter(
        rivals(x, data.splits == "train", np.ones(len(x), bool))["PCA residual (64 components)"],
        (0, 0.8, 0.8),
    )
    inside = np.stack([brain_mask(i) for i in x])
    cut = float(np.quantile(pca[healthy][inside[healthy]], 0.995))
    by_pca = AnomalyMaps(
        rows=data.rows,
        score=pca.max((1, 2)),
        map=pca * inside,
        pixel_threshold=cut,
        smallest=maps[0].smallest,
    )
    at = lambda m: m.marked(np.asarray(m.map)[test])  # noqa: E731
    dice = lambda m: dice_of_lesions(at(m), truth[test])  # noqa: E731
    plain = [replace(m, smallest=1) for m in maps]
    blurred = row("PCA residual, blurred, cut and opened like ours", (dice(by_pca), None, None))
    rows = [
        row("StRegA", over_seeds([dice(m) for m in maps])),
        blurred,
        row("nothing marked", (0.0, None, None)),
    ]
    name, n = "head-phantom (generated)", int((test & truth.any((1, 2))).sum())
    measure = "Dice, mean of slices with a lesion (threshold from validation)"
    found = [
        table(
            "How well is a lesion outlined? (range over three seeds)",
            name,
            "test",
            n,
            seeds,
            measure,
            rows,
            verdict(rows),
        )
    ]
    rows = [
        row("with the area opening", over_seeds([dice(m) for m in maps])),
        row("without", over_seeds([dice(m) for m in plain])),
    ]
    found.append(
        table(
            "What does the area opening change? (range over three seeds)",
            name,
            "test",
            n,
            seeds,
            measure,
            rows,
            verdict(rows),
        )
    )
    free = ~truth[test].any((1, 2))
    wrong = lambda m: float(at(m)[free].any((1, 2)).mean())  # noqa: E731
    rows = [
        row("with the area opening", over_seeds([wrong(m) for m in maps])),
        row("without", over_seeds([wrong(m) for m in plain])),
    ]
    found.append(
        table(
            "How often is a slice without a lesion marked? (range over three seeds)",
            name,
            "test",
            int(free.sum()),
            seeds,
            "share of slices with any mark",
            rows,
            verdict(rows, False),
            False,
        )
    )
    return found


def _robust(data: Dataset) -> dict[str, Any]:
    """Drop of AP when test slices get a bias field, another gamma and noise: tissue pictures
    against raw brightness as input.
    """
    test, rng = data.splits == "test", np.random.default_rng(0)
    x = data.inputs()[:, 0].copy()
    y, c = np.mgrid[-1 : 1 : x.shape[1] * 1j, -1 : 1 : x.shape[2] * 1j]
    ill = np.clip(
        np.hypot(
            np.clip(x, 0, 1) ** 1.3 * (1 + 0.35 * (0.7 * c + 0.7 * y))
            + rng.normal(0, 0.02, x.shape),
            rng.normal(0, 0.02, x.shape),
        ),
        0,
        1,
    )
    changed = replace(
        data,
        samples=np.where(test[:, None, None, None], ill[:, None], x[:, None]).astype("f4"),
        input_range=(0.0, 1.0),
    )
    truth, rows = data.mask()[test], []
    for name in ("soft tissue", "raw"):
        fitted, given = run("strega", data, {"epochs": 25, "input": name})
        from core.training.run import Run

        after = {a.slug: a for a in fitted.apply(changed, Run())}
        ap = [
            float(average_precision_score(truth.ravel(), heat_of(g)[test].ravel()))
            for g in (given, after)
        ]
        rows.append(
            row(f"{name}: share of average precision lost", (1 - ap[1] / ap[0], None, None))
        )
    said = (
        f"The tissue picture loses {rows[0]['value']:.0%} and raw brightness {rows[1]['value']:.0%}"
        " of its precision under a bias field, gamma 1.3 and noise."
    )
    return table(
        "Does it survive another scanner?",
        "head-phantom (generated)",
        "test",
        int(test.sum()),
        [0],
        "loss",
        rows,
        said,
        False,
    )


def ms_data(held: str, box: Any) -> Dataset:
    """Both patients' slices: lesion-free ones of the other patient train (every fourth validates),
    the held-out patient's slices test.
    """
    images, masks, patient = box["images"], box["lesion_mask"], box["patient"].astype(str)
    free = ~masks.reshape(len(masks), -1).any(1)
    split = np.where(patient == held, "test", "unused")
    other = np.flatnonzero((patient != held) & free)
    split[other] = "train"
    split[other[::4]] = "val"
    keep = split != "unused"
    table_ = pd.DataFrame({"patient": patient[keep], "split": split[keep]})
    return Dataset(
        "ms",
        "image",
        table_,
        images[keep],
        masks[keep].astype(np.uint8),
        {"group": "patient", "split": "split"},
        (),
        (0, 255),
    )


def scans() -> list[dict[str, Any]]:
    folder = shared_data()
    if folder is None:
        return []
    box = np.load(folder / "ms_lesion_mri" / "derived_axial_slices_128.npz", allow_pickle=False)
    found = []
    for held in sorted(set(box["patient"].astype(str))):
        data = ms_data(held, box)
        test = data.splits == "test"
        if (data.splits == "train").sum() < 8:
            rows = [
                row(
                    "lesion-free slices of the other patient",
                    (float((data.splits == "train").sum()), None, None),
                )
            ]
            found.append(
                table(
                    f"Real MS lesions, patient {held}",
                    "ms_lesion_mri (2 patients)",
                    "test",
                    int(test.sum()),
                    [0],
                    "slices",
                    rows,
                    "The other patient has too few lesion-free slices to train on, so nothing is"
                    " measured here.",
                )
            )
            continue
        _, given = run("strega", data, {"epochs": 300, "side": 128, "batch_size": 8})
        truth, x = data.mask()[test], data.inputs()[test, 0]
        rows_ap, rows_dice = [], []
        for name, heat in (
            ("StRegA", heat_of(given)[test]),
            ("FLAIR brightness alone", x),
            (
                "distance from a median filter",
                np.abs(x - np.stack([median_filter(i, 5) for i in x])),
            ),
        ):
            counts = _binned(heat, truth)
            low, high = interval(
                lambda i, c=counts: pooled((c[0][i].sum(0), c[1][i].sum(0)))[1],
                int(test.sum()),
                None,
                (0, 1),
            ).bounds
            rows_ap.append(
                row(name, (float(average_precision_score(truth.ravel(), heat.ravel())), low, high))
            )
            both = (counts[0].sum(0), counts[1].sum(0))
            rows_dice.append(row(name, (pooled(both)[2], None, None)))
            assert case_dice(counts).max() <= 1
        note = (
            f"trained on {int((data.splits == 'train').sum())} lesion-free slices of the other"
            " patient; intervals over slices of one patient, so too narrow"
        )
        for rows, measure in (
            (rows_ap, "pixel average precision"),
            (rows_dice, "best Dice, pooled (oracle)"),
        ):
            found.append(
                table(
                    f"Real MS lesions, patient {held} ({note})",
                    "ms_lesion_mri (2 patients)",
                    "test",
                    int(test.sum()),
                    [0],
                    measure,
                    rows,
                    verdict(rows),
                )
            )
    return found


if __name__ == "__main__":
    torch.set_num_threads(2)
    store_evidence("strega", phantom() + scans())
