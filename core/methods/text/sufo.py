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
    Metric,
    Metrics,
    Predictions,
    Rationales,
)
from core.io.tensors import nested, taken
from core.method import Method, Takes
from core.methods.text import _sufo
from core.methods.text._cut import read_whole
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.text._reader import Reader
    from core.training.run import Run

# fixed texts of train and of validation each; moments at which they are looked at
STIMULI, MOMENTS = 200, 5
REMOVED = (0, 1, 2, 3, 5, 8, 16, 32)


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

    class Params(TrainingParams):
        epochs: int = epochs_param(8, "Passes over the training texts.", le=200)
        batch_size: int = batch_param(32, "Texts per step.", ge=4, le=512)
        learning_rate: float = rate_param(
            1e-3, "Largest step size of AdamW; a model that has learned before wants 3e-5."
        )
        model: str = param(
            "tiny",
            "“tiny” (a small BERT made here), “minilm”, a folder with a model of transformers, or a"
            " name in this machine's hub cache.",
        )
        longest: int = param(
            128,
            "Tokens read of each text; what is longer is cut, and the run says of how many texts.",
            ge=8,
            le=512,
        )
        frozen: int = param(
            0, "Layers, from the first, that stay as they were.", ge=0, le=48, advanced=True
        )
        hidden: int = param(64, "Width of the tiny model.", ge=16, le=512, advanced=True)
        layers: int = param(3, "Layers of the tiny model.", ge=1, le=12, advanced=True)
        vocabulary: int = param(
            3000, "Word pieces of the tiny model.", ge=100, le=50_000, advanced=True
        )

    def declines(self, data: Dataset) -> str | None:
        train = data.part("train").labels
        return (
            None
            if len(np.unique(train[train >= 0])) > 1
            else "The training texts are all of one class; at least two are needed."
        )

    # -- training ----------------------------------------------------------------------------------
    def make_net(self) -> Any:
        from core.methods.text._reader import Reader

        return Reader.again(self.params, self.tokenizer_, len(self.class_names_))

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in state.items() if k.partition(".")[0] not in ("o", "r", "grid")}
        return (
            kept
            | nested("outliers", taken("o", state))
            | {"removal": taken("r", state), "grids": taken("grid", state)}
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from torch.nn import functional as F

        from core.methods.text._reader import Reader

        p, train = self.params, data.part("train")
        train = train.take(np.flatnonzero(train.labels >= 0))
        codes = np.unique(train.labels)
        self.class_names_ = [data.classes[c] for c in codes]
        self.net_ = Reader.made(p, list(train.texts), len(codes), run.seed)
        self.tokenizer_ = self.net_.tokenizer.backend_tokenizer.to_str()
        place = np.full(len(data.classes) + 1, -1)
        place[codes] = np.arange(len(codes))
        y, val = place[train.labels], data.part("val")
        val = val.take(np.flatnonzero(place[val.labels] >= 0))
        code = self.net_.ids(train.texts)
        some, other = _few(y, run.seed), _few(place[val.labels], run.seed)
        texts = (
            np.concatenate([code[some], self.net_.ids(val.texts)[other]])
            if len(other)
            else code[some]
        )
        watch = Moments(len(texts), self.net_.depth + 1, self.net_.width)
        weights = [q for q in self.net_.parameters() if q.requires_grad]
        optimiser = torch.optim.AdamW(weights, p.learning_rate, weight_decay=0.01)
        net = run.setup(self.net_, optimiser, moments=watch)
        count = np.bincount(y, minlength=len(codes))
        balance = torch.from_numpy((len(y) / (len(codes) * np.maximum(count, 1))).astype("f4")).to(
            run.where
        )
        ready = train.with_samples(code.astype(np.float32)).with_labels(y)
        total = p.epochs * -(-len(code) // p.batch_size)
        where = [round(i * total / (MOMENTS - 1)) for i in range(MOMENTS)]
        for batch in run.batches(ready, p.batch_size, p.epochs, of=train):
            if batch.step in where:
                watch.look(where.index(batch.step), self.net_, texts)
            run.set_rate(p.learning_rate * warmed_up(batch.step / max(1, total)))
            logits = net(batch.x.long())
            loss = F.cross_entropy(logits, batch.y, balance)
            run.step(loss, clip=1.0)
            run.report(batch.step, loss=loss)
        watch.look(MOMENTS - 1, self.net_, texts)
        self.steps_ = [str(s) for s in where]
        self._measure(watch.kept.float().cpu().numpy(), y[some], place[val.labels][other], run)
        features = self.net_.features(code)
        self.outliers_ = _sufo.Outliers.fit(features, y, len(codes))
        self.removal_ = self._removal(features, y)

    def _measure(self, kept: np.ndarray, y: np.ndarray, truth: np.ndarray, run: Run) -> None:
        """The layer-by-moment grids and the paths, from features [moments, texts, layers, d]; the
        first len(y) texts are of train.
        """
        moments, layers = kept.shape[0], kept.shape[2]
        self.grids_ = {
            name: np.full((layers, moments), np.nan, np.float32)
            for name in ("probing", "similarity", "alignment", "disambiguation")
        }
        for m in range(moments):
            for k in range(layers):
                run.check()
                now, first = kept[m, :, k], kept[0, :, k]
                if len(np.unique(truth)) > 1:
                    self.grids_["probing"][k, m] = _sufo.probed(
                        now[: len(y)], y, now[len(y) :], truth
                    )
                self.grids_["similarity"][k, m] = _sufo.rsa(now, first) if m else 1.0
                self.grids_["alignment"][k, m] = _sufo.cka(now, first)
                mean, v, _ = _sufo.components(now[: len(y)])
                self.grids_["disambiguation"][k, m] = _sufo.separation(
                    (now[: len(y)] - mean) @ v[:2].T, y
                )
        last = kept[:, : len(y), -1]
        mean, v, _ = _sufo.components(last[-1])
        self.shares_ = [float(_sufo.components(last[m])[2][:5].sum()) for m in (0, moments - 1)]
        flat = (last - mean) @ v[:2].T
        self.paths_ = [
            {
                "name": name,
                "group": name,
                "x": flat[:, y == c, 0].mean(1).tolist(),
                "y": flat[:, y == c, 1].mean(1).tolist(),
            }
            for c, name in enumerate(self.class_names_)
            if (y == c).any()
        ]

    def _removal(self, features: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """What is needed to take components away again: mean and directions of the training
        features.
        """
        mean, v, _ = _sufo.components(features)
        return {"mean": mean, "v": v[: max(REMOVED)]}

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        code = self.net_.ids(data.texts)
        z = self.net_.features(code, run.check)
        prob = self.net_.told(z)
        place = {c: i for i, c in enumerate(self.class_names_)}
        y = np.array(
            [place.get(data.classes[c], -1) if c >= 0 else -1 for c in data.labels], dtype=np.int64
        )
        yield Embedding(rows=data.rows, name="latent", z=z, layer="last layer, mean of tokens")
        yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        units = {
            "probing": (
                "how well a linear probe names the class from each layer (macro-F1 on"
                " validation texts, 1 = always right)"
            ),
            "similarity": (
                "do the same pairs of texts lie close together as in the untouched model? (RSA, 1 ="
                " unchanged)"
            ),
            "alignment": (
                "how much of the untouched model’s arrangement of texts is left (CKA, 1 ="
                " unchanged)"
            ),
            "disambiguation": (
                "how far apart the classes are on the two main directions (1 = fully apart)"
            ),
        }
        layers = ["words", *(f"layer {k}" for k in range(1, self.net_.depth + 1))]
        for name, value in self.grids_.items():
            yield Grid(
                rows=data.rows,
                name=name,
                value=value,
                x=self.steps_,
                y=layers,
                x_title="step of the training",
                y_title="layer",
                unit=units[name],
                low=0.0,
                high=1.0,
                paths=self.paths_ if name == "disambiguation" else [],
            )
        score = self.outliers_.score(z, y)
        val = score[(data.splits == "val") & (y >= 0)]
        yield AnomalyMaps(
            rows=data.rows,
            name="outliers",
            score=score,
            threshold=float(np.quantile(val, 0.95)) if len(val) else None,
            rule="95 % of validation texts lie below",
            unit="distance to the own class beyond that to the nearest other",
        )
        spans = self.net_.spans(data.texts, code, run.check)
        said = [
            f"the class “{self.class_names_[j]}”, which the model names ({p[j]:.0%} sure)"
            for p, j in zip(prob, prob.argmax(1))
        ]
        yield Rationales(rows=data.rows, items=spans, kind="spans", about=said)
        yield Metrics.of(
            [*self.figures(data, z, prob, y, spans, run), read_whole(code, self.net_.pad)],
            data.rows,
        )

    def figures(
        self,
        data: Dataset,
        z: np.ndarray,
        prob: np.ndarray,
        y: np.ndarray,
        spans: list[list[dict[str, Any]]],
        run: Run,
    ) -> list[Metric]:
        """Test F1, what is left without the first components, how few components hold the features,
        and the deletion test of the reasons.
        """
        from sklearn.metrics import f1_score

        from core.stats.bootstrap import interval, mean_interval

        test, found = np.flatnonzero((data.splits == "test") & (y >= 0)), []
        groups = data.groups[test] if data.groups is not None else None
        if len(test) >= 5:

            def f1(said):
                return lambda i: float(
                    f1_score(
                        y[test][i],
                        said[i],
                        average="macro",
                        labels=np.unique(y[test]),
                        zero_division=0,
                    )
                )

            score = f1(prob[test].argmax(1))
            own = Metric("macro-F1", score(np.arange(len(test))), split="test", n=len(test))
            found.append(own.within(interval(score, len(test), groups, (0, 1))))
            for k in (r for r in REMOVED if r <= z.shape[1]):
                left = self.net_.told(
                    _sufo.without(z[test], self.removal_["mean"], self.removal_["v"], k)
                ).argmax(1)
                score = f1(left)
                name, step = "macro-F1 without the first components", f"components taken away = {k}"
                less = Metric(
                    name, score(np.arange(len(test))), split="test", group=step, n=len(test)
                )
                found.append(less.within(interval(score, len(test), groups, (0, 1), blocks=50)))
            some = test[np.linspace(0, len(test) - 1, min(60, len(test))).astype(int)]
            drops = self.net_.deleted(data.texts[some], [spans[i] for i in some], prob[some], run)
            for words, value in drops.items():
                fall = Metric(
                    f"fall of the predicted class without its {words}",
                    float(value.mean()),
                    split="test",
                    n=len(value),
                )
                found.append(
                    fall.within(
                        mean_interval(
                            value, data.groups[some] if data.groups is not None else None, (-1, 1)
                        )
                    )
                )
        for words, value in zip(("before", "after"), self.shares_):
            found.append(
                Metric(
                    f"variance in five components, {words} training",
                    value,
                    split="train",
                    n=STIMULI,
                    higher_is_better=None,
                )
            )
        return found


class Moments:
    """Features float16 [moments, texts, layers, d] of the fixed texts; part of the checkpoint."""

    def __init__(self, texts: int, layers: int, width: int) -> None:
        import torch

        self.kept = torch.zeros(MOMENTS, texts, layers, width, dtype=torch.float16)

    def look(self, moment: int, net: Reader, code: np.ndarray) -> None:
        import torch

        training = net.training
        net.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            self.kept[moment] = torch.from_numpy(net.every_layer(code)).half()
        net.train(training)

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = state["kept"]


def warmed_up(share: float) -> float:
    """The part of the largest step size after this share of the steps: up over a fifth, then down
    to nothing.
    """
    fallen = 1.0 if share < 0.2 else 0.5 * (1 + math.cos(math.pi * (share - 0.2) / 0.8))
    return min(share / 0.2, fallen)


def _few(y: np.ndarray, seed: int) -> np.ndarray:
    """Positions of at most STIMULI rows, classes in their own shares."""
    return np.sort(np.random.default_rng(seed).permutation(len(y))[:STIMULI])
