"""A network of errors: rates, communities, layout, and how far it is from networks rewired at
random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Metric

if TYPE_CHECKING:
    from core.training.run import Run


def error_rates(source: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """float64 [k,k]: of the cases of group i taken for another group, the share taken for j; rows
    sum to 1 (0 where i has no cases), diagonal 0.
    """
    table = np.zeros((k, k))
    keep = (source >= 0) & (target >= 0) & (source != target)
    np.add.at(table, (source[keep], target[keep]), 1.0)
    return table / np.maximum(table.sum(1, keepdims=True), 1.0)


def find_communities(weight: np.ndarray, seed: int) -> list[int]:
    """Louvain communities of the symmetrised network, numbered by size."""
    import networkx as nx

    graph = nx.from_numpy_array((weight + weight.T) / 2)
    found = sorted(
        nx.community.louvain_communities(graph, seed=seed), key=lambda c: (-len(c), min(c))
    )
    return [next(i for i, c in enumerate(found) if j in c) for j in range(len(weight))]


def lay_out(weight: np.ndarray, seed: int) -> np.ndarray:
    """float32 [k,2] in [-1, 1]: groups often taken for each other lie near."""
    import networkx as nx

    graph = nx.from_numpy_array((weight + weight.T) / 2)
    place = nx.spring_layout(graph, seed=seed, k=1.6 / np.sqrt(len(weight)), iterations=200)
    return np.array([place[j] for j in range(len(weight))], np.float32)


def modularity(weight: np.ndarray, seed: int) -> float:
    """Modularity of the network's own Louvain communities; 0 for an empty network."""
    import networkx as nx

    graph = nx.from_numpy_array((weight + weight.T) / 2)
    if not graph.size("weight"):
        return 0.0
    return float(nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=seed)))


def rewire(source: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the targets shuffled so that no case leads to its own group: every group keeps its in-
    and out-strength (configuration model).

    Markov chain of swaps, vectorised: 60 rounds in which random pairs of cases exchange targets
    where neither would lead home.
    """
    out = target.copy()
    for _ in range(60):
        order = rng.permutation(len(out))
        a, b = order[: len(out) // 2], order[len(out) // 2 : 2 * (len(out) // 2)]
        good = (out[b] != source[a]) & (out[a] != source[b])
        a, b = a[good], b[good]
        out[a], out[b] = out[b], out[a]
    return out


def compare_with_rewired(
    source: np.ndarray,
    target: np.ndarray,
    k: int,
    partition: tuple[str, np.ndarray] | None,
    draws: int,
    run: Run,
) -> list[Metric]:
    """Modularity of the network, and the share of errors that stay within the coarser partition,
    each against rewired networks: value, the middle 95 % of the rewired ones in the note, and z =
    (value - mean) / sd of the rewired.
    """
    keep = (source >= 0) & (target >= 0)
    source, target = source[keep], target[keep]
    if len(source) < 10:
        return [
            Metric(
                "modularity of the error network", None, n=len(source), note="fewer than 10 cases"
            )
        ]
    stats = {
        "modularity of the error network": lambda t: modularity(error_rates(source, t, k), run.seed)
    }
    if partition is not None:
        column, code = partition
        stats[f"errors that stay within one {column}"] = lambda t: float(
            (code[source] == code[t]).mean()
        )
    found = []
    for name, value in stats.items():
        null = []
        for _ in range(draws):
            run.check()
            null.append(value(rewire(source, target, run.rng)))
        own, mean, sd = value(target), float(np.mean(null)), float(np.std(null))
        low, high = np.percentile(null, [2.5, 97.5])
        note = f"rewired networks: {mean:.2f} ({low:.2f} to {high:.2f})"
        found.append(Metric(name, own, n=len(source), note=note, higher_is_better=None))
        z = (own - mean) / sd if sd > 1e-12 else None
        found.append(
            Metric(
                f"{name}: z",
                z,
                n=len(source),
                higher_is_better=None,
                note=(
                    "standard deviations from rewired networks; above 3 is not chance"
                    if z is not None
                    else "rewired networks do not vary"
                ),
            )
        )
    return found
