"""EAR in one pass against RIAD's twelve, its plain rivals and its own broken copies, on nuclei with
foreign parts and on real lesions: `python -m tests.benchmarks.bench_ear [PART...]`, about an hour;
parts: nuclei, sizes, hints, saliency, again, lesions; without one named, all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.data.dataset import Dataset
from core.evidence import shared_data
from core.methods.anomaly._inpainting import heat_of as edge_heat
from core.nets.inpainting import Inpainter, excise
from core.nets.losses.recovery import edge_map, recovery
from core.nets.saliency import spectral_residual
from core.training.ordinary import half_cosine
from core.training.run import Run
from tests.benchmarks._anomaly import (
    MEASURES,
    bounds,
    heat_of,
    lesion_slices,
    pasted_nuclei,
    pixel_auroc,
    rivals,
    untrained,
    within,
)
from tests.benchmarks._common import over_seeds, row, run, store_part, table, verdict

SEEDS = [0, 1, 2]
CELLS = (2, 4, 8, 16)  # sides of RIAD's squares
SETS = 3  # disjoint sets that cover a picture
NUCLEI = {"epochs": 10}
LESIONS = {"epochs": 60, "side": 128, "batch_size": 8}
PASTED, SCANS = "dsb2018_nuclei, fluorescence, pasted parts", "ms_lesion_mri, patient 19 held out"


class RIAD:
    """The same network, trained as long on random grids of squares that are blackened; a picture is
    put together of three disjoint sets of squares of each of four sizes: twelve passes.
    """

    def __init__(self, data: Dataset, params: dict[str, Any], seed: int) -> None:
        x = torch.from_numpy(data.part("train").inputs())
        self.rng, batch = np.random.default_rng(seed), int(params.get("batch_size", 32))
        torch.manual_seed(seed)
        self.net = Inpainter(x.shape[1], 8).to(memory_format=torch.channels_last)
        optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)
        rate, per_epoch = half_cosine(1e-3, 0.5), len(x) // batch
        for step in range(per_epoch * params["epochs"]):
            if step % per_epoch == 0:
                order = self.rng.permutation(len(x))
            optimiser.param_groups[0]["lr"] = rate(step, per_epoch * params["epochs"])
            some = x[order[step % per_epoch * batch :][:batch]]
            mask = self.squares(x.shape[-1], CELLS[step % len(CELLS)]) == step % SETS
            loss = recovery(some, self.net(some * ~mask), 0.01)["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self.net.eval()

    def squares(self, side: int, cell: int) -> torch.Tensor:
        """Which of the sets each pixel is in, int64 [side,side], drawn anew."""
        drawn = self.rng.permutation((side // cell) ** 2) % SETS
        return torch.from_numpy(np.kron(drawn.reshape(side // cell, -1), np.ones((cell, cell))))

    def heat(self, x: torch.Tensor) -> torch.Tensor:
        """[b,S,S] of pictures [b,C,S,S]: the mean heat over the four sizes."""
        whole = []
        for cell in CELLS:
            back, sets = torch.zeros_like(x), self.squares(x.shape[-1], cell)
            for k in range(SETS):
                back += self.net(x * (sets != k)) * (sets == k)
            whole.append(edge_heat(x, back))
        return torch.stack(whole).mean(0)


class PlainAE:
    """The same network without its skips, trained as long to give whole pictures back, nothing
    hidden: what a plain autoencoder finds.
    """

    def __init__(self, data: Dataset, params: dict[str, Any], seed: int) -> None:
        x = torch.from_numpy(data.part("train").inputs())
        batch, rng = int(params.get("batch_size", 32)), np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.net = Inpainter(x.shape[1], 8).to(memory_format=torch.channels_last)
        optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)
        rate, per_epoch = half_cosine(1e-3, 0.5), len(x) // batch
        for step in range(per_epoch * params["epochs"]):
            if step % per_epoch == 0:
                order = rng.permutation(len(x))
            optimiser.param_groups[0]["lr"] = rate(step, per_epoch * params["epochs"])
            some = x[order[step % per_epoch * batch :][:batch]]
            loss = recovery(some, self.back(some), 0.01)["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self.net.eval()

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures [b,C,S,S] redrawn from the deepest level alone."""
        *skips, deepest = self.net.encode(x)
        return self.net.decode([*(torch.zeros_like(s) for s in skips), deepest])

    def heat(self, x: torch.Tensor) -> torch.Tensor:
        """[b,S,S] of pictures [b,C,S,S]."""
        return edge_heat(x, self.back(x))


def in_parts(fn: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> np.ndarray:
    """`fn` over x, 32 at a time, without gradients."""
    with torch.no_grad():
        return torch.cat([fn(some) for some in x.split(32)]).numpy()


def compare(
    data: Dataset, params: dict[str, Any], name: str, title: str, more: dict[str, list[np.ndarray]]
) -> tuple[list[dict[str, Any]], list[Any], list[RIAD]]:
    """Tables of EAR against RIAD and the plain rivals on the test part, the fitted EARs and RIADs
    by seed; `more`: heat by seed of other methods.
    """
    train, test = data.splits == "train", data.splits == "test"
    x, truth = data.inputs(), data.mask()[test]
    fits, own = zip(
        *((f, heat_of(g)[test]) for f, g in (run("ear", data, params, s) for s in SEEDS))
    )
    twelve = [RIAD(data, params, s) for s in SEEDS]
    at = torch.from_numpy(x[test])
    by_seed = {
        "EAR (one pass)": list(own),
        "RIAD (twelve passes)": [in_parts(r.heat, at) for r in twelve],
        "plain autoencoder": [in_parts(PlainAE(data, params, s).heat, at) for s in SEEDS],
        "untrained copy": [untrained("ear", data, s, params)[test] for s in SEEDS],
        **more,
    }
    cheap, found, groups = rivals(x, train, test), list[dict[str, Any]](), data.groups[test]
    for measure, value in MEASURES.items():
        rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in by_seed.items()]
        rows += [row(k, within(measure, v, truth, groups)) for k, v in cheap.items()]
        n = int(test.sum())
        found.append(table(title, name, "test", n, SEEDS, measure, rows, verdict(rows)))
    return found, list(fits), twelve


def nuclei(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Tables about nuclei, the quick ones first."""
    data = pasted_nuclei(folder)
    title = f"Where is a part of another stain? {bounds(data.groups[data.splits == 'test'])}"
    found, fits, twelve = compare(data, NUCLEI, PASTED, title, {})
    test = data.splits == "test"
    x, truth = torch.from_numpy(data.inputs(np.flatnonzero(test))), data.mask()[test]
    yield [*found, _speed(fits[0], twelve[0], x), _repeated(fits[0], twelve[0], x)]
    yield [_covered(fits, x, truth), *_permuted(fits, x, truth)]


def sizes(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Tables about how coarse the mosaic is, how much is hidden, and how large the parts are."""
    data = pasted_nuclei(folder)
    test = data.splits == "test"
    x, truth = torch.from_numpy(data.inputs(np.flatnonzero(test))), data.mask()[test]
    fits = [run("ear", data, NUCLEI, s)[0] for s in SEEDS]
    yield [_shares(fits, x, truth), _by_size(fits, x, truth)]
    yield [_sizes(data, fits, x, truth)]


def hints(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Tables about what is shown in place of what is hidden, on nuclei."""
    data = pasted_nuclei(folder)
    test = data.splits == "test"
    yield _hints(data, torch.from_numpy(data.inputs(np.flatnonzero(test))), data.mask()[test])


def saliency(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Tables about a transformer's attention in place of the spectrum, on nuclei."""
    data = pasted_nuclei(folder)
    test = data.splits == "test"
    x, truth = torch.from_numpy(data.inputs(np.flatnonzero(test))), data.mask()[test]
    heats: dict[str, list[np.ndarray]] = {}
    lift: dict[str, list[float]] = {}
    for way in ("spectral residual", "attention"):
        for s in SEEDS:
            fit, given = run("ear", data, NUCLEI | {"saliency": way}, s)
            heats.setdefault(way, []).append(heat_of(given)[test])
            hidden = in_parts(fit.mask, x)[:, 0] > 0
            lift.setdefault(way, []).append(float(hidden[truth].mean() / hidden.mean()))
    rows = [row(k, over_seeds(v)) for k, v in lift.items()]
    title, found = "By what is it decided what stands out? (range over three seeds)", []
    measure, n = "share of defect pixels hidden / share of all", len(x)
    found.append(table(title, PASTED, "test", n, SEEDS, measure, rows, verdict(rows)))
    for measure, value in MEASURES.items():
        rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in heats.items()]
        found.append(table(title, PASTED, "test", n, SEEDS, measure, rows, verdict(rows)))
    yield found


def again(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """A table about training again, on every third tile of nuclei, with the same seed and others:
    how far apart heat is, in the mean.
    """
    data = pasted_nuclei(folder)
    data = data.take(np.arange(0, len(data), 3))
    first, second = ([heat_of(run("ear", data, NUCLEI, s)[1]) for s in SEEDS] for _ in range(2))
    same = [float(np.abs(a - b).mean()) for a, b in zip(first, second)]
    other = [float(np.abs(first[i] - first[i - 1]).mean()) for i in range(len(SEEDS))]
    rows = [row("same seed", over_seeds(same)), row("another seed", over_seeds(other))]
    bits = all(np.array_equal(a, b) for a, b in zip(first, second))
    words = f"The same seed gives {'the same maps bit for bit' if bits else 'other maps'}."
    title = "Does training again give the same maps? (range over three seeds)"
    measure, n = "mean absolute difference of heat", len(data)
    yield [table(title, PASTED, "all", n, SEEDS, measure, rows, words, False)]


def _speed(ear: Any, riad: RIAD, x: torch.Tensor) -> dict[str, Any]:
    """Heat maps a second by processor time: one pass, twelve, and bare calls of torch."""
    net, size = ear.net_, ear.size_

    def bare(some: torch.Tensor) -> torch.Tensor:
        mask = (spectral_residual(some) > ear.cut_).float()
        blocks = torch.nn.functional.avg_pool2d(some, size).repeat_interleave(size, 2)
        given = excise(some, mask, blocks.repeat_interleave(size, 3))
        heat = edge_map(some, net(given))
        return torch.nn.functional.avg_pool2d(heat, 5, 1, 2, count_include_pad=False)[:, 0]

    ways = {"EAR (one pass)": ear.heat, "RIAD (twelve passes)": riad.heat, "bare torch": bare}
    assert np.allclose(in_parts(ear.heat, x), in_parts(bare, x), atol=1e-6)
    least = dict.fromkeys(ways, np.inf)
    for _ in range(15):
        for name, fn in ways.items():
            start = time.process_time()
            in_parts(fn, x)
            least[name] = min(least[name], time.process_time() - start)
    rows = [row(name, (len(x) / seconds, None, None)) for name, seconds in least.items()]
    own, riads, plain = (r["value"] for r in rows)
    words = (
        f"One pass is {own / riads:.1f} times as fast as twelve, {own / plain:.2f} of bare torch."
    )
    measure = "heat maps a second of processor time"
    return table("How fast?", PASTED, "test", len(x), [0], measure, rows, words)


def _covered(fits: list[Any], x: torch.Tensor, truth: np.ndarray) -> dict[str, Any]:
    """Share of defect pixels hidden over the share of all pixels, for EAR and a random mask."""
    lift: dict[str, list[float]] = {"EAR's mask": [], "random mask of the same area": []}
    for s, fit in enumerate(fits):
        hidden = in_parts(fit.mask, x)[:, 0] > 0
        drawn = np.random.default_rng(s).random(hidden.shape) < hidden.mean()
        for name, mask in zip(lift, (hidden, drawn)):
            lift[name].append(float(mask[truth].mean() / mask.mean()))
    rows = [row(name, over_seeds(v)) for name, v in lift.items()]
    measure = "share of defect pixels hidden / share of all"
    title = "Is what is unusual hidden? (range over three seeds)"
    return table(title, PASTED, "test", len(x), SEEDS, measure, rows, verdict(rows))


def _permuted(fits: list[Any], x: torch.Tensor, truth: np.ndarray) -> list[dict[str, Any]]:
    """Heat with each picture's own mask and with that of another one."""
    own, other = [], []
    for s, fit in enumerate(fits):
        masks = torch.from_numpy(in_parts(fit.mask, x))
        swapped = masks[np.random.default_rng(s).permutation(len(masks))]
        for heats, mask in ((own, masks), (other, swapped)):
            with torch.no_grad():
                back = [fit.recovered(a, None, m) for a, m in zip(x.split(32), mask.split(32))]
                heats.append(edge_heat(x, torch.cat(back)).numpy())
    title, found = "Does it matter what is hidden? (range over three seeds)", []
    for measure, value in MEASURES.items():
        rows = [
            row("each picture's own mask", over_seeds([value(h, truth) for h in own])),
            row("the mask of another picture", over_seeds([value(h, truth) for h in other])),
        ]
        found.append(table(title, PASTED, "test", len(x), SEEDS, measure, rows, verdict(rows)))
    return found


def _hints(data: Dataset, x: torch.Tensor, truth: np.ndarray) -> list[dict[str, Any]]:
    """With half of the picture hidden: a mosaic against black, and what error that leaves."""
    normal = ~truth.any((1, 2))
    error: dict[str, list[float]] = {}
    heats: dict[str, list[np.ndarray]] = {}
    for hint in ("mosaic", "zeros"):
        for s in SEEDS:
            fit, given = run("ear", data, NUCLEI | {"area": 0.5, "hint": hint}, s)
            mask = in_parts(fit.mask, x)[normal, 0] > 0
            wrong = (in_parts(fit.recovered, x) - x.numpy())[normal, 0] ** 2
            error.setdefault(hint, []).append(float(wrong[mask].mean()))
            heats.setdefault(hint, []).append(heat_of(given)[data.splits == "test"])
    rows = [row(k, over_seeds(v)) for k, v in error.items()]
    title = "What is shown in place of what is hidden, half of the picture? (range, three seeds)"
    measure, n = "squared error of normal tiles within the mask", int(normal.sum())
    found = [table(title, PASTED, "test", n, SEEDS, measure, rows, verdict(rows, False), False)]
    for measure in ("pixel AUROC", "case AUROC (highest heat)"):
        value = MEASURES[measure]
        rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in heats.items()]
        found.append(table(title, PASTED, "test", len(x), SEEDS, measure, rows, verdict(rows)))
    return found


def _sizes(data: Dataset, fits: list[Any], x: torch.Tensor, truth: np.ndarray) -> dict[str, Any]:
    """Pixel AUROC by the size of the mosaic; with 1 nothing is hidden, in training neither."""
    copies = [run("ear", data, NUCLEI | {"mosaic": 1}, s)[1] for s in SEEDS]
    rows = [
        row(
            f"mosaic of {size} pixels",
            over_seeds([pixel_auroc(in_parts(partial(f.heat, size=size), x), truth) for f in fits]),
        )
        for size in fits[0].sizes
    ]
    nothing = [pixel_auroc(heat_of(g)[data.splits == "test"], truth) for g in copies]
    rows.append(row("nothing hidden (1 pixel)", over_seeds(nothing)))
    chosen = ", ".join(str(f.size_) for f in fits)
    words = f"Chosen on pasted parts of validation tiles: {chosen}."
    title = "How coarse a mosaic? (range over three seeds)"
    return table(title, PASTED, "test", len(x), SEEDS, "pixel AUROC", rows, words)


def _shares(fits: list[Any], x: torch.Tensor, truth: np.ndarray) -> dict[str, Any]:
    """Pixel AUROC by how much of normal pictures is hidden, the trained networks as they are."""
    rows = []
    for share in (0.05, 0.1, 0.25, 0.4, 0.6, 0.75):
        found = []
        for fit in fits:
            with torch.no_grad():
                back = [fit.recovered(some, mask=fit.mask(some, share)) for some in x.split(32)]
            found.append(pixel_auroc(edge_heat(x, torch.cat(back)).numpy(), truth))
        rows.append(row(f"{share:.0%} of normal pictures hidden", over_seeds(found)))
    best = max(rows, key=lambda r: r["value"])
    words = f"Best: {best['name']}; trained with 25%."
    title = "How much is hidden, without training again? (range over three seeds)"
    return table(title, PASTED, "test", len(x), SEEDS, "pixel AUROC", rows, words)


def _by_size(fits: list[Any], x: torch.Tensor, truth: np.ndarray) -> dict[str, Any]:
    """Pixel AUROC of the third of tiles with the smallest parts, the middle one, the largest; with
    the tiles without a part each time.
    """
    area, rows = truth.sum((1, 2)), []
    bounds = np.quantile(area[area > 0], [0, 1 / 3, 2 / 3, 1])
    heats = [in_parts(fit.heat, x) for fit in fits]
    for low, high in pairwise(bounds):
        some = (area == 0) | ((area >= low) & (area <= high))
        name = f"parts of {low:.0f} to {high:.0f} pixels"
        rows.append(row(name, over_seeds([pixel_auroc(h[some], truth[some]) for h in heats])))
    words = "; ".join(f"{r['name']}: {r['value']:.2f}" for r in rows) + "."
    title = "Are small parts found as well as large ones? (range over three seeds)"
    return table(title, PASTED, "test", len(x), SEEDS, "pixel AUROC", rows, words)


def _repeated(ear: Any, riad: RIAD, x: torch.Tensor) -> dict[str, Any]:
    """How much a picture's score changes when it is asked for again."""
    some, rows = x[:32], []
    for name, fn in (("EAR", ear.heat), ("RIAD, squares drawn anew", riad.heat)):
        scores = [in_parts(fn, some).max((1, 2)) for _ in range(5)]
        rows.append(row(name, (float(np.std(scores, axis=0).mean()), None, None)))
    assert rows[0]["value"] == 0 < rows[1]["value"]
    words = "EAR gives the same score bit for bit; RIAD's depends on the squares drawn."
    measure = "standard deviation of a picture's score, five times"
    title = "Does asking twice give the same?"
    return table(title, PASTED, "test", 32, [0], measure, rows, words, False)


def lesions(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Tables about lesions."""
    data = lesion_slices(folder, "patient19")
    test = data.splits == "test"
    strega = {"epochs": 60, "side": 128, "batch_size": 8}
    heats = [heat_of(run("strega", data, strega, s)[1])[test] for s in SEEDS]
    title = "Real MS lesions, trained on 22 lesion-free slices of another patient (range, 3 seeds)"
    yield compare(data, LESIONS, SCANS, title, {"StRegA (FLAIR)": heats})[0]


if __name__ == "__main__":
    torch.set_num_threads(1)  # parts may be measured side by side
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    assert Run().where.type == "cpu", "its RIAD is written for a processor"
    parts = {
        "nuclei": nuclei,
        "sizes": sizes,
        "hints": hints,
        "saliency": saliency,
        "again": again,
        "lesions": lesions,
    }
    for part in sys.argv[1:] or parts:
        for tables in parts[part](folder):
            store_part("ear", tables)  # after each part, since all take an hour
