"""What a network of mistaken genomes shows, beside how often the classifier is right at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Grid, Metric, Network
from core.methods.sequences import _network
from core.stats.metrics import counted_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def draw_network(
    source: np.ndarray,
    target: np.ndarray,
    names: list[str],
    pair_notes: dict[str, str],
    rows: np.ndarray,
    seed: int,
) -> Network:
    """Return groups int64 [n] in `source` (-1 = none) and those in `target` they were taken for."""
    weight = _network.error_rates(source, target, len(names))
    notes = [
        f"{int((source == j).sum())} genomes, taken for {len(np.unique(target[source == j]))} other"
        " groups"
        for j in range(len(names))
    ]
    return Network(
        rows=rows,
        name="left-one-out",
        names=names,
        source=source,
        target=target.astype(np.int64),
        xy=_network.lay_out(weight, seed),
        community=_network.find_communities(weight, seed),
        notes=notes,
        pair_notes=pair_notes,
        link="taken for",
    )


def draw_pairs(score: np.ndarray, y: np.ndarray, names: list[str], rows: np.ndarray) -> Grid:
    """How well each two groups can be told apart, from scores [n, classes] of held-out rows."""
    return Grid(
        rows=rows,
        name="indistinguishable",
        value=pairwise_error(score, y, len(names)),
        x=names,
        y=names,
        x_title="group",
        y_title="group",
        unit="share mistaken between the two (0.5 = cannot be told apart)",
        low=0.0,
        high=0.5,
    )


def pairwise_error(score: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """float32 [classes, classes]: balanced error of the model asked to choose between two classes
    only, on held-out rows; NaN where a class has fewer than two of them, and on the diagonal. 0.5 =
    the two cannot be told apart.
    """
    value = np.full((classes, classes), np.nan, np.float32)
    for i in range(classes):
        for j in range(i):
            if min((y == i).sum(), (y == j).sum()) >= 2:
                wrong = (
                    (score[y == i, j] >= score[y == i, i]).mean()
                    + (score[y == j, i] > score[y == j, j]).mean()
                ) / 2
                value[i, j] = value[j, i] = wrong
    return value


def measure_accuracy(data: Dataset, prob: np.ndarray, y: np.ndarray) -> list[Metric]:
    """Accuracy on test genomes, with and without those that stand letter by letter in training;
    `prob` [n, classes], `y` int64 [n], -1 = none of the classes.
    """
    texts, said, found = data.texts, prob.argmax(1), []
    seen = set(texts[data.splits == "train"])
    fresh = np.array([text not in seen for text in texts])
    known = (data.splits == "test") & (y >= 0)
    for words, at in (
        ("", np.flatnonzero(known)),
        (", none identical to a training genome", np.flatnonzero(known & fresh)),
    ):
        for title, value in (("accuracy", _accuracy), ("balanced accuracy", _balanced)):
            if len(at) < 5:
                few = "fewer than 5 test genomes of these groups"
                found.append(Metric(title + words, None, split="test", n=len(at), note=few))
                continue
            score = lambda i, at=at, value=value: value(said[at][i], y[at][i])  # noqa: E731
            chance = f"chance {1 / prob.shape[1]:.2f}"
            found.append(
                counted_metric(
                    title + words, score, data.take(at), (0, 1), split="test", note=chance
                )
            )
    return found


def _accuracy(said: np.ndarray, y: np.ndarray) -> float:
    return float((said == y).mean())


def _balanced(said: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([(said[y == c] == c).mean() for c in np.unique(y)]))


def count_left_out(groups: list[str], n: int) -> list[Metric]:
    """Return the groups that were left out, in words with their sizes; `n` cases were described."""
    if not groups:
        return []
    note = "too few training genomes: " + ", ".join(groups[:8])
    return [Metric("groups left out", float(len(groups)), n=n, higher_is_better=None, note=note)]
