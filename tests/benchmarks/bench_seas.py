"""SeaS on nuclei of which twelve have foreign parts: where it looks, what it makes, and whether a
segmenter gains from that: `python -m tests.benchmarks.bench_seas [SEED ...]`, about 5 minutes a
seed of one processor; tables are stored of the seeds measured so far.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import adaptive_max_pool2d, avg_pool2d

from core.artifacts import Pairs
from core.data.dataset import Dataset
from core.evidence import code_of, shared_data
from core.methods.augmentation._drawing import all_turns, nearest, turned
from core.nets.losses.separation import focal
from tests.benchmarks._anomaly import TILE, _tiles, pixel_ap
from tests.benchmarks._common import over_seeds, row, run, store_part, table

SIDE = TILE // 2
KINDS = {"stained": (0.1, 0.2), "bright_gray": (0.05, 0.35)}  # half axes of parts, in sides
FEW = 12  # abnormal training pictures
PARAMS = {"epochs": 40, "pairs": 40}
STEPS, REPEATS = 250, 2  # of the segmenter: steps, and networks a seed whose mean counts
LEAST = "SeaS, the nearest of all"
ILL, WELL = "generated abnormal pictures", "generated normal pictures"
NAME = "dsb2018_nuclei, fluorescence, parts of other stains"
KEPT = Path(tempfile.gettempdir()) / "bench_seas"  # what seeds gave, by the code's hash


# -- data ------------------------------------------------------------------------------------------
def few_nuclei(folder: Path, seed: int) -> Dataset:
    """Grey tiles [n,1,32,32] of fluorescence pictures, split by picture (3 : 1 : 1); in twelve
    training tiles, and in every second one of validation and test, a part of a stained picture
    (round) or of a bright-field one (long), which masks mark and the column `finding` names.
    """
    index = pd.read_csv(folder / "dsb2018_nuclei" / "index.csv")
    rng = np.random.default_rng(seed)
    names = index[index.modality_group == "fluo"].id.tolist()
    parts = np.array(["train", "train", "val", "train", "test"])
    split = parts[rng.permutation(len(names)) % 5]
    tiles = [_tiles(folder, name) for name in names]
    many = [len(t) for t in tiles]
    x, split = np.concatenate(tiles), np.repeat(split, many)
    masks, finding = np.zeros((len(x), TILE, TILE), bool), np.full(len(x), "normal", object)
    for part in ("train", "val", "test"):
        at = np.flatnonzero(split == part)
        at = rng.permutation(at)[:FEW] if part == "train" else at[::2]
        for k, (kind, radii) in enumerate(KINDS.items()):
            some = at[k::2]
            others = index[index.modality_group == kind].id
            # donors of training are other pictures than those of validation and of test
            own = {"train": 0, "val": 1, "test": 2}[part]
            donors = np.concatenate([_tiles(folder, name)[::2] for name in others[own::3]])
            finding[some] = kind
            for i in some:
                x[i], masks[i] = blended(x[i], donors[rng.integers(len(donors))], radii, rng)
    small = avg_pool2d(torch.from_numpy(x), 2).numpy()
    mask = adaptive_max_pool2d(torch.from_numpy(masks.astype("f4"))[:, None], SIDE)[:, 0].numpy()
    lines = {"picture": np.repeat(names, many), "split": split, "finding": finding}
    roles = {"group": "picture", "split": "split", "label": "finding"}
    return Dataset("few nuclei", "image", pd.DataFrame(lines), small, mask.astype(np.uint8), roles)


def blended(
    x: np.ndarray, donor: np.ndarray, radii: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A tile [1,S,S] with a soft-edged ellipse of the donor, made darker, and where that lies."""
    y, across = np.mgrid[:TILE, :TILE]
    low, high = radii
    half = np.array([low, high] if high > 4 * low else rng.uniform(low, high, 2)) * TILE
    half = half * rng.uniform(0.8, 1.2, 2)
    middle, turn = rng.uniform(0.25, 0.75, 2) * TILE, rng.uniform(0, np.pi)
    dy, dx = y - middle[0], across - middle[1]
    u, v = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
    alpha = np.clip((1 - np.hypot(u / half[0], v / half[1])) * half.min() / 2 + 0.5, 0, 1)
    part = donor * rng.uniform(0.4, 0.8)
    return (x * (1 - alpha) + part * alpha).astype("f4"), alpha >= 0.5


# -- a small segmenter -----------------------------------------------------------------------------
Pool = tuple[np.ndarray, np.ndarray]  # pictures [n,1,S,S], masks [n,S,S]


def segmenter(real: Pool, normal: np.ndarray, more: Pool | None, seed: int) -> nn.Module:
    """A small convolutional network trained on abnormal pictures with masks, of which half are of
    `more` where given, beside as many normal ones: 250 steps of 16 pictures, turned in all ways.
    """
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b, far in ((1, 16, 1), (16, 24, 2), (24, 24, 4), (24, 16, 1)):
        layers += [nn.Conv2d(a, b, 3, padding=far, dilation=far), nn.GroupNorm(4, b), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Conv2d(16, 1, 1))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    rng = np.random.default_rng(seed)
    empty = np.zeros((len(normal), SIDE, SIDE), "f4")
    pools = [_joined(real), _joined(real if more is None else more), _joined((normal, empty))]
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 1.5e-3 * (1 + np.cos(np.pi * step / STEPS))
        some = [pool[rng.choice(len(pool), n)] for pool, n in zip(pools, (4, 4, 8))]
        x = turned(torch.cat(some), "all")
        loss = focal(net(x[:, :1]), (x[:, 1:] > 0.5).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def _joined(pool: Pool) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([pool[0], pool[1][:, None]], 1).astype("f4"))


def heat_by(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """Probabilities [n,S,S] of pictures [n,1,S,S]."""
    with torch.no_grad():
        parts = torch.from_numpy(np.asarray(x)).split(64)
        return torch.cat([net(part)[:, 0].sigmoid() for part in parts]).numpy()


def cut_and_pasted(real: Pool, normal: np.ndarray, many: int, seed: int) -> Pool:
    """The plain rival: what is marked in an example, turned and moved, on a normal picture."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < many:
        k = len(found) % len(real[0])
        both = np.concatenate([real[0][k], real[1][k][None]]).astype("f4")
        both = all_turns(both[None], "all")[rng.integers(8), 0]
        both = np.roll(both, tuple(rng.integers(-SIDE // 3, SIDE // 3, 2)), (1, 2))
        where = both[1] > 0
        base = normal[rng.integers(len(normal))]
        found.append((np.where(where, both[:1], base), where))
    return np.stack([f[0] for f in found]), np.stack([f[1] for f in found]).astype("f4")


# -- one seed --------------------------------------------------------------------------------------
class Looked:
    """What one seed gives: figures by table and row."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed, self.data = seed, few_nuclei(folder, seed)
        self.x, self.truth = self.data.inputs(), self.data.mask()
        self.parts = {s: self.data.splits == s for s in ("train", "val", "test")}
        self.ill = self.truth.any((1, 2))
        self.method, self.given = run("seas", self.data, PARAMS, seed)
        _, self.off = run("seas", self.data, PARAMS | {"alignment": 0.0}, seed)
        self.made: Pairs = self.given["pairs"]
        self.figures: dict[str, dict[str, float]] = {}
        self.real = (
            self.x[self.parts["train"] & self.ill],
            self.truth[self.parts["train"] & self.ill].astype("f4"),
        )
        self.normal = self.x[self.parts["train"] & ~self.ill]
        self.prompts = np.array(self.made.prompts)
        for look in (self._attention, self._changes, self._downstream, self._told, self._mixed):
            look()

    def _pure(self, made: Pairs) -> np.ndarray:
        """Which pairs are of one kind and have a mask, bool [m]."""
        return (np.asarray(made.mix).max(1) == 1) & np.asarray(made.mask).any((1, 2))

    def _attention(self) -> None:
        at = self.parts["test"] & self.ill
        truth = self.truth[at].ravel()

        def auroc(heat: np.ndarray) -> float:
            return float(roc_auc_score(truth, heat.ravel()))

        blank = _untrained_attention(self.data, self.seed)
        self.figures["attention"] = {
            "SeaS": auroc(np.asarray(self.given["images-attention"].image)[at]),
            "without alignment": auroc(np.asarray(self.off["images-attention"].image)[at]),
            "untrained copy": auroc(blank[at]),
            "brightness": auroc(self.x[at]),
            "n": int(at.sum()),
        }

    def _changes(self) -> None:
        def ratio(made: Pairs) -> float:
            inside, outside = [], []
            pure = self._pure(made)
            for image, mask in zip(np.asarray(made.image)[pure], np.asarray(made.mask)[pure]):
                ways = all_turns(self.normal, "all").reshape(-1, 1, SIDE, SIDE)
                # the nearest normal picture where nothing is masked
                far = np.square(ways - image)[:, 0][:, ~mask].mean(1)
                change = np.abs(image - ways[far.argmin()])[0]
                inside.append(change[mask].mean())
                outside.append(change[~mask].mean())
            return float(np.mean(inside) / np.mean(outside))

        self.figures["change"] = {
            "SeaS": ratio(self.made),
            "without alignment": ratio(self.off["pairs"]),
        }
        pure = self._pure(self.made)
        far = np.asarray(self.made.distance)[pure]
        pasted, _ = cut_and_pasted(self.real, self.normal, int(pure.sum()), self.seed)
        usual = float(np.median(nearest(self.real[0], self.real[0], "all")[1]))
        self.figures["copies"] = {
            "SeaS": float(far.mean()),
            LEAST: float(far.min()),
            "cut and pasted examples": float(nearest(pasted, self.real[0], "all")[1].mean())
            / usual,
            "n": int(pure.sum()),
        }

    def _downstream(self) -> None:
        test = self.parts["test"]
        pure = self._pure(self.made)
        pairs = np.asarray(self.made.image)[pure], np.asarray(self.made.mask)[pure].astype("f4")
        order = np.random.default_rng(self.seed).permutation(len(pairs[0]))
        pools = {
            "examples and generated pairs": pairs,
            "examples alone": None,
            "examples, cut and pasted": cut_and_pasted(
                self.real, self.normal, len(pairs[0]), self.seed
            ),
            "generated pairs with shuffled masks": (pairs[0], pairs[1][order]),
        }
        found = {}
        for name, more in pools.items():
            heats = [
                heat_by(segmenter(self.real, self.normal, more, 10 * self.seed + k), self.x[test])
                for k in range(REPEATS)
            ]
            found[name] = float(np.mean([pixel_ap(h, self.truth[test]) for h in heats]))
        own = np.asarray(self.given["anomalymaps"].map)[test]
        found["mask network of SeaS"] = pixel_ap(own, self.truth[test])
        found["brightness"] = pixel_ap(self.x[test][:, 0], self.truth[test])
        self.figures["downstream"] = found | {"n": int(test.sum())}

    def _told(self) -> None:
        """By a segmenter of real validation pictures, and by what components leave over."""
        val, test = self.parts["val"], self.parts["test"]
        real = self.x[val & self.ill], self.truth[val & self.ill].astype("f4")
        net = segmenter(real, self.x[val & ~self.ill], None, self.seed)
        well = self.x[test & ~self.ill]
        pca = PCA(32, random_state=0).fit(self.normal.reshape(len(self.normal), -1))

        def residual(x: np.ndarray) -> np.ndarray:
            flat = np.asarray(x).reshape(len(x), -1)
            return np.square(flat - pca.inverse_transform(pca.transform(flat))).mean(1)

        def highest(x: np.ndarray) -> np.ndarray:
            return np.sort(heat_by(net, x).reshape(len(x), -1), 1)[:, -10:].mean(1)

        image = np.asarray(self.made.image)
        normal, pure = image[self.prompts == "normal"], image[self._pure(self.made)]
        for key, score in (("told", highest), ("left over", residual)):
            found = {}
            for name, some in (
                (ILL, pure),
                ("real abnormal pictures", self.x[test & self.ill]),
                (WELL, normal),
            ):
                truth = np.r_[np.ones(len(some)), np.zeros(len(well))]
                found[name] = float(roc_auc_score(truth, np.r_[score(some), score(well)]))
            self.figures[key] = found | {"n": len(well) + len(pure)}

    def _mixed(self) -> None:
        """How a half of each kind's tokens lies between the kinds, on starts not fitted on."""
        names = [*self.made.kinds]
        mixed = next(p for p in dict.fromkeys(self.prompts) if "%" in p)
        with torch.no_grad():
            z = self.method.embed(torch.from_numpy(np.array(self.made.image))).numpy()
        sets = [np.flatnonzero(self.prompts == name) for name in (*names, mixed)]
        half = len(sets[0]) // 2
        fitted = np.r_[sets[0][:half], sets[1][:half]]
        spread = z[fitted].std(0) + 1e-6
        reader = LogisticRegression(C=0.1, max_iter=2000)
        reader.fit(z[fitted] / spread, np.r_[np.zeros(half), np.ones(half)])
        place = [reader.predict_proba(z[s[half:]] / spread)[:, 1] for s in sets]
        image = np.asarray(self.made.image)
        apart = np.abs(image[sets[0]] - image[sets[1]]).mean()
        moved = min(np.abs(image[sets[2]] - image[s]).mean() for s in sets[:2])
        first, second, mean = (float(p.mean()) for p in place)
        self.figures["mixed"] = {
            "half of each": (mean - first) / (second - first),
            "half of each, place": mean,
            "first kind alone": first,
            "second kind alone": second,
            "n": half,
        }
        self.figures["moved"] = {"half of each": float(moved / apart), "n": len(sets[2])}


def _untrained_attention(data: Dataset, seed: int) -> np.ndarray:
    """The attention of a network that has made no step to speak of."""
    blank = {"epochs": 1, "draws": 16, "learning_rate": 1e-9, "pairs": 1}
    return np.asarray(run("seas", data, blank, seed)[1]["images-attention"].image)


# -- tables ----------------------------------------------------------------------------------------
def tables(found: dict[int, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Tables of the seeds measured, with what was wanted and whether every seed reached it."""
    seeds, first = sorted(found), found[min(found)]
    made = []

    def of(key: str, name: str) -> list[float]:
        return [found[s][key][name] for s in seeds]

    def add(key: str, title: str, measure: str, words: str, only: str = "") -> None:
        names = [only] if only else [n for n in first[key] if n not in ("n", LEAST)]
        rows = [row(n, over_seeds(of(key, n))) for n in names]
        n = int(first[key].get("n", 0)) or int(first["copies"]["n"])
        split = "generated" if key in ("change", "copies", "mixed", "moved") else "test"
        made.append(table(title, NAME, split, n, seeds, measure, rows, words))

    def kept(many: list[bool]) -> str:
        return f"reached in {sum(many)} of {len(many)} seeds"

    on, off = of("attention", "SeaS"), of("attention", "without alignment")
    add(
        "attention",
        "Does attention lie on what is abnormal?",
        "pixel AUROC on pictures with a part",
        f"Wanted at least 0.85: {kept([v >= 0.85 for v in on])}; at least 0.15 less without"
        f" alignment: {kept([a - b >= 0.15 for a, b in zip(on, off)])}.",
    )
    add(
        "change",
        "Do pictures change where the mask is?",
        "difference from the nearest normal picture, inside the mask / outside",
        f"Wanted at least 2: {kept([v >= 2 for v in of('change', 'SeaS')])}.",
    )
    add(
        "copies",
        "Are generated pictures copies of the examples?",
        "distance from the nearest example (1 = examples among themselves)",
        f"Wanted above 0.25: {kept([v > 0.25 for v in of('copies', 'SeaS')])}; the nearest of all:"
        f" {min(of('copies', LEAST)):.2f}.",
    )
    more, alone = (
        of("downstream", "examples and generated pairs"),
        of("downstream", "examples alone"),
    )
    mixed_up = of("downstream", "generated pairs with shuffled masks")
    pasted = of("downstream", "examples, cut and pasted")
    add(
        "downstream",
        "Does a segmenter gain from generated pairs?",
        "pixel average precision",
        f"Better than examples alone in {sum(a > b for a, b in zip(more, alone))} of {len(seeds)}"
        f" seeds, than examples cut and pasted in {sum(a > b for a, b in zip(more, pasted))}; with"
        f" shuffled masks worse than alone in {sum(a < b for a, b in zip(mixed_up, alone))}.",
    )
    for key, how in (
        ("told", "a segmenter of other real pictures"),
        ("left over", "the residual of 32 components of normal pictures"),
    ):
        found_, real = of(key, ILL), of(key, "real abnormal pictures")
        add(
            key,
            "Are generated abnormal pictures told from real normal ones?",
            f"AUROC by {how}",
            f"Wanted at least 0.8: {kept([v >= 0.8 for v in found_])}; real abnormal ones:"
            f" {np.mean(real):.3f}.",
            ILL,
        )
        add(
            key,
            "Are generated normal pictures told from real normal ones?",
            f"AUROC by {how}",
            f"Wanted 0.4 to 0.6: {kept([0.4 <= v <= 0.6 for v in of(key, WELL)])}.",
            WELL,
        )
    way = of("mixed", "half of each")
    place = float(np.mean(of("mixed", "half of each, place")))
    ends = [float(np.mean(of("mixed", f"{which} kind alone"))) for which in ("first", "second")]
    add(
        "mixed",
        "What do tokens of both kinds give?",
        "share of the way from the first kind alone to the second",
        f"Wanted 0.25 to 0.75 of the way: {kept([0.25 <= v <= 0.75 for v in way])}. A classifier of"
        f" both kinds gives {place:.3f}, the kinds alone {ends[0]:.2f} and {ends[1]:.2f}.",
        "half of each",
    )
    add(
        "moved",
        "Do tokens of both kinds give other pictures?",
        "difference from the nearer kind / between the kinds",
        f"Wanted above 0.1: {kept([v > 0.1 for v in of('moved', 'half of each')])}.",
    )
    return made


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    KEPT.mkdir(exist_ok=True)
    wanted = [int(s) for s in sys.argv[1:] if s != "tables"] or [0, 1, 2][: 3 * (len(sys.argv) < 2)]
    for seed in wanted:
        figures = Looked(folder, seed).figures
        (KEPT / f"{code_of('seas')}-{seed}.json").write_text(json.dumps(figures))
    kept = {
        int(path.stem.split("-")[1]): json.loads(path.read_text())
        for path in KEPT.glob(f"{code_of('seas')}-*.json")
    }
    store_part("seas", tables(kept))
