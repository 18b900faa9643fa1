"""Maps and neighbours beside the fastest packages there are: `python -m tests.benchmarks.bench_maps
[umap] [tsne] [neighbours] [fresh] [quick]`.

All sides take all cores of one process, one after another, compiled beforehand. Printed for each:
seconds, processor seconds, and trustworthiness of the same seeded 5,000 rows (for t-SNE with the KL
divergence of the same affinities; for neighbours the share of true ones of 300 rows). Ours is
`make_map` from latents to finished map: neighbours, layout and the faithfulness the rivals do not
compute. Rivals that are not installed are named and left out: umap-learn, manifolds-rs,
tsne-h2pack, openTSNE, pynndescent. `fresh`: one map in a new process, imports and compiling
included. `quick` leaves out what has more than 20,000 rows. Where there is a graphics card, ours on
it stands beside the others, and alone for a map of 1,000,000 rows and uniform neighbours.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np

from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data
from core.maps.card import ROOMS, Card
from core.maps.faithfulness import faithfulness
from core.maps.make import make_map
from core.maps.tsne import affinities
from core.neighbours import neighbours
from core.training.device import gpu_here
from tests.benchmarks._common import latent, read, run

Draw = Callable[[np.ndarray], np.ndarray]
FRESH = """
import numpy as np
from tests.benchmarks.bench_maps import OURS, RIVALS, mixture
{draw}(mixture(2_000))
"""


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


def real_latents() -> Iterator[tuple[str, np.ndarray]]:
    """Yield latents of real and drawn sets: name and float32 [n,d]."""
    digits = make_sample("digits")
    yield "digits", np.asarray(digits.inputs(), np.float32).reshape(len(digits), -1)
    vae = {"epochs": 20}
    yield (
        "head-phantom, gaussian_vae",
        latent(run("gaussian_vae", make_sample("head-phantom"), vae)[1]).z,
    )
    folder = shared_data()
    if folder is None:
        print("the folder of real data is not there: its sets are left out")
        return
    chest = read(folder / "pneumoniamnist_balanced")
    yield "PneumoniaMNIST, gaussian_vae", latent(run("gaussian_vae", chest, vae)[1]).z
    beats = read(folder / "physionet_ecg_samples")
    yield "heart beats, pca", latent(run("pca", beats, {"dimensions": 16})[1]).z
    words = read(folder / "medical_abstracts_tc" / "medical_tc.csv", label="condition_label")
    yield "abstracts, sentence_encoder", latent(run("sentence_encoder", words)[1]).z
    with np.load(folder / "adbench_classical" / "32_shuttle.npz", allow_pickle=False) as file:
        x = np.asarray(file["X"], np.float32)
    yield "shuttle", (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)


def draw_ours(z: np.ndarray, how: str) -> np.ndarray:
    return make_map(Embedding(rows=np.arange(len(z)), z=z), how).xy


def draw_on_card(z: np.ndarray, device: str = "cuda:0") -> np.ndarray:
    """A map of all rows from the card; an error where the card cannot draw it."""
    card = Card(device)
    made = make_map(Embedding(rows=np.arange(len(z)), z=z), card=card)
    if not card.used:
        raise RuntimeError("the card did not draw this map")
    return made.xy


def find_on_card(z: np.ndarray, device: str = "cuda:0") -> np.ndarray:
    import torch

    from core import nearest_on_card

    found = nearest_on_card.neighbours(torch.from_numpy(z).to(device), 30, ROOMS[0])
    return found[1].cpu().numpy()


def draw_umap_learn(z: np.ndarray) -> np.ndarray:
    from umap import UMAP

    return UMAP().fit_transform(z)


def draw_manifolds_umap(z: np.ndarray) -> np.ndarray:
    from manifolds_rs import UMAP

    return UMAP().fit_transform(z)


def draw_manifolds_tsne(z: np.ndarray) -> np.ndarray:
    from manifolds_rs import TSNE

    return TSNE(approx="fft").fit_transform(z)


def draw_h2pack(z: np.ndarray) -> np.ndarray:
    from tsne_h2pack import TSNE

    return TSNE(n_jobs=-1, random_state=0).fit_transform(z.astype(float))


def draw_open_tsne(z: np.ndarray) -> np.ndarray:
    from openTSNE import TSNE

    return np.asarray(TSNE(n_jobs=-1, random_state=0).fit(z))


def find_pynndescent(z: np.ndarray) -> np.ndarray:
    from pynndescent import NNDescent

    return NNDescent(z, n_neighbors=31).neighbor_graph[1][:, 1:]


def find_manifolds(z: np.ndarray) -> np.ndarray:
    from manifolds_rs import knn_graph

    return np.sqrt(np.maximum(knn_graph(z, 30, ann="nndescent")[1], 0))


OURS: dict[str, Draw] = {
    "umap": lambda z: draw_ours(z, "umap"),
    "tsne": lambda z: draw_ours(z, "tsne"),
    "neighbours": lambda z: neighbours(z, 30)[1],
}
Side = tuple[str, str, Draw]  # name, module, function
ON_CARD: dict[str, Side] = {
    "umap": ("ours on the card", "core", draw_on_card),
    "neighbours": ("ours on the card", "core", find_on_card),
}
RIVALS: dict[str, list[Side]] = {
    "umap": [
        ("umap-learn", "umap", draw_umap_learn),
        ("manifolds-rs", "manifolds_rs", draw_manifolds_umap),
    ],
    "tsne": [
        ("tsne-h2pack", "tsne_h2pack", draw_h2pack),
        ("manifolds-rs, FFT", "manifolds_rs", draw_manifolds_tsne),
        ("openTSNE", "openTSNE", draw_open_tsne),
    ],
    "neighbours": [
        ("pynndescent", "pynndescent", find_pynndescent),
        ("manifolds-rs", "manifolds_rs", find_manifolds),
    ],
}


def divergence(xy: np.ndarray, near: tuple[np.ndarray, np.ndarray]) -> float:
    """KL divergence of a t-SNE map [n,2] from the affinities of neighbours; its sum over all pairs
    is estimated from 1,500 rows.
    """
    bounds, tail, p = affinities(near)
    xy, n = np.asarray(xy, float), len(xy)
    some = np.random.default_rng(0).choice(n, min(1500, n), replace=False)
    total = np.mean([(1 / (1 + ((xy - xy[i]) ** 2).sum(1))).sum() - 1 for i in some]) * n
    away = ((xy[np.repeat(np.arange(n), np.diff(bounds))] - xy[tail]) ** 2).sum(1)
    return float((p * (np.log(np.maximum(p, 1e-30)) + np.log1p(away) + np.log(total))).sum())


def recall(distance: np.ndarray, z: np.ndarray) -> float:
    """Share of true neighbours among those found at `distance` [n,k], of 300 rows."""
    import faiss

    some, k = np.linspace(0, len(z) - 1, 300).astype(int), distance.shape[1]
    far = np.sqrt(faiss.knn(z[some], z, k + 1)[0][:, -1:])
    return float((distance[some] <= far * 1.001).mean())


def list_sides(what: str) -> list[Side]:
    """Return all that can do `what`: ours, ours on the card where there is one, the rivals."""
    return [("ours", "core", OURS[what]), *_on_card(what), *RIVALS[what]]


def _on_card(what: str) -> list[Side]:
    if what not in ON_CARD or not gpu_here():
        return []
    import torch

    return [ON_CARD[what]] if torch.cuda.is_available() else []


def compare(name: str, z: np.ndarray, what: str, sides: list[Side]) -> None:
    """Print one line a side, each beside the first of them."""
    judge: Callable[[np.ndarray], str]
    if what == "neighbours":
        judge = lambda found: f"recall {recall(found, z):.3f}"  # noqa: E731
    else:
        near = neighbours(z, 90) if what == "tsne" else None

        def judge(xy: np.ndarray) -> str:
            trust = f"trustworthiness {faithfulness(z, xy)[2]['trustworthiness']:.4f}"
            return trust if near is None else f"{trust}, KL {divergence(xy, near):.3f}"

    print(f"{what}, {name}, {len(z):,} x {z.shape[1]}", flush=True)
    own = 0.0
    for called, module, draw in sides:
        if find_spec(module) is None:
            print(f"    {called}: not installed", flush=True)
            continue
        began, worked = time.perf_counter(), time.process_time()
        found = np.asarray(draw(z), np.float32)
        seconds, work = time.perf_counter() - began, time.process_time() - worked
        own = own or seconds
        print(
            f"    {called}: {seconds:.2f} s ({work:.2f} s of processors), {judge(found)},"
            f" {seconds / own:.1f} times ours",
            flush=True,
        )


def compare_many(what: str, on_card: list[Side]) -> None:
    """Print what the card takes for a map of 1,000,000 rows, or for the neighbours of uniform ones,
    which are compared with all.
    """
    if what == "umap":
        compare("mixture", mixture(1_000_000), what, on_card)
    else:
        uniform = np.random.default_rng(0).random((1_000_000, 64), np.float32)
        compare("uniform", uniform, what, on_card)


def draw_fresh() -> None:
    """Print the seconds of one map of 2,000 rows in a new process."""
    calls = [("ours", "core", "umap", 'OURS["umap"]'), ("ours", "core", "tsne", 'OURS["tsne"]')]
    for what in ("umap", "tsne"):
        for i, (called, module, _) in enumerate(RIVALS[what]):
            calls.append((called, module, what, f'RIVALS["{what}"][{i}][2]'))
    for called, module, what, draw in sorted(calls, key=lambda call: call[2]):
        if find_spec(module) is not None:
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", FRESH.format(draw=draw)], check=True)
            print(f"fresh process, {what}, {called}: {time.perf_counter() - began:.1f} s")


def main(asked: list[str]) -> None:
    warnings.simplefilter("ignore")
    quick = "quick" in asked
    chosen = set(asked) - {"quick"} or {"umap", "tsne", "neighbours", "fresh"}
    sizes = (20_000,) if quick else (20_000, 70_000)
    for what in [w for w in OURS if w in chosen]:
        small, sides = mixture(6_000), list_sides(what)
        for _, module, draw in sides:
            if find_spec(module) is not None:
                draw(small)
        if what == "neighbours":
            for n in (20_000,) if quick else (200_000, 1_000_000):
                compare("mixture", mixture(n), what, sides)
        else:
            for n in sizes:
                compare("mixture", mixture(n), what, sides)
        on_card = _on_card(what)
        if on_card and not quick:
            compare_many(what, on_card)
    if "umap" in chosen:
        for name, z in real_latents():
            if not quick or len(z) <= sizes[0]:
                compare(name, np.asarray(z, np.float32), "umap", list_sides("umap"))
    if "fresh" in chosen:
        draw_fresh()


if __name__ == "__main__":
    main(sys.argv[1:])
