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
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import (
    Artifact,
    Embedding,
    Grid,
    Metrics,
    Network,
    Predictions,
    Rationales,
)
from core.data.labels import codes_of
from core.errors import UserError
from core.io.tensors import take_prefix
from core.method import Method, Takes
from core.methods.sequences._bayes import fit_naive_bayes, name_reasons, name_shared
from core.methods.sequences._figures import (
    count_left_out,
    draw_network,
    draw_pairs,
    measure_accuracy,
)
from core.methods.sequences._groups import choose_groups, find_partition, name_groups
from core.methods.sequences._kmers import count_kmers, fit_axes, unit_rows
from core.methods.sequences._network import compare_with_rewired
from core.methods.sequences._params import GMNAParams
from core.stats.calibration import fit_temperature

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
    Params = GMNAParams
    latent_param = "dimensions"
    tiny = {"k": 5, "dimensions": 4}
    presets = {
        "fast": {},
        "standard": {"rewired": 500},
        "thorough": {"model": "network", "epochs": 40, "rewired": 1000},
    }
    suggested_for = {"map": 4}

    def passes(self, n: int) -> float:
        """Only the network goes over the genomes more than once."""
        return float(n * (self.params.epochs if self.params.model == "network" else 1))

    def declines(self, data: Dataset) -> str | None:
        values = [c for c in data.table.columns if 1 < data.table[c].nunique() <= 200]
        if "label" in data.roles or values:
            return None
        return "Needs a column that says which group each genome is of; this data has none."

    def codes(self, data: Dataset) -> np.ndarray:
        """int64 [n]: the group of each row among `class_names_`, -1 = none of them."""
        return codes_of(name_groups(data, self.params.by), self.class_names_)

    # -- learning ----------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        p, train = self.params, data.part("train")
        self.class_names_, self.left_out_ = choose_groups(name_groups(train, p.by), p.least)
        classes = len(self.class_names_)
        x, y = count_kmers(train.texts, p.k), self.codes(train)
        run.check()
        if not x.nnz:
            raise UserError(f"No sequence holds {p.k} known letters in a row; lower “k”.")
        self.theta_ = fit_naive_bayes(x, y, classes, p.smoothing)
        self.axes_, self.middle_ = fit_axes(x, p.dimensions, run.seed)
        self.nets_of_: dict[str, Any] = {}
        if p.model == "network":
            from core.methods.sequences._cnn import train_each_left_out

            self.length_ = max(map(len, train.texts))
            self.nets_of_ = train_each_left_out(
                train.texts, y, classes, self.length_, p.epochs, p.learning_rate, run
            )
        val = data.part("val")
        val = val.take(np.flatnonzero(self.codes(val) >= 0))
        self.temperature_ = 1.0
        if len(val) >= 5:
            score, truth = self.likelihood(val), self.codes(val)
            self.temperature_ = fit_temperature(score, truth, most=1e5, least=1)
        run.report(0)

    # -- what it thinks ----------------------------------------------------------------------------
    def likelihood(self, data: Dataset) -> np.ndarray:
        """float64 [n, classes]: log-likelihood (naive Bayes) or logits (network) of each class, the
        model having seen all classes.
        """
        from core.methods.sequences._cnn import predict_logits

        if self.params.model == "network":
            return predict_logits(self.nets_of_["-1"], data.texts, self.length_)
        return np.asarray(count_kmers(data.texts, self.params.k) @ self.theta_.T, dtype=np.float64)

    def left_one_out(self, data: Dataset, score: np.ndarray, y: np.ndarray) -> np.ndarray:
        """float64 [n, classes] where each row's own class has -inf and the model has never seen a
        member of it. Naive Bayes treats classes apart, so leaving one out only takes its column
        away.
        """
        from core.methods.sequences._cnn import predict_logits

        out = score.copy()
        if self.params.model == "network":
            for j in np.unique(y[y >= 0]):
                at = np.flatnonzero(y == j)
                out[at] = predict_logits(self.nets_of_[str(j)], data.texts[at], self.length_)
        known = np.flatnonzero(y >= 0)
        out[known, y[known]] = -np.inf
        return out

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        from scipy.special import softmax

        p, names, y = self.params, self.class_names_, self.codes(data)
        score = self.likelihood(data)
        run.check()
        others = self.left_one_out(data, score, y)
        target, bayes = others.argmax(1), p.model == "naive bayes"
        notes = name_shared(self.theta_, y, target, p.k) if bayes else {}
        yield draw_network(y, target, names, notes, data.rows, run.seed)
        prob = softmax(score / self.temperature_, axis=1)
        yield Predictions(rows=data.rows, prob=prob.astype(np.float32), classes=list(names))
        held = np.flatnonzero(data.splits != "train")
        yield draw_pairs(score[held], y[held], names, data.rows)
        x = count_kmers(data.texts, p.k)
        z = (np.asarray(unit_rows(x) @ self.axes_.T) - self.middle_).astype(np.float32)
        yield Embedding(rows=data.rows, name="latent", z=z, layer=f"{p.k}-mers")
        if bayes:
            said = [
                f"“{names[a]}”, for which it is taken, rather than “{names[b]}”"
                for a, b in np.argsort(-others, axis=1)[:, :2]
            ]
            items = name_reasons(x, self.theta_, others, p.k)
            yield Rationales(rows=data.rows, items=items, about=said)
        found = measure_accuracy(data, prob, y)
        partition = find_partition(data, p.within, y, len(names))
        found += compare_with_rewired(y, target, len(names), partition, p.rewired, run)
        found += count_left_out(self.left_out_, len(data))
        yield Metrics.of(found, data.rows)

    # -- keeping -----------------------------------------------------------------------------------
    def make_nets_of(self) -> Any:
        from core.methods.sequences import _cnn

        return _cnn.make_network(len(self.class_names_))

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return the networks stood under `net-1`, `net0` and so on."""
        which = state["which"]
        kept = {k: v for k, v in state.items() if k != "which" and not k.startswith("net")}
        nets = {
            f"nets_of.{i}.{k}": v
            for i, name in enumerate(which)
            for k, v in take_prefix(f"net{name}", state).items()
        }
        kinds = {f"nets_of.{i}": "network" for i in range(len(which))}
        index = {"names": [*kept, "nets_of"], "kinds": kinds | {"nets_of": ["dict", which]}}
        return kept | nets | {"fitted": index}
