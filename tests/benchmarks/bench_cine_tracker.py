"""The tracker on heart films, each patient tracked by a network that learned from the others:
`python -m tests.benchmarks.bench_cine_tracker`.

Rivals: the first outline copied, the first outline moved by phase correlation, and an untrained
copy of the network. On generated films, where every frame is outlined, the same with larger motion.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.artifacts import Predictions
from core.data.clips import BASELINES, all_frames, clips_of, compare_trackers
from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.generated import cine
from core.evidence import shared_data, store_evidence
from core.stats.bootstrap import mean_interval
from tests.benchmarks._common import over_seeds, row, run, table, verdict

SHOWN = {"Dice": True, "centroid error": False, "95 % surface distance": False}
HEART = {"epochs": 30}  # half of the fast preset, which takes twice as long
DISCS = {"epochs": 4, "side": 32, "width": 16}
BARE = {"epochs": 1, "learning_rate": 1e-12}


def masks(said: Predictions, data: Dataset) -> dict[str, np.ndarray]:
    """Tracked masks bool [T,H,W] by clip."""
    assert said.prob is not None
    return {c.name: np.asarray(said.prob[said.at(c.rows)]).argmax(1) > 0 for c in clips_of(data)}


def parted(data: Dataset, patient: str) -> Dataset:
    """`patient` is tested on, all others are for training."""
    side = np.where(all_frames(data).groups == patient, "test", "train")
    return replace(data, table=data.table.assign(fold=side), roles=data.roles | {"split": "fold"})


def heart() -> Dataset:
    folder = shared_data()
    assert folder is not None
    return read(folder / "sunnybrook_cine_mri", name="heart films")


def figures(
    title: str, name: str, split: str, data: Dataset, made: dict[str, dict[str, np.ndarray]]
) -> list[dict[str, Any]]:
    """One table a score: every tracker of `made` (masks by clip), the method first, and both
    rivals, over the clips with a frame to count.
    """
    held = set().union(*(m.keys() for m in made.values()))
    clips = [c for c in clips_of(all_frames(data)) if c.name in held and c.scored.any()]
    patients = np.array([str(all_frames(data).groups[c.rows[0]]) for c in clips])  # type: ignore[index]
    scores = {who: compare_trackers(data, clips, said) for who, said in made.items()}
    first, unit = next(iter(scores.values()))
    found = []
    for what, better in SHOWN.items():
        values = {
            who: np.array([s["tracked"][what] for s in each]) for who, (each, _) in scores.items()
        }
        values |= {who: np.array([s[who][what] for s in first]) for who in BASELINES}
        rows = [
            row(who, (float(v.mean()), *mean_interval(v, patients, (0, np.inf)).bounds))
            for who, v in values.items()
        ]
        frames = sum(int(c.scored.sum()) for c in clips)
        measure = what if what == "Dice" else f"{what}, {unit}"
        found.append(
            table(
                f"{title}: {what}",
                name,
                f"{split}; {len(set(patients))} patients, {frames} frames counted",
                len(clips),
                [0],
                f"{measure}; mean of clips, 95 % interval over patients",
                rows,
                verdict(rows, better),
                better,
            )
        )
    return found


def hearts() -> list[dict[str, Any]]:
    data = heart()
    learned: dict[str, np.ndarray] = {}
    bare: dict[str, np.ndarray] = {}
    times = []
    for patient in sorted(set(data.groups)):  # type: ignore[arg-type]
        part = parted(data, patient)
        test = part.part("test")
        _, given = run("cine_tracker", part, HEART)
        learned |= masks(given["predictions-tracked"], test)
        times += [m.value for m in given["metrics-speed"] if m.name == "seconds per frame"]
        bare |= masks(run("cine_tracker", part, BARE)[1]["predictions-tracked"], test)
    found = figures(
        "Following the left ventricle",
        "Sunnybrook cardiac cine-MRI (CC0), 4 patients",
        "every patient by a tracker of the others",
        data,
        {"tracker": learned, "untrained tracker": bare},
    )
    rows = [
        row("tracker", over_seeds(times)),
        row("the most that the challenge allows", (1.0, None, None)),
    ]
    said = f"One frame takes {np.mean(times):.3f} s; the challenge allows 1 s."
    found.append(
        table(
            "Time for one frame",
            "the same",
            "all frames",
            len(data),
            [0],
            "seconds, mean and range over patients",
            rows,
            said,
            False,
        )
    )
    return found


def discs() -> list[dict[str, Any]]:
    data = cine(sway=7)
    _, given = run("cine_tracker", data, DISCS)
    _, bare = run("cine_tracker", data, DISCS | BARE)
    test = data.part("test")
    made = {
        "tracker": masks(given["predictions-tracked"], test),
        "untrained tracker": masks(bare["predictions-tracked"], test),
    }
    return figures(
        "Made-up chambers that move up to 7 pixels", "cine (generated)", "test", data, made
    )


def tables() -> list[dict[str, Any]]:
    return [*(hearts() if shared_data() else []), *discs()]


if __name__ == "__main__":
    store_evidence("cine_tracker", tables())
