"""Genome misclassification network: which groups of genomes are taken for which, when a classifier
has never seen the group itself.

Objective
    k-mer counts x; multinomial naive Bayes log P(x|c) = sum_k x_k log theta_ck, Laplace-smoothed,
    classes equally likely. Left out one class at a time (LOCO), every member of class i must be
    taken for another: w_ij = N_ij / sum_j N_ij. Pairs: balanced error of the two-class model.

Cost
    Counting is linear in the letters: 419 genomes of 30,000 letters in about a second; the model is
    one matrix product. The small convolutional network trains once more for every class left out.

Differences from the paper
    Each class's counts are scaled to those of an average genome before smoothing, so that large
    groups do not win by size; smoothing 0.01 and k = 8 were chosen on validation genomes; no
    transformer. Probabilities are tempered on validation rows. Modularity is compared with rewired
    networks that keep every node's in- and out-strength and get communities of their own.

Reference
    Genome misclassification network analysis of SARS-CoV-2 sampling locations; Louvain communities:
    Blondel et al., J. Stat. Mech. 2008.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import (
    Artifact,
    Embedding,
    Grid,
    Metric,
    Metrics,
    Network,
    Predictions,
    Rationales,
)
from core.errors import UserError
from core.io.tensors import taken
from core.method import Method, Takes
from core.methods.sequences import _network
from core.methods.sequences._kmers import counts, word
from core.params import BaseParams, epochs_param, param, rate_param

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run


class GMNA(Method):
    id = "gmna"
    title = "Network of mistaken genomes (GMNA)"
    seed_number = 55
    takes = Takes(
        ("sequence",), labels="optional", min_rows=20, trains=False, seconds_per_value=1e-4
    )
    gives = (Network, Grid, Predictions, Embedding, Rationales, Metrics)
    tiny = {"k": 5, "dimensions": 4}
    presets = {
        "fast": {},
        "standard": {"rewired": 500},
        "thorough": {"model": "network", "epochs": 40, "rewired": 1000},
    }
    suggested_for = {"map": 4}

    class Params(BaseParams):
        by: str = param(
            "",
            "The column whose values are the groups, such as region or division; empty takes the"
            " label.",
            column=True,
        )
        within: str = param(
            "",
            "A coarser column, such as region when the groups are divisions: are errors made within"
            " it more than by chance?",
            column=True,
        )
        model: Literal["naive bayes", "network"] = param(
            "naive bayes", "k-mer counts with naive Bayes, or a small convolutional network."
        )
        k: int = param(8, "Length of the k-mers.", ge=2, le=9)
        least: int = param(5, "Groups with fewer training genomes are left out.", ge=2, le=10_000)
        smoothing: float = param(
            0.01, "What is added to each k-mer's count.", gt=0, le=10, advanced=True
        )
        rewired: int = param(
            200, "Rewired networks the found one is compared with.", ge=20, le=10_000, advanced=True
        )
        dimensions: int = param(
            16, "Dimensions of the latent map's coordinates.", ge=2, le=128, advanced=True
        )
        epochs: int = epochs_param(
            15, "Passes over the training genomes (network only).", le=1000, advanced=True
        )
        learning_rate: float = rate_param(2e-3, "Step size (network only).", le=1)

    def passes(self, n: int) -> float:
        """Only the network goes over the genomes more than once."""
        return float(n * (self.params.epochs if self.params.model == "network" else 1))

    def declines(self, data: Dataset) -> str | None:
        values = [c for c in data.table.columns if 1 < data.table[c].nunique() <= 200]
        return (
            None
            if "label" in data.roles or values
            else "Needs a column that says which group each genome is of; this data has none."
        )

    # -- groups ------------------------------------------------------------------------------------
    def groups(self, data: Dataset) -> np.ndarray:
        """The group of each row as words, "" where it is not known. UserError when there is no such
        column.
        """
        column = self.params.by or data.roles.get("label", "")
        if not column:
            raise UserError(
                "This data has no label column, so say which column names the group of each genome:"
                " “by”, for example country."
            )
        if column not in data.table.columns:
            raise UserError(
                f"“by” = {column}: there is no such column (there are:"
                f" {', '.join(map(str, data.table.columns[:20]))})."
            )
        values = data.frame[column].astype(object)
        return np.array(["" if v is None or v != v else str(v) for v in values], dtype=object)

    def codes(self, data: Dataset) -> np.ndarray:
        """int64 [n]: the group of each row among `class_names`, -1 = none of them."""
        place = {name: i for i, name in enumerate(self.class_names_)}
        return np.array([place.get(g, -1) for g in self.groups(data)], dtype=np.int64)

    def fit(self, data: Dataset, run: Run) -> None:
        from sklearn.decomposition import TruncatedSVD

        p, train = self.params, data.part("train")
        names, size = np.unique(self.groups(train).astype(str), return_counts=True)
        self.class_names_ = [str(n) for n, s in zip(names, size) if n and s >= p.least]
        self.left_out_ = [f"{n} ({s})" for n, s in zip(names, size) if n and s < p.least]
        if len(self.class_names_) < 3:
            raise UserError(
                f"Only {len(self.class_names_)} groups have at least {p.least} training genomes; a"
                " network needs three (lower “least”, or choose another column in “by”)."
            )
        y = self.codes(train)
        x = counts(train.texts, p.k)
        run.check()
        if not x.nnz:
            raise UserError(f"No sequence holds {p.k} known letters in a row; lower “k”.")
        total = (
            np.stack(
                [
                    np.asarray(x[y == j].sum(0)).ravel() / (y == j).sum()
                    for j in range(len(self.class_names_))
                ]
            )
            + p.smoothing
        )
        self.theta_ = np.log(total / total.sum(1, keepdims=True)).astype(np.float32)
        unit = _unit(x)
        svd = TruncatedSVD(min(p.dimensions, x.shape[0] - 1), random_state=run.seed).fit(unit)
        self.axes_ = svd.components_.astype(np.float32)
        self.middle_ = np.asarray(unit @ self.axes_.T).mean(0).astype(np.float32)
        self.nets_of_: dict[str, Any] = {}
        if p.model == "network":
            from core.methods.sequences import _cnn

            self.length_ = max(map(len, train.texts))
            for out in (-1, *range(len(self.class_names_))):
                keep = (y >= 0) & (y != out)
                self.nets_of_[str(out)] = _cnn.trained(
                    train.texts[keep],
                    y[keep],
                    len(self.class_names_),
                    self.length_,
                    p.epochs,
                    p.learning_rate,
                    run,
                )
        val = data.part("val")
        self.temperature_ = tempered(self.likelihood(val), self.codes(val)) if len(val) else 1.0
        run.report(0)

    # -- what it thinks ----------------------------------------------------------------------------
    def likelihood(self, data: Dataset) -> np.ndarray:
        """float64 [n, classes]: log-likelihood (naive Bayes) or logits (network) of each class, the
        model having seen all classes.
        """
        if self.params.model == "network":
            return self._asked("-1", data)
        return np.asarray(counts(data.texts, self.params.k) @ self.theta_.T, dtype=np.float64)

    def left_one_out(self, data: Dataset, score: np.ndarray, y: np.ndarray) -> np.ndarray:
        """float64 [n, classes] where each row's own class has -inf and the model has never seen a
        member of it. Naive Bayes treats classes apart, so leaving one out only takes its column
        away.
        """
        out = score.copy()
        if self.params.model == "network":
            for j in np.unique(y[y >= 0]):
                at = np.flatnonzero(y == j)
                out[at] = self._asked(str(j), data.take(at))
        known = np.flatnonzero(y >= 0)
        out[known, y[known]] = -np.inf
        return out

    def _asked(self, which: str, data: Dataset) -> np.ndarray:
        from core.methods.sequences import _cnn

        return _cnn.logits(self.nets_of_[which], data.texts, self.length_)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        names, y = self.class_names_, self.codes(data)
        score = self.likelihood(data)
        run.check()
        others = self.left_one_out(data, score, y)
        target = others.argmax(1)
        weight = _network.rates(y, target, len(names))
        community = _network.communities(weight, run.seed)
        notes = [
            f"{int((y == j).sum())} genomes, taken for {len(np.unique(target[y == j]))} other"
            " groups"
            for j in range(len(names))
        ]
        yield Network(
            rows=data.rows,
            name="left-one-out",
            names=names,
            source=y,
            target=target.astype(np.int64),
            xy=_network.layout(weight, run.seed),
            community=community,
            notes=notes,
            pair_notes=self.pair_notes(y, target),
            link="taken for",
        )
        prob = _softmax(score / self.temperature_)
        yield Predictions(rows=data.rows, prob=prob.astype(np.float32), classes=list(names))
        held = np.flatnonzero(data.splits != "train")
        yield Grid(
            rows=data.rows,
            name="indistinguishable",
            value=pairwise(score[held], y[held], len(names)),
            x=names,
            y=names,
            x_title="group",
            y_title="group",
            unit="share mistaken between the two (0.5 = cannot be told apart)",
            low=0.0,
            high=0.5,
        )
        x = counts(data.texts, self.params.k)
        z = np.asarray(_unit(x) @ self.axes_.T) - self.middle_
        yield Embedding(
            rows=data.rows, name="latent", z=z.astype(np.float32), layer=f"{self.params.k}-mers"
        )
        if self.params.model == "naive bayes":
            said = [
                f"“{names[a]}”, for which it is taken, rather than “{names[b]}”"
                for a, b in np.argsort(-others, axis=1)[:, :2]
            ]
            yield Rationales(rows=data.rows, items=self.reasons(x, others), about=said)
        yield Metrics.of(self.figures(data, prob, y, target, weight, community, run), data.rows)

    def reasons(self, x: Any, others: np.ndarray) -> list[list[dict[str, Any]]]:
        """Per row the five k-mers that speak most for the group it was taken for against the next
        one.
        """
        first, second = np.argsort(-others, axis=1)[:, :2].T
        found = []
        for i in range(x.shape[0]):
            at, times = (
                x.indices[x.indptr[i] : x.indptr[i + 1]],
                x.data[x.indptr[i] : x.indptr[i + 1]],
            )
            gain = times * (self.theta_[first[i], at] - self.theta_[second[i], at])
            best = np.argsort(-gain, kind="stable")[:5]
            found.append(
                [
                    {"text": word(int(at[j]), self.params.k), "weight": float(gain[j])}
                    for j in best
                    if gain[j] > 0
                ]
            )
        return found

    def pair_notes(self, source: np.ndarray, target: np.ndarray) -> dict[str, str]:
        """For each pair with cases: the k-mers that both groups have and the others lack, by
        log-ratio to the mean of the others.
        """
        if self.params.model == "network":
            return {}
        rest, found = self.theta_.mean(0), {}
        for i, j in {(int(a), int(b)) for a, b in zip(source, target) if a >= 0 and a != b}:
            shared = np.minimum(self.theta_[i], self.theta_[j]) - rest
            best = np.argsort(-shared, kind="stable")[:4]
            found[f"{i}-{j}"] = "k-mers both have and others lack: " + ", ".join(
                word(int(b), self.params.k) for b in best
            )
        return found

    def figures(
        self,
        data: Dataset,
        prob: np.ndarray,
        y: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray,
        community: list[int],
        run: Run,
    ) -> list[Metric]:
        """Accuracy on held-out genomes, with and without those that stand letter by letter in
        training; the network against rewired ones.
        """
        from core.stats.bootstrap import interval

        names, found, texts = self.class_names_, [], data.texts
        seen = set(texts[data.splits == "train"])
        fresh = np.array([t not in seen for t in texts])
        for words, part in (
            ("", np.ones(len(y), bool)),
            (", none identical to a training genome", fresh),
        ):
            at = np.flatnonzero((data.splits == "test") & (y >= 0) & part)
            for title, value in (("accuracy", _accuracy), ("balanced accuracy", _balanced)):
                if len(at) < 5:
                    found.append(
                        Metric(
                            title + words,
                            None,
                            split="test",
                            n=len(at),
                            note="fewer than 5 test genomes of these groups",
                        )
                    )
                    continue
                score = lambda i, at=at, value=value: value(prob.argmax(1)[at][i], y[at][i])  # noqa: E731
                one = Metric(
                    title + words,
                    score(np.arange(len(at))),
                    split="test",
                    n=len(at),
                    note=f"chance {1 / len(names):.2f}",
                )
                found.append(
                    one.within(
                        interval(
                            score,
                            len(at),
                            data.groups[at] if data.groups is not None else None,
                            (0, 1),
                        )
                    )
                )
        found += _network.tested(
            y, target, len(names), self.partition(data), self.params.rewired, run
        )
        if self.left_out_:
            found.append(
                Metric(
                    "groups left out",
                    float(len(self.left_out_)),
                    n=len(data),
                    higher_is_better=None,
                    note="too few training genomes: " + ", ".join(self.left_out_[:8]),
                )
            )
        return found

    def partition(self, data: Dataset) -> tuple[str, np.ndarray] | None:
        """(column, code [classes]) of the coarser column: each group's most frequent value there;
        None when none was asked for.
        """
        column = self.params.within
        if not column:
            return None
        if column not in data.table.columns:
            raise UserError(
                f"“within” = {column}: there is no such column (there are:"
                f" {', '.join(map(str, data.table.columns[:20]))})."
            )
        values, y = (
            data.frame[column]
            .astype(object)
            .where(data.frame[column].notna(), "")
            .astype(str)
            .to_numpy(),
            self.codes(data),
        )
        most = [
            max(set(values[y == j]), key=list(values[y == j]).count) if (y == j).any() else ""
            for j in range(len(self.class_names_))
        ]
        return column, np.unique(most, return_inverse=True)[1]

    # -- keeping -----------------------------------------------------------------------------------
    def make_nets_of(self) -> Any:
        from core.methods.sequences import _cnn

        return _cnn.network(len(self.class_names_))

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """The networks stood under `net-1`, `net0` and so on."""
        which = state["which"]
        kept = {k: v for k, v in state.items() if k != "which" and not k.startswith("net")}
        nets = {
            f"nets_of.{i}.{k}": v
            for i, name in enumerate(which)
            for k, v in taken(f"net{name}", state).items()
        }
        kinds = {f"nets_of.{i}": "network" for i in range(len(which))}
        index = {"names": [*kept, "nets_of"], "kinds": kinds | {"nets_of": ["dict", which]}}
        return kept | nets | {"fitted": index}


def _unit(x: Any) -> Any:
    """Rows of the CSR matrix at unit length."""
    from sklearn.preprocessing import normalize

    return normalize(x)


def _softmax(score: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return softmax(score, axis=1)


def _accuracy(said: np.ndarray, y: np.ndarray) -> float:
    return float((said == y).mean())


def _balanced(said: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([(said[y == c] == c).mean() for c in np.unique(y)]))


def tempered(score: np.ndarray, y: np.ndarray) -> float:
    """The temperature in [1, 1e5] with the least cross-entropy of softmax(score / T) on rows of
    known class; 1 when there are none.
    """
    from scipy.optimize import minimize_scalar

    score, y = score[y >= 0], y[y >= 0]
    if len(y) < 5:
        return 1.0

    def loss(t):
        return -np.log(np.maximum(_softmax(score / np.exp(t))[np.arange(len(y)), y], 1e-12)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(0, np.log(1e5)), method="bounded").x))


def pairwise(score: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
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
