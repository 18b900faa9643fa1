"""MemMC-MAE against plain rivals, a plain masked autoencoder, a plain autoencoder and itself
without memory or levels, on chest X-rays and real lesions: `python -m
tests.benchmarks.bench_mem_mc_mae [once] [chest] [lesions]`, stored part by part, about 25 minutes
on one thread; `once` takes half a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.dataset import Dataset
from core.evidence import shared_data
from core.methods.anomaly._pasted import pasted
from core.methods.anomaly._residuals import case_score
from core.methods.anomaly.mem_mc_mae import MemMCMAE, complementary_masks
from core.nets import mem_mc_mae
from core.nets.vit import Attention, Block
from core.training.run import Run
from tests.benchmarks._anomaly import (
    MEASURES,
    lesion_slices,
    of_cases,
    rivals,
    strega,
    untrained,
)
from tests.benchmarks._common import over_seeds, read, row, store_part, table, verdict

SEEDS = [0, 1, 2]
CHEST = {"epochs": 12}
LESIONS = {"epochs": 150, "side": 128, "patch": 8, "batch_size": 8, "score": "highest hundredth"}
XRAYS, SCANS = "pneumoniamnist_balanced", "ms_lesion_mri, patient 19 held out"
RANGE, PLAIN = "range over three seeds", "plain rivals: 95 % interval over {} X-rays"
WHICH = f"Which X-rays show pneumonia? ({{}} of training, {RANGE})"
WHERE = "Real MS lesions, trained on 22 lesion-free slices of another patient (range, 3 seeds)"
OWN = "MemMC-MAE"
ABLATIONS: dict[str, dict[str, Any]] = {
    OWN: {},
    "without memory": {"slots": 0},
    "last level only": {"levels": "last"},
    "without memory, last level only": {"slots": 0, "levels": "last"},
}


# -- rivals that are trained -----------------------------------------------------------------------
class PlainNet(mem_mc_mae.MemMCMAE):
    """A masked autoencoder of the same size: no memory, and a decoder whose tokens attend to one
    another (He and others 2022).
    """

    def __init__(self, channels: int, dim: int, depth: int, patch: int, layers: int) -> None:
        super().__init__(channels, dim, depth, patch, 0, 0, True)
        blocks = (Block(dim, Attention(dim, self.heads)) for _ in range(layers))
        self.decoder = nn.ModuleList(blocks)

    def decode(self, levels: list[Tensor], at: Tensor, size: int) -> Tensor:
        y = self.first(levels, at, size)
        for block in self.decoder:
            y = block(y)
        flat = self.redraw(self.norm(y)).transpose(1, 2)
        return F.fold(flat, (size, size), self.patch, stride=self.patch)


class ConvNet(nn.Module):
    """A convolutional autoencoder that is trained and asked as the masked ones are, but shown all:
    three halvings, 64 values in its narrowest layer.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.zeros(1))
        wide, deep = (16, 32, 64), 64 * (side // 8) ** 2
        layers: list[nn.Module] = []
        for before, after in zip((channels, *wide), wide):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.GELU()]
        layers += [nn.Flatten(), nn.Linear(deep, 64), nn.Linear(64, deep)]
        layers += [nn.Unflatten(1, (64, side // 8, side // 8))]
        for before, after in zip(wide[::-1], (32, 16, channels)):
            layers += [nn.GELU(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        return self.layers(x)

    def draw(self, x: Tensor, groups: int) -> Tensor:
        return torch.zeros(1)

    def loss(self, x: Tensor, at: Tensor, hidden_only: bool = False) -> Tensor:
        return (self(x, at) - x).square().mean()


class _Bare(MemMCMAE):
    """The method around another network, of which gates and memory are not asked."""

    def _look_inside(self, normal: Dataset, run: Run) -> None:
        self.gates_ = np.zeros((1, 1))


class PlainMAE(_Bare):
    id = "plain_mae"

    def make_net(self) -> Any:
        p = self.params
        return PlainNet(self.shape_[0], p.width, p.depth, int(p.patch), p.decoder)


class ConvAE(_Bare):
    id = "conv_ae"

    def make_net(self) -> Any:
        return ConvNet(self.shape_[0], int(self.params.side))


def fitted(kind: type[MemMCMAE], data: Dataset, params: dict[str, Any], seed: int) -> Any:
    """A fitted `kind`, without what it says of the rows."""
    method, seen = kind(kind.Params(**params)), Run(seed=seed)
    with seen.seeded():
        method.fit(data, seen)
        method.to(seen.where)
    return method


def in_parts(fn: Callable[[Tensor], Tensor], x: Tensor) -> np.ndarray:
    """`fn` over x, 64 at a time, without gradients."""
    with torch.no_grad():
        return torch.cat([fn(some) for some in x.split(64)]).numpy()


def heats(method: Any, x: Tensor) -> np.ndarray:
    """Heat [n,H,W] of pictures [n,C,H,W] at their own size."""
    found = torch.from_numpy(in_parts(lambda some: method.heat(method.resized(some)), x))
    size = tuple(x.shape[2:])
    return F.interpolate(found[:, None], size, mode="bilinear", antialias=True)[:, 0].numpy()


def train_all(data: Dataset, params: dict[str, Any]) -> Iterator[dict[str, list[Any]]]:
    """The fitted methods by name and seed, first the method alone, then one name more each time:
    the ablations, and the rivals that are trained.
    """
    kinds = {name: (MemMCMAE, params | more) for name, more in ABLATIONS.items()}
    kinds |= {"plain MAE": (PlainMAE, params | {"slots": 0})}
    kinds |= {"plain convolutional AE": (ConvAE, params | {"slots": 0, "draws": 1, "groups": 2})}
    found: dict[str, list[Any]] = {}
    for name, (kind, given) in kinds.items():
        found = found | {name: [fitted(kind, data, given, seed) for seed in SEEDS]}
        yield found


# -- chest X-rays ----------------------------------------------------------------------------------
def once(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """The first tables about chest X-rays after a single pass, half a minute."""
    yield next(chest(folder, {"epochs": 1}))


def chest(folder: Path, params: dict[str, Any] = CHEST) -> Iterator[list[dict[str, Any]]]:
    """Normal X-rays train; AUROC of pneumonia on the validation part."""
    data = read(folder / "pneumoniamnist_balanced")
    data = data.take(np.flatnonzero((data.labels == 0) | (data.splits != "train")))
    train, val = data.splits == "train", data.splits == "val"
    sick, x = data.labels[val] != 0, data.inputs()
    at = torch.from_numpy(x[val])
    some = data.take(np.flatnonzero(train)[:16])
    blank = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-12}
    blanks = [fitted(MemMCMAE, some, blank, s) for s in SEEDS]
    heat = {"untrained copy": [heats(one, at) for one in blanks]}
    cheap, normal = rivals(x, train, val), at[torch.from_numpy(~sick)]
    scores: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "case AUROC (mean of the map)": lambda h: h.mean((1, 2)),
        "case AUROC (mean of the highest hundredth)": case_score,
    }
    passes = "one pass" if params["epochs"] == 1 else f"{params['epochs']} passes"
    title = WHICH.format(passes)
    for fits in train_all(data, params):
        last = list(fits)[-1]
        heat = {**heat, last: [heats(f, at) for f in fits[last]]}
        tables = []
        for measure, score in scores.items():

            def value(one: np.ndarray, score: Any = score) -> float:
                return float(roc_auc_score(sick, score(one)))

            def judge(one: np.ndarray, score: Any = score) -> Any:
                return of_cases(sick, score(one))

            tables += compared(heat, cheap, value, title, XRAYS, "val", measure, judge)
        yield tables
        if last == OWN:
            yield [_attention(fits[OWN], blanks, normal), _memory(fits[OWN], normal)]
            yield [_noise(fits[OWN], at)]
        else:
            yield [_visible(fits, normal, at[torch.from_numpy(sick)])]


def compared(
    heat: dict[str, list[np.ndarray]],
    cheap: dict[str, np.ndarray],
    value: Callable[[np.ndarray], float],
    title: str,
    name: str,
    split: str,
    measure: str,
    judge: Callable[[np.ndarray], tuple[float, float | None, float | None]] | None = None,
) -> list[dict[str, Any]]:
    """A table of the method against its rivals, and one of it without its parts, by heat of each
    seed; `judge` gives the value of a plain rival with its interval.
    """
    own = {k: row(k, over_seeds([value(h) for h in heat[k]])) for k in [OWN, *heat]}
    n = len(heat[OWN][0])
    rows = [r for k, r in own.items() if k == OWN or k not in ABLATIONS]
    rows += [
        row(k, (value(v), None, None) if judge is None else judge(v)) for k, v in cheap.items()
    ]
    whole = title if judge is None else title.replace(RANGE, f"{RANGE}; {PLAIN.format(n)}")
    tables = [table(whole, name, split, n, SEEDS, measure, rows, verdict(rows))]
    rows = [own[k] for k in ABLATIONS if k in own]
    if len(rows) > 1:
        title = f"Memory and levels left out. {title}"
        tables.append(table(title, name, split, n, SEEDS, measure, rows, verdict(rows)))
    return tables


def _visible(fits: dict[str, list[Any]], normal: Tensor, donors: Tensor) -> dict[str, Any]:
    """How many times the error of normal patches that of shown pasted patches is: parts of other
    pictures, turned upside down, are pasted into normal ones, and only patches that a mask shows
    count.
    """
    donors = donors.flip(2)
    changed, where = pasted(normal.numpy(), donors.numpy(), np.random.default_rng(0), (0.1, 0.2))
    x = torch.from_numpy(changed)
    odd = torch.from_numpy(where.astype(np.float32))[:, None]
    names = [n for n in fits if n != "plain convolutional AE"]
    rows = []
    for name in names:
        found = []
        for fit in fits[name]:
            small, mask = fit.resized(x), fit.resized(odd)
            patch = fit.net_.patch
            share = F.avg_pool2d(mask, patch).flatten(1)
            wrong = {"odd": [], "usual": []}  # type: dict[str, list[Tensor]]
            with torch.no_grad():
                for r in range(len(fit.masks_)):
                    back = fit.redrawn(small, r)
                    error = (back - small).square().mean(1, keepdim=True)
                    places = torch.from_numpy(fit.masks_[r])
                    error = F.avg_pool2d(error, patch).flatten(1)[:, places]
                    wrong["odd"].append(error[share[:, places] > 0.5])
                    wrong["usual"].append(error[share[:, places] == 0])
            odd_error, usual = (torch.cat(wrong[k]).mean().item() for k in ("odd", "usual"))
            found.append(odd_error / usual)
        rows.append(row(name, over_seeds(found)))
    title = "What is unusual and shown: is it redrawn badly? (X-rays, range over three seeds)"
    measure = "squared error of shown foreign patches / of shown normal ones"
    data = f"{XRAYS}, pasted parts"
    return table(title, data, "val", len(normal), SEEDS, measure, rows, verdict(rows))


def share_of(fit: Any, normal: Tensor) -> float:
    """How much of the attention goes to the memory, the mean over pictures, patches and layers."""
    with torch.no_grad():
        shares = fit.net_.memory_shares(fit.resized(normal), fit._at(0))
    return float(shares.sum(3).mean())


def _attention(fits: list[Any], blanks: list[Any], normal: Tensor) -> dict[str, Any]:
    """The memory's share of attention, beside that of copies that made no step."""
    shares = [[share_of(fit, normal) for fit in some] for some in (fits, blanks)]
    slots, shown = fits[0].params.slots, fits[0].masks_.shape[1]
    return attention_table(*map(over_seeds, shares), slots / (slots + shown), len(normal))


def attention_table(own: Any, blank: Any, even: float, n: int) -> dict[str, Any]:
    """The table of the memory's share of attention, of (mean, least, largest) over seeds; `even` is
    what slots and shown patches get where all are attended to alike.
    """
    rows = [
        row("memory", own),
        row("memory, untrained copy", blank),
        row("memory, attention spread evenly", (even, None, None)),
    ]
    title = "How much attention goes to the memory? (X-rays, range over three seeds)"
    words = (
        f"At least a twentieth was asked for, which an untrained copy gives too ({blank[0]:.3f}):"
        f" training adds {own[0] - blank[0]:.3f}, and spread evenly it would be {even:.3f}."
    )
    return table(title, XRAYS, "val", n, SEEDS, "share of attention", rows, words)


def _memory(fits: list[Any], normal: Tensor) -> dict[str, Any]:
    """The error with random vectors in the memory's place."""
    error: dict[str, list[float]] = {"its own memory": [], "random vectors in its place": []}
    for s, fit in enumerate(fits):
        x, at = fit.resized(normal), fit._at(0)
        with torch.no_grad():
            kept = fit._swap_memory(s)
            other = float((fit.net_(x, at) - x).square().mean())
            fit._put_memory(kept)
            error["its own memory"].append(float((fit.net_(x, at) - x).square().mean()))
            error["random vectors in its place"].append(other)
    least = min(
        b / a for a, b in zip(error["its own memory"], error["random vectors in its place"])
    )
    rows = [row(k, over_seeds(v)) for k, v in error.items()]
    title = "Is the memory used? (X-rays, range over three seeds)"
    words = f"Random vectors raise the error of normal pictures by {least - 1:.0%} or more."
    measure = "squared error of normal pictures"
    return table(title, XRAYS, "val", len(normal), SEEDS, measure, rows, words, False)


def _noise(fits: list[Any], x: Tensor) -> dict[str, Any]:
    """Variance of a picture's score over sets of masks: one random mask, and the eight that hide
    every patch equally often.
    """
    found: dict[str, list[float]] = {"one random mask": [], "eight complementary masks": []}
    x = x[::9]
    for fit in fits:
        small, kept = fit.resized(x), fit.masks_
        many = fit.masks_.size // fit.params.draws
        for name, used in zip(found, (1, 8)):
            scores = []
            for s in range(8):
                fit.masks_ = complementary_masks(many, 4, 2, 1000 + s)[:used]
                scores.append(in_parts(fit.heat, small).mean((1, 2)))
            found[name].append(float(np.var(scores, axis=0, ddof=1).mean()))
        fit.masks_ = kept
    scale = 1e6
    ratio = [a / b for a, b in zip(*found.values())]
    rows = [row(k, over_seeds([scale * v for v in some])) for k, some in found.items()]
    words = f"Eight complementary masks cut the variance {min(ratio):.1f} times or more."
    title = "Do scores depend on the masks drawn? (X-rays, eight draws, range over three seeds)"
    measure = "variance of a picture's score, millionths"
    return table(title, XRAYS, "val", len(x), SEEDS, measure, rows, words, False)


# -- lesions ---------------------------------------------------------------------------------------
def lesions(folder: Path) -> Iterator[list[dict[str, Any]]]:
    data = lesion_slices(folder, "patient19")
    train, test = data.splits == "train", data.splits == "test"
    x, truth = data.inputs(), data.mask()[test]
    at = torch.from_numpy(x[test])
    heat = {"untrained copy": [untrained("mem_mc_mae", data, s, LESIONS)[test] for s in SEEDS]}
    heat["StRegA (FLAIR)"] = strega(data, SEEDS)
    cheap = rivals(x, train, test)
    for fits in train_all(data, LESIONS):
        last = list(fits)[-1]
        heat = {**heat, last: [heats(f, at) for f in fits[last]]}
        tables = []
        for measure, value in MEASURES.items():

            def of(one: np.ndarray, value: Any = value) -> float:
                return float(value(one, truth))

            tables += compared(heat, cheap, of, WHERE, SCANS, "test", measure)
        yield tables


if __name__ == "__main__":
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    parts = {"once": once, "chest": chest, "lesions": lesions}
    for part in sys.argv[1:] or parts:
        for tables in parts[part](folder):
            store_part("mem_mc_mae", tables)
