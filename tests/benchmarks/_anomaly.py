"""What benchmarks of anomaly methods share: plain rivals, an untrained copy, real lesions, and
nuclei with parts of another stain pasted in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, median_filter
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, roc_auc_score

from core.data.dataset import Dataset
from core.methods.anomaly._pasted import pasted
from core.stats.bootstrap import FEWEST, interval
from tests.benchmarks._common import run

SIDE = 128  # pixels a side of lesion slices
TILE = 64  # pixels a side of tiles of nuclei
BLUR = 1.4  # pixels: as wide as the 5 x 5 windows over which EAR and Dinomaly blur their own maps


def heat_of(given: dict[str, Any]) -> np.ndarray:
    """The map [n,H,W] among the artifacts of a run."""
    return np.asarray(given["anomalymaps"].map)


NO_STEP = {"epochs": 1, "learning_rate": 1e-12}


def untrained(
    method: str,
    data: Dataset,
    seed: int,
    params: dict[str, Any] | None = None,
    on: dict[str, Any] | None = None,
) -> np.ndarray:
    """Heat [n,H,W] of the same pipeline, calibration included, with a network that has made no
    step; `on`: the artifacts of an earlier run it builds on.
    """
    from core.registry import methods
    from core.training.run import Run

    kind = methods()[method]
    made = kind(kind.Params(**{**(params or {}), **NO_STEP}))
    plan = Run(seed=seed, on=on or {})
    with plan.seeded():
        made.fit(data, plan)
        made.to(plan.where)
        return heat_of({a.slug: a for a in made.apply(data, plan)})


def rivals(
    x: np.ndarray, train: np.ndarray, test: np.ndarray, directions: int = 64
) -> dict[str, np.ndarray]:
    """Heat [m,H,W] of the model-free rivals on the test pictures of x [n,H,W] or [n,C,H,W], means
    over channels; brightness is that of the first channel.
    """
    x = x if x.ndim == 4 else x[:, None]
    directions = min(directions, int(train.sum()) // 2)
    pca = PCA(directions, random_state=0).fit(x[train].reshape(train.sum(), -1))
    flat = x[test].reshape(test.sum(), -1)
    back = pca.inverse_transform(pca.transform(flat)).reshape(x[test].shape)
    blurred = np.stack([[median_filter(c, 5) for c in i] for i in x[test]])
    left = np.abs(x[test] - back).mean(1)
    return {
        "constant map": np.zeros_like(x[test][:, 0]),
        "brightness": x[test][:, 0],
        "distance from the mean picture": np.abs(x[test] - x[train].mean(0)).mean(1),
        "distance from a median filter": np.abs(x[test] - blurred).mean(1),
        f"PCA residual ({directions} components)": left,
        f"blurred PCA residual ({directions} components)": gaussian_filter(left, (0, BLUR, BLUR)),
    }


def pixel_ap(heat: np.ndarray, truth: np.ndarray) -> float:
    """Average precision of all pixels in one curve, heat and bool truth [n,H,W]."""
    return float(average_precision_score(truth.ravel(), heat.ravel()))


def pixel_auroc(heat: np.ndarray, truth: np.ndarray) -> float:
    """AUROC of all pixels in one curve, heat and bool truth [n,H,W]."""
    return float(roc_auc_score(truth.ravel(), heat.ravel()))


def case_auroc(heat: np.ndarray, truth: np.ndarray) -> float:
    """AUROC of the highest heat of each picture against whether anything is marked in it."""
    return float(roc_auc_score(truth.any((1, 2)), heat.max((1, 2))))


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "pixel AUROC": pixel_auroc,
    "pixel average precision": pixel_ap,
    "case AUROC (highest heat)": case_auroc,
}


# -- intervals of rivals that learn nothing by seed ------------------------------------------------
BINS = 4096  # of heat, in which pixels are counted for an interval


def bounds(groups: np.ndarray, what: str = "pictures") -> str:
    """What titles say about bounds where plain rivals stand beside what is trained by seed; no
    interval is given over too few `groups` [n].
    """
    many = len(np.unique(groups))
    more = f"; plain rivals: 95 % interval over {many} {what}" if many >= FEWEST else ""
    return f"(range over three seeds{more})"


def of_cases(ill: np.ndarray, score: np.ndarray) -> tuple[float, float | None, float | None]:
    """(AUROC, low, high) of a score [n] of cases, `ill` bool [n], with its 95 % interval over
    these.
    """

    def of(at: np.ndarray) -> float:
        return float(roc_auc_score(ill[at], score[at])) if len(set(ill[at])) == 2 else np.nan

    every = np.arange(len(ill))
    return of(every), *interval(of, len(ill), None, (0, 1), classes=ill).bounds


def within(
    measure: str, heat: np.ndarray, truth: np.ndarray, groups: np.ndarray
) -> tuple[float, float | None, float | None]:
    """(value, low, high) of one of MEASURES for a map [n,H,W], with its 95 % interval over the
    pictures `groups` [n] that tiles are of; for pixels that is counted in BINS of heat.
    """
    value, classes = MEASURES[measure], None
    if measure.startswith("pixel"):
        counts = counted(heat, truth)

        def of(at: np.ndarray) -> float:
            return from_counts(measure, *counts[:, at].sum(1))
    else:
        classes = truth.any((1, 2))

        def of(at: np.ndarray) -> float:
            return value(heat[at], truth[at])

    found = interval(of, len(heat), groups, (0, 1), classes=classes)
    return value(heat, truth), *found.bounds


def counted(heat: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How many pixels that are marked, and that are not, each map [n,H,W] has in each bin of heat:
    int64 [2,n,bins], from cold to hot.
    """
    edges = np.unique(np.quantile(heat, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, heat, side="right").reshape(len(heat), -1)
    many, marked = len(edges) + 1, truth.reshape(len(truth), -1).astype(bool)
    each = [
        [np.bincount(p[m], minlength=many) for p, m in zip(place, some)]
        for some in (marked, ~marked)
    ]
    return np.array(each, dtype=np.int64)


def from_counts(measure: str, ill: np.ndarray, well: np.ndarray) -> float:
    """AUROC or average precision of pixels counted in bins [bins], from cold to hot; those of one
    bin are taken as equally hot. NaN without a marked or an unmarked pixel.
    """
    if not ill.sum() or not well.sum():
        return float("nan")
    if measure == "pixel AUROC":
        below = np.cumsum(well) - well
        return float((ill * (below + 0.5 * well)).sum() / (ill.sum() * well.sum()))
    hits = np.cumsum(ill[::-1])
    chosen = np.maximum(np.cumsum((ill + well)[::-1]), 1)
    return float((ill[::-1] / ill.sum() * hits / chosen).sum())


def strega(data: Dataset, seeds: list[int]) -> list[np.ndarray]:
    """Heat [m,S,S] of StRegA on the test part of `lesion_slices`, a map a seed."""
    params = {"epochs": 60, "side": SIDE, "batch_size": 8}
    test = data.splits == "test"
    return [heat_of(run("strega", data, params, seed)[1])[test] for seed in seeds]


# -- real lesions ----------------------------------------------------------------------------------
def lesion_slices(folder: Path, held: str) -> Dataset:
    """Axial slices [n,2,128,128] (FLAIR, T2) of the two patients of `ms_lesion_mri`: lesion-free
    ones of the other patient train (every fifth validates), every second one of patient `held`
    tests. Slices with at least 30 cm² of brain; values 0 to the volume's 99.9th percentile.
    """
    pictures, masks, lines = [], [], []
    for patient in ("patient07", "patient19"):
        x, mask = _volume(folder / "ms_lesion_mri" / patient)
        free = ~mask.any((1, 2))
        at = np.flatnonzero((x[:, 0] > 0).sum((1, 2)) > 3000 * SIDE**2 / 218**2)
        at = at[::2] if patient == held else at[free[at]]
        for k, z in enumerate(at):
            other = "val" if k % 5 == 2 else "train"
            lines.append((patient, "test" if patient == held else other))
            pictures.append(x[z])
            masks.append(mask[z])
    table = pd.DataFrame(lines, columns=["patient", "split"])
    roles = {"group": "patient", "split": "split"}
    stacked = np.stack(masks).astype(np.uint8)
    return Dataset("ms", "image", table, np.stack(pictures), stacked, roles)


def _volume(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """FLAIR and T2 in [0, 1] float32 [z,2,S,S], lesion mask bool [z,S,S]: a pixel is marked where
    any of those it is made of is.
    """
    import nibabel
    import torch
    from torch.nn import functional as F

    def read(name: str) -> np.ndarray:
        image: Any = nibabel.load(folder / f"{name}.nii.gz")
        values = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)[:, ::-1]
        return np.pad(values, ((0, 0), (0, 0), (18, 18)))

    channels = [read("FLAIR"), read("T2")]
    scaled = [np.clip(c / np.percentile(c[c != 0], 99.9), 0, 1) for c in channels]
    x = torch.from_numpy(np.stack(scaled, 1))
    mask = torch.from_numpy(read("lesion_mask"))[:, None]
    small = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
    return small.numpy(), F.adaptive_max_pool2d(mask, SIDE)[:, 0].numpy() > 0


# -- nuclei ----------------------------------------------------------------------------------------
def pasted_nuclei(folder: Path, seed: int = 0) -> Dataset:
    """Grey tiles [n,1,64,64] of the fluorescence pictures of `dsb2018_nuclei`, split by picture
    (3 : 1 : 1); in every second test tile a part of a stained or bright-field picture, brought to
    the tile's mean there, which the masks mark.
    """
    table = pd.read_csv(folder / "dsb2018_nuclei" / "index.csv")
    fluorescent = table[table.modality_group == "fluo"].id.tolist()
    others = table[table.modality_group != "fluo"].id.tolist()
    rng = np.random.default_rng(seed)
    parts = np.array(["train", "train", "val", "train", "test"])
    split = parts[rng.permutation(len(fluorescent)) % 5]
    tiles = [_tiles(folder, name) for name in fluorescent]
    many = [len(t) for t in tiles]
    donors = np.concatenate([_tiles(folder, name)[::2] for name in others])
    x = np.concatenate(tiles)
    lines = pd.DataFrame({"picture": np.repeat(fluorescent, many), "split": np.repeat(split, many)})
    masks = np.zeros((len(x), TILE, TILE), np.uint8)
    changed = np.flatnonzero((lines["split"] == "test").to_numpy())[::2]
    x[changed], masks[changed] = pasted(x[changed], donors, rng, (0.08, 0.2))
    return Dataset("nuclei", "image", lines, x, masks, {"group": "picture", "split": "split"})


def pasted_kinds(folder: Path, many: int = 320, seed: int = 0) -> Dataset:
    """About `many` grey tiles [n,1,64,64] of each kind of picture of `dsb2018_nuclei` (column
    `kind`: fluorescence, stained, bright field), split by picture (3 : 1 : 1); in every second test
    tile a part of a picture of another kind, brought to the tile's mean there, which masks mark.
    """
    table = pd.read_csv(folder / "dsb2018_nuclei" / "index.csv")
    rng = np.random.default_rng(seed)
    parts = np.array(["train", "train", "val", "train", "test"])
    found: list[np.ndarray] = []
    lines = []
    for kind, some in table.groupby("modality_group"):
        split, each = parts[rng.permutation(len(some)) % 5], -(-many // len(some))
        for name, part in zip(some.id, split):
            tiles = _tiles(folder, name)
            found.append(tiles[rng.permutation(len(tiles))[:each]])
            lines += [(str(kind), name, part)] * len(found[-1])
    x, frame = np.concatenate(found), pd.DataFrame(lines, columns=["kind", "picture", "split"])
    masks, whole = np.zeros((len(x), TILE, TILE), np.uint8), x.copy()
    kinds, test = frame["kind"].to_numpy(), (frame["split"] == "test").to_numpy()
    for kind in np.unique(kinds):
        changed = np.flatnonzero(test & (kinds == kind))[::2]
        donors = whole[test & (kinds != kind)]
        x[changed], masks[changed] = pasted(x[changed], donors, rng, (0.08, 0.2))
    return Dataset("kinds", "image", frame, x, masks, {"group": "picture", "split": "split"})


def _tiles(folder: Path, name: str) -> np.ndarray:
    """Grey tiles [n,1,64,64] of a picture, side by side; 0 to its 99.8th percentile is 0 to 1."""
    from PIL import Image

    path = folder / "dsb2018_nuclei" / "images" / f"{name}.png"
    grey = np.asarray(Image.open(path).convert("L"), dtype=np.float32)
    grey = np.clip(grey / max(1.0, float(np.percentile(grey, 99.8))), 0, 1)
    down, across = (s // TILE for s in grey.shape)
    cut = grey[: down * TILE, : across * TILE].reshape(down, TILE, across, TILE)
    return np.ascontiguousarray(cut.swapaxes(1, 2).reshape(-1, 1, TILE, TILE))


def patient_slices(folder: Path, held: str, learned: list[str]) -> Dataset:
    """Axial slices [n,2,128,128] (FLAIR, T2) of patients of `ms_lesion_mri` with their masks: of
    `held` every second one tests; of those `learned` from, blocks of four of every twenty
    validate, the rest trains. Values and size as in `lesion_slices`.
    """
    pictures, masks, lines = [], [], []
    for patient in [*learned, held]:
        x, mask = _volume(folder / "ms_lesion_mri" / patient)
        at = np.flatnonzero((x[:, 0] > 0).sum((1, 2)) > 3000 * SIDE**2 / 218**2)
        at = at[::2] if patient == held else at
        for k in range(len(at)):
            other = "val" if k // 4 % 5 == 2 else "train"
            lines.append((patient, "test" if patient == held else other))
        pictures.append(x[at])
        masks.append(mask[at])
    table = pd.DataFrame(lines, columns=["patient", "split"])
    roles = {"group": "patient", "split": "split"}
    stacked = np.concatenate(masks).astype(np.uint8)
    return Dataset("ms", "image", table, np.concatenate(pictures), stacked, roles)


def held_patients(folder: Path) -> list[tuple[str, list[str]]]:
    """Patients of `ms_lesion_mri` to test on, and those to learn from then: of the two that
    methods were developed on each with the other; every further one that is there with both.
    """
    there = sorted(p.name for p in (folder / "ms_lesion_mri").glob("patient*") if p.is_dir())
    return [(one, [d for d in DEVELOPED_ON if d != one]) for one in there]


DEVELOPED_ON = ["patient07", "patient19"]
