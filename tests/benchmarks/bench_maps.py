"""Seconds and trustworthiness of maps against umap-learn's default call and scikit-learn's t-SNE:
`python -m tests.benchmarks.bench_maps`.

Both sides are warm (compiled) and run one after another in this process with all cores. Ours is
`make_map` from latents to finished map: neighbours, layout and the faithfulness that the rival does
not compute. Trustworthiness is of the same seeded 5,000 rows by the same function. Asked for: at
least 3 times as fast, trustworthiness lower by at most 0.005.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from core.artifacts import Embedding
from core.evidence import shared_data
from core.maps.faithfulness import faithfulness
from core.maps.make import make_map


def mixture(n: int, d: int = 64, k: int = 20, seed: int = 0) -> np.ndarray:
    """float32 [n,d]: k groups of unequal size, each a flat of 3 to 8 dimensions with noise around
    it.
    """
    rng = np.random.default_rng(seed)
    of, middle = rng.choice(k, n, p=rng.dirichlet(np.full(k, 3.0))), 1.5 * rng.normal(size=(k, d))
    z = np.empty((n, d), np.float32)
    for j in range(k):
        at, flat = np.flatnonzero(of == j), int(rng.integers(3, 9))
        z[at] = (
            middle[j]
            + rng.normal(size=(len(at), flat)) @ rng.normal(size=(flat, d)) * rng.uniform(0.3, 0.8)
            + 0.1 * rng.normal(size=(len(at), d))
        )
    return z


def latents() -> Iterator[tuple[str, np.ndarray]]:
    yield "mixture 20,000 x 64", mixture(20_000)
    yield "mixture 70,000 x 64", mixture(70_000)
    if (folder := shared_data()) is not None:
        with np.load(folder / "adbench_classical" / "32_shuttle.npz", allow_pickle=False) as file:
            x = np.asarray(file["X"], np.float32)
        yield f"shuttle {len(x):,} x {x.shape[1]}", (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)


def ours(z: np.ndarray, how: str) -> np.ndarray:
    return make_map(Embedding(rows=np.arange(len(z)), z=z), how).xy


def umap_learn(z: np.ndarray) -> np.ndarray:
    from umap import UMAP

    return UMAP().fit_transform(z)


def scikit_learn(z: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    return TSNE(n_jobs=-1).fit_transform(z)


def against(
    name: str,
    z: np.ndarray,
    own: Callable[[np.ndarray], np.ndarray],
    rival: Callable[[np.ndarray], np.ndarray],
    called: str,
) -> None:
    seconds, trust = [], []
    for draw in (own, rival):
        began = time.perf_counter()
        xy = draw(z)
        seconds.append(time.perf_counter() - began)
        trust.append(faithfulness(z, xy)[2]["trustworthiness"])
    print(
        f"{name}: {seconds[0]:.1f} s, trustworthiness {trust[0]:.4f};"
        f" {called} {seconds[1]:.1f} s, {trust[1]:.4f}; "
        f"{seconds[1] / seconds[0]:.1f} times as fast, trustworthiness {trust[0] - trust[1]:+.4f}",
        flush=True,
    )


def main() -> None:
    warnings.simplefilter("ignore")
    small = mixture(6_000)
    ours(small, "umap"), ours(small[:500], "tsne"), umap_learn(small)
    for name, z in latents():
        against(name, z, lambda z: ours(z, "umap"), umap_learn, "umap-learn")
    for n in (10_000, 20_000):
        against(
            f"t-SNE, mixture {n:,} x 64",
            mixture(n),
            lambda z: ours(z, "tsne"),
            scikit_learn,
            "scikit-learn",
        )


if __name__ == "__main__":
    main()
