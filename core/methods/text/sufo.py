"""SUFO: fine-tunes a language model on labelled texts and shows what happens inside: probing,
similarity, feature dynamics, outliers.

Objective
    Cross-entropy of a linear head on the mean of the last states. At five moments the features of
    every layer for a few hundred fixed texts are kept: S macro-F1 of a linear reader per layer and
    moment; U rank correlation of pairwise distances (RSA) and linear CKA with the untouched model;
    F paths of the classes in the plane of the first two components, and macro-F1 without the first
    k components; O texts nearer to another class than to theirs.

Cost
    Training: three passes of the model per text and epoch. A tiny BERT (3 layers, 64 wide) reads
    1,600 abstracts of 128 tokens in seconds an epoch; MiniLM takes minutes. Distances of 200 texts
    per layer and moment take no time.

Differences from the paper
    Means of all tokens in place of the first one; tiny BERT is made and trained here from random
    weights (its first moment is the paper's random control); one metric for both sides of RSA;
    probes are counted on validation texts, never on those they were fitted on. Reasons are gradient
    times input.

Reference
    Hsu et al., SUFO: a systematic framework for interpreting clinical language models (supervised
    probing, unsupervised similarity, feature dynamics, outliers), 2023. Kriegeskorte et al., RSA,
    2008; Kornblith et al., CKA, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import (
    AnomalyMaps,
    Artifact,
    Embedding,
    Grid,
    Metrics,
    Predictions,
    Rationales,
)
from core.data.labels import codes_among
from core.io.tensors import add_prefix, take_prefix
from core.method import Method, Takes
from core.methods.text import _sufo
from core.methods.text._cut import read_whole
from core.methods.text._figures import (
    REMOVED,
    draw_grids,
    draw_outliers,
    measure_reader,
    measure_shares,
)
from core.methods.text._params import SUFOParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class SUFO(Method):
    id = "sufo"
    title = "Fine-tuning of a language model (SUFO)"
    seed_number = 47
    net_: Any  # Reader
    takes = Takes(
        ("text",),
        labels="needed",
        min_rows=40,
        requires=("transformers", "tokenizers"),
        seconds_per_value=3e-5,
    )
    gives = (Embedding, Predictions, Grid, AnomalyMaps, Rationales, Metrics)
    Params = SUFOParams
    tiny = {
        "epochs": 2,
        "longest": 32,
        "batch_size": 32,
        "hidden": 16,
        "layers": 2,
        "vocabulary": 300,
    }
    presets = {
        "fast": {"epochs": 8},
        "standard": {"epochs": 25, "hidden": 128, "layers": 4},
        "thorough": {"model": "minilm", "epochs": 5, "longest": 256, "learning_rate": 3e-5},
    }
    suggested_for = {"words": 1}
    least_steps = 100
    parts = {"outliers": _sufo.Outliers}

    def declines(self, data: Dataset) -> str | None:
        train = data.part("train").labels
        if len(np.unique(train[train >= 0])) > 1:
            return None
        return "The training texts are all of one class; at least two are needed."

    # -- training ----------------------------------------------------------------------------------
    def make_net(self) -> Any:
        from core.methods.text._reader import Reader

        return Reader.rebuild(self.params, self.tokenizer_, len(self.class_names_))

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        rest = {k: v for k, v in state.items() if k.partition(".")[0] not in ("o", "r", "grid")}
        return (
            rest
            | add_prefix("outliers", take_prefix("o", state))
            | {"removal": take_prefix("r", state), "grids": take_prefix("grid", state)}
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from torch.nn import functional as F

        from core.methods.text._dynamics import MOMENTS, Moments, choose_stimuli, measure_dynamics
        from core.methods.text._reader import Reader

        p, train = self.params, data.part("train")
        train = train.take(np.flatnonzero(train.labels >= 0))
        self.class_names_ = [data.classes[c] for c in np.unique(train.labels)]
        y, classes = codes_among(train, self.class_names_), len(self.class_names_)
        self.net_ = Reader.build(p, list(train.texts), classes, run.seed)
        self.tokenizer_ = self.net_.tokenizer.backend_tokenizer.to_str()
        code = self.net_.encode_texts(train.texts)
        val = data.part("val")
        val = val.take(np.flatnonzero(codes_among(val, self.class_names_) >= 0))
        truth = codes_among(val, self.class_names_)
        some, other = choose_stimuli(y, run.seed), choose_stimuli(truth, run.seed)
        shown = np.concatenate([code[some], self.net_.encode_texts(val.texts)[other]])
        total = p.epochs * -(-len(code) // p.batch_size)
        moments = Moments(self.net_, shown, total)
        count = np.bincount(y, minlength=classes)
        balance = torch.from_numpy((len(y) / (classes * count)).astype("f4")).to(run.where)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            moments.look(batch.step, self.net_)
            return {"loss": F.cross_entropy(net(batch.x.long()), batch.y, balance)}

        learning = [w for w in self.net_.parameters() if w.requires_grad]
        run.fit(
            self.net_,
            loss,
            train.with_samples(code.astype(np.float32)).with_labels(y),
            p,
            optimiser=torch.optim.AdamW(learning, p.learning_rate, weight_decay=0.01),
            schedule=lambda step, total: p.learning_rate * warmed_up(step / max(1, total)),
            clip=1.0,
            drop_last=False,
            of=train,
            track={"moments": moments},
        )
        moments.keep(MOMENTS - 1, self.net_)
        self.steps_ = [str(step) for step in moments.steps]
        found = measure_dynamics(
            moments.features(), y[some], truth[other], self.class_names_, run.check
        )
        self.grids_, self.shares_, self.paths_ = found.grids, found.shares, found.paths
        features = self.net_.features(code)
        self.outliers_ = _sufo.Outliers.fit(features, y, classes)
        mean, v, _ = _sufo.principal_components(features)
        self.removal_ = {"mean": mean, "v": v[: max(REMOVED)]}

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        net, names, y = self.net_, self.class_names_, codes_among(data, self.class_names_)
        code = net.encode_texts(data.texts)
        z = net.features(code, run.check)
        prob = net.predict(z)
        yield Embedding(rows=data.rows, name="latent", z=z, layer="last layer, mean of tokens")
        yield Predictions(rows=data.rows, prob=prob, classes=list(names))
        yield from draw_grids(self.grids_, self.steps_, self.paths_, data.rows)
        yield draw_outliers(self.outliers_.score(z, y), y, data)
        spans = net.weigh_words(data.texts, code, run.check)
        said = [
            f"the class “{names[j]}”, which the model names ({p[j]:.0%} sure)"
            for p, j in zip(prob, prob.argmax(1))
        ]
        yield Rationales(rows=data.rows, items=spans, kind="spans", about=said)
        found = measure_reader(data, net, z, prob, y, spans, self.removal_, run)
        found += [*measure_shares(self.shares_), read_whole(code, net.pad)]
        yield Metrics.of(found, data.rows)


def warmed_up(share: float) -> float:
    """Return the part of the largest step size after this share of the steps: up over a fifth, then
    down to nothing.
    """
    fallen = 1.0 if share < 0.2 else 0.5 * (1 + math.cos(math.pi * (share - 0.2) / 0.8))
    return min(share / 0.2, fallen)
