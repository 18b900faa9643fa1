"""Most memory and seconds for 1,000,000 x 64 latents, each step after the other in a fresh process:
`python -m tests.benchmarks.bench_memory`.

A UMAP (by landmarks), the measures of an embedding and a map, what the page sends to the browser,
and the neighbours of every row. Asked for: below 2 GB.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

N, D = 1_000_000, 64


def generate(folder: Path) -> None:
    """An Embedding artifact in 20 groups, written in blocks."""
    from core.artifacts import Embedding

    rng = np.random.default_rng(0)
    middle = 1.5 * rng.normal(size=(20, D)).astype(np.float32)
    z = np.empty((N, D), np.float32)
    for i in range(0, N, 50_000):
        z[i : i + 50_000] = middle[rng.integers(0, 20, 50_000)] + 0.5 * rng.normal(
            size=(50_000, 8)
        ).astype(np.float32) @ rng.normal(size=(8, D)).astype(np.float32)
    Embedding(rows=np.arange(N), z=z).save(folder / "embedding")


def steps(folder: Path) -> None:
    from core.artifacts import Embedding, Map
    from core.data.dataset import Dataset
    from core.maps.make import make_map
    from core.measures.class_separability import ClassSeparability
    from core.measures.map_faithfulness import MapFaithfulness
    from core.measures.rankme import RankMe
    from core.neighbours import neighbours
    from tests.hostile._peak import highest

    made: dict[str, Any] = {}
    embedding = Embedding.load(folder / "embedding")
    data: Any = Dataset.__new__(Dataset)
    object.__setattr__(
        data, "of", lambda rows: type("Bare", (), {"labels": np.full(len(rows), -1)})()
    )

    def measured() -> None:
        RankMe().compute(data, embedding, rng=np.random.default_rng(0))
        ClassSeparability().compute(data, embedding, rng=np.random.default_rng(0))
        MapFaithfulness().compute(data, made["map"], rng=np.random.default_rng(0))

    def drawn() -> None:
        make_map(embedding, report=lambda fraction: None).save(folder / "map")
        made["map"] = Map.load(folder / "map")

    def opened() -> None:
        from app.components import latent_map as component

        xy = component.unit(np.asarray(made["map"].xy))
        component.message(
            xy,
            np.zeros(N),
            kind="category",
            names=["all"],
            palette=["#000000"],
            key="k",
            height=500,
            title="",
            words=None,
            sprite=None,
        )

    for name, step in (
        ("UMAP", drawn),
        ("measures", measured),
        ("page", opened),
        (
            "neighbours (30)",
            lambda: neighbours(np.asarray(embedding.z), 30, cache=folder / "cache"),
        ),
    ):
        began = time.perf_counter()
        step()
        print(
            f"{name}: {time.perf_counter() - began:.0f} s, {highest() / 1e9:.2f} GB at most so far",
            flush=True,
        )
    print(
        f"trustworthiness {made['map'].scores['trustworthiness']:.3f},"
        f" {made['map'].how_placed.lstrip('; ')}",
        flush=True,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for part in ("generate", "steps"):
            subprocess.run(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-c",
                    (
                        "from pathlib import Path; from tests.benchmarks.bench_memory import"
                        f" {part}; {part}(Path({folder!r}))"
                    ),
                ],
                check=True,
            )


if __name__ == "__main__":
    main()
