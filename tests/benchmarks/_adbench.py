"""The tables of ADBench that are at hand, as datasets, and what they score."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.splits import add_split
from core.evidence import shared_data

NORMAL, ABNORMAL = "normal", "abnormal"


def table_names() -> list[str]:
    """Names of the files of the classical tables, in the order of their numbers; [] where they are
    absent.
    """
    folder = shared_data()
    found = (folder / "adbench_classical").glob("[0-9]*.npz") if folder else ()
    return [p.stem for p in sorted(found, key=lambda p: int(p.stem.partition("_")[0]))]


def load_table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """X float64 [n,d] and bool [n], whether a row is abnormal."""
    folder = shared_data()
    assert folder is not None
    with np.load(folder / "adbench_classical" / f"{name}.npz", allow_pickle=False) as found:
        return found["X"].astype(np.float64), found["y"].astype(bool)


def as_dataset(name: str, seed: int) -> Dataset:
    """A table in parts of 70, 15 and 15 %, drawn by `seed` within each class."""
    x, abnormal = load_table(name)
    frame = pd.DataFrame({"label": np.where(abnormal, ABNORMAL, NORMAL)})
    frame, roles, _ = add_split(frame, {"label": "label"}, seed)
    return Dataset(
        name,
        "table",
        frame,
        x.astype(np.float32),
        roles=roles,
        features=tuple(f"x{i}" for i in range(x.shape[1])),
        card={"normal": NORMAL, "normal guessed": ""},
    )


def datasets(seeds: list[int], names: list[str]) -> Iterator[tuple[str, int, Dataset]]:
    """Each table with each seed's parts."""
    for name in names:
        for seed in seeds:
            yield name, seed, as_dataset(name, seed)
