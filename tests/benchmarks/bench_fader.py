"""FADeR on two bases (saliency and grid mask) against these, its broken copies and plain rivals, on
nuclei with foreign parts: `python -m tests.benchmarks.bench_fader [saliency] [grid]`, about 15
minutes; without one named, both.
"""

from __future__ import annotations

import hashlib
import sys
import time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import adaptive_avg_pool2d

from core.artifacts import Model
from core.data.dataset import Dataset
from core.evidence import shared_data
from core.methods.anomaly._inpainting import heat_of
from core.methods.anomaly._pasted import covered
from tests.benchmarks._anomaly import (
    MEASURES,
    NO_STEP,
    bounds,
    pasted_nuclei,
    rivals,
    untrained,
    within,
)
from tests.benchmarks._common import over_seeds, row, run, store_part, table, verdict

SEEDS = [0, 1, 2]
BASES = {"saliency": "EAR's mask", "grid": "grid mask"}
BASE, GATES = {"epochs": 12}, {"epochs": 8}
NAME = "dsb2018_nuclei, fluorescence, pasted parts"


def a_third(data: Dataset) -> Dataset:
    """Every third tile learned from, all test tiles."""
    parts = [
        np.flatnonzero(data.splits == s)[:: 1 if s == "test" else 3] for s in np.unique(data.splits)
    ]
    return data.take(np.sort(np.concatenate(parts)))


def hash_of(model: Model) -> str:
    """SHA-256 of all weights of a model."""
    found = hashlib.sha256()
    for name in sorted(k for k in model.state if k.startswith("net.")):
        found.update(np.ascontiguousarray(model.state[name]).tobytes())
    return found.hexdigest()


def untrained_heat(data: Dataset, mask: str, seed: int) -> np.ndarray:
    """Heat [n,H,W] of the test tiles by gates and a base that have made no step."""
    _, before = run("ear", data, BASE | {"mask": mask} | NO_STEP, seed)
    return untrained("fader", data, seed, GATES, before)[data.splits == "test"]


class Looked:
    """What one FADeR does with the test tiles, each way the gates may be: heat [n,S,S] by name, and
    what is measured of gates and errors.
    """

    def __init__(self, data: Dataset, mask: str, seed: int) -> None:
        _, before = run("ear", data, BASE | {"mask": mask}, seed)
        weights = hash_of(before["model"])
        self.method, _ = run("fader", data, GATES, seed, on=before)
        assert hash_of(self.method.base_) == weights
        self.base = self.method.opened("base_")
        assert hash_of(self.base.model(data)) == weights, "the base has changed"
        test = np.flatnonzero(data.splits == "test")
        self.x, self.truth = torch.from_numpy(data.inputs(test)), data.mask()[test]
        with torch.no_grad():
            self.heats = self._heats(seed)
            self.figures = self._figures(seed)

    def _heats(self, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        heats: dict[str, list[np.ndarray]] = {}
        torch.manual_seed(seed)
        unlearned, strength = self.method.make_gates().eval(), self.method.params.strength
        for some in self.x.split(32):
            levels = self.method.levels(some)
            gates = self.method.gates(levels)
            ones = [torch.ones_like(g) for g in gates]
            fresh = [1 - strength * (1 - g) for g in unlearned(levels)]
            back = self.method.fill_in(levels, ones)
            assert torch.equal(back, self.base.recovered(some)), "a gate of 1 changes something"
            ways = {
                "FADeR": gates,
                "base": ones,
                "gates shuffled over places": [shuffled(g, rng) for g in gates],
                "gates that learned nothing, on the same base": fresh,
                "constant gate": [torch.full_like(g, float(g.mean())) for g in gates],
            }
            for name, way in ways.items():
                heat = heat_of(some, self.method.fill_in(levels, way)).numpy()
                heats.setdefault(name, []).append(heat)
        return {name: np.concatenate(v) for name, v in heats.items()}

    def _figures(self, seed: int) -> dict[str, float]:
        """Of parts of which a half is hidden: errors with the gates by those without, where the
        half is not hidden and on tiles without a part; and how gates tell the one from the other.
        """
        hidden = covered(self.truth, np.random.default_rng(seed), (0.5, 0.5))
        seen, normal = self.truth & ~hidden, ~self.truth.any((1, 2))
        errors: list[list[np.ndarray]] = [[], []]
        shut, parts = [], []
        for at in np.array_split(np.arange(len(self.x)), 9):
            some = self.x[at]
            mask = np.where(self.truth[at], hidden[at], self.base.mask(some)[:, 0].numpy() > 0)
            levels = self.method.levels(some, torch.from_numpy(mask[:, None].astype("f4")))
            gates = self.method.gates(levels)
            backs = (self.method.fill_in(levels, gates), self.base.net_.decode(levels))
            for kept, back in zip(errors, backs):
                kept.append((back - some).abs().mean(1).numpy())
            part = torch.from_numpy(seen[at][:, None].astype("f4"))
            shut.append(1 - gates[2].numpy()[:, 0])
            parts.append((adaptive_avg_pool2d(part, gates[2].shape[-1]) >= 0.5).numpy()[:, 0])
        with_gates, without = (np.concatenate(e) for e in errors)
        closed, cells = np.concatenate(shut), np.concatenate(parts)
        return {
            "where a part is not hidden": float(with_gates[seen].mean() / without[seen].mean()),
            "on tiles without a part": float(with_gates[normal].mean() / without[normal].mean()),
            "AUROC of 1 - gate against cells of a part": float(
                roc_auc_score(cells.ravel(), closed.ravel())
            ),
            "mean gate on tiles without a part": float(1 - closed[normal].mean()),
        }


def shuffled(gate: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A gate [b,1,h,w] with the places of each picture in another order."""
    flat = gate.flatten(2)
    return flat[:, :, torch.from_numpy(rng.permutation(flat.shape[2]))].view(gate.shape)


def measure(data: Dataset, mask: str) -> list[dict[str, Any]]:
    """Tables about one base."""
    looked = [Looked(data, mask, s) for s in SEEDS]
    test, found, base = data.splits == "test", [], f"Base with {BASES[mask]}: "
    truth, n, pictures = data.mask()[test], int(test.sum()), np.asarray(data.groups)[test]
    cheap = rivals(data.inputs(), data.splits == "train", test)
    untrained_ones = [untrained_heat(data, mask, s) for s in SEEDS]
    for name, value in MEASURES.items():
        rows = [
            row(way, over_seeds([value(one.heats[way], truth) for one in looked]))
            for way in looked[0].heats
        ]
        rows.append(row("untrained copy", over_seeds([value(h, truth) for h in untrained_ones])))
        rows += [row(k, within(name, v, truth, pictures)) for k, v in cheap.items()]
        title = f"{base}where is a part of another stain? {bounds(pictures)}"
        own, before = (
            [value(one.heats[way], truth) for one in looked] for way in ("FADeR", "base")
        )
        better = sum(a > b for a, b in zip(own, before))
        words = f"{verdict(rows)} Above its base in {better} of {len(SEEDS)} seeds."
        found.append(table(title, NAME, "test", n, SEEDS, name, rows, words))
    keys = list(looked[0].figures)
    rows = [row(key, over_seeds([one.figures[key] for one in looked])) for key in keys]
    half, shut = "what if half of a part is not hidden?", "do the gates shut at parts?"
    bars = ("at least 1.5", "at most 1.1", "at least 0.75", "at least 0.9")
    for what, name, at in (
        (half, "error with gates / without", slice(0, 2)),
        (shut, "AUROC, and mean gate", slice(2, 4)),
    ):
        some = rows[at]
        words = f"{'; '.join(judged(r, bar) for r, bar in zip(some, bars[at]))}."
        title = f"{base}{what} (range over three seeds)"
        found.append(table(title, NAME, "test", n, SEEDS, name, some, words))
    return [*found, _overhead(looked[0], base)]


def judged(line: dict[str, Any], bar: str) -> str:
    """What a row of a mean, least and largest over seeds says of a bar in words, "at least 1.5" or
    "at most 1.1", which every seed is to keep.
    """
    limit, sign = float(bar.split()[-1]), 1 if "least" in bar else -1
    worst, best = (line["low"], line["high"])[::sign]
    said = "missed in some seeds"
    if sign * worst >= sign * limit:
        said = "reached in every seed"
    elif sign * best < sign * limit:
        said = "missed in every seed"
    value, low, high = (f"{line[key]:.3f}" for key in ("value", "low", "high"))
    return f"{line['name']}: {value} ({low} to {high}), wanted {bar}, {said}"


def _overhead(one: Looked, base: str) -> dict[str, Any]:
    """What the gates add of parameters and of processor time."""
    least = {"with": np.inf, "without": np.inf}
    with torch.no_grad():
        for _ in range(15):
            for name, fill in (("with", one.method.recovered), ("without", one.base.recovered)):
                start = time.process_time()
                for some in one.x.split(32):
                    fill(some)
                least[name] = min(least[name], time.process_time() - start)
    own, whole = (
        sum(q.numel() for q in net.parameters()) for net in (one.method.gates_, one.base.net_)
    )
    added = least["with"] / least["without"] - 1
    rows = [
        row("parameters", (own / whole, None, None)),
        row("processor time", (added, None, None)),
    ]
    words = f"The gates add {own / whole:.1%} of parameters and {added:.1%} of processor time."
    title, measure = f"{base}what do the gates add?", "share of the base's"
    return table(title, NAME, "test", len(one.x), [0], measure, rows, words, False)


if __name__ == "__main__":
    torch.set_num_threads(1)  # both may be measured side by side
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    data = a_third(pasted_nuclei(folder))
    for mask in sys.argv[1:] or BASES:
        store_part("fader", measure(data, mask))
