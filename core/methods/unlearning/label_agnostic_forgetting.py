"""Label-agnostic forgetting: makes a trained classifier forget chosen cases without anyone's
labels.

Objective
    Two variational autoencoders learn the embeddings of all training cases (v_s) and of those to
    forget (v_f). The encoder is then changed so that retained embeddings stay reconstructible by
    v_s and forgotten ones become foreign to v_f: L_UE = sum rho(e_r; v_s) - sum rho(e_f; v_f) with
    rho = exp(|e' - e|² / (|e' - e|² + 1)); and aligned, L_RA: retained embeddings keep their
    direction, forgotten ones leave theirs.

Cost
    Two small autoencoders on embeddings, then a forward and backward pass of the encoder per step;
    about ten seconds for 2,428 small pictures, plus training from scratch for comparison if wished.

Differences from the paper
    Batch normalisation stands still; embeddings are standardised in place of a sigmoid output; the
    attack is a gradient-boosted tree of scikit-learn. The training stops once agreement with the
    old model on retained cases has fallen by more than `allowed`, and the last good state is kept.
    Labels are read for the figures only.

Reference
    Shen, Zhang, Zhao, Bialkowski, Chen, Xu, Label-agnostic forgetting: a supervision-free
    unlearning in deep models, ICLR 2024.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Metric, Metrics, Model, Predictions
from core.errors import UserError
from core.io.tensors import nested, taken
from core.method import BaseParams, Method, Takes, param
from core.registry import open_model
from core.training.run import Run

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

LIMITS = (
    "This says what was done and measured. It is no proof that nothing of these cases is left in"
    " the model, and no certificate."
)


class LabelAgnosticForgetting(Method):
    id = "label_agnostic_forgetting"
    title = "Make a model forget cases (label-agnostic)"
    seed_number = 15
    takes = Takes(
        ("image", "table"), on=("Model",), chosen="needed", min_rows=20, seconds_per_value=1e-6
    )
    gives = (Model, Embedding, Predictions, Metrics)
    divides = False  # each batch moves the weights twice
    tiny_on = "classifier"
    tiny = {"epochs": 2, "compare": False, "batch_size": 32, "model_epochs": 2}
    presets = {"fast": {"epochs": 10}, "standard": {"epochs": 20}, "thorough": {"epochs": 40}}

    class Params(BaseParams):
        epochs: int = param(10, "Passes over the retained training cases.", ge=1, le=500)
        temperature: float = param(
            5.0,
            "Softness of the alignment: 5 for single cases, 20 for a whole class.",
            gt=0,
            le=100,
        )
        compare: bool = param(
            True,
            "Also train from scratch without the forgotten cases, the yardstick of forgetting.",
        )
        allowed: float = param(
            0.05,
            "How far agreement with the old model on retained cases may fall before it stops.",
            ge=0,
            le=1,
            advanced=True,
        )
        unlearning_rate: float = param(
            1e-4, "Step size of Adam for making embeddings foreign.", gt=0, le=0.1, advanced=True
        )
        alignment_rate: float = param(
            2e-4, "Step size of Adam for the alignment.", gt=0, le=0.1, advanced=True
        )
        model_epochs: int = param(
            30, "Passes of the two autoencoders of embeddings.", ge=1, le=1000, advanced=True
        )
        batch_size: int = param(
            64,
            "Retained cases per step; as many to forget are drawn.",
            ge=8,
            le=4096,
            advanced=True,
        )

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        base = next(a for a in on.values() if isinstance(a, Model))
        if "predict" not in base.abilities or "embed" not in base.abilities:
            return (
                f"That run’s model ({base.method}) is no classifier with an embedding; choose a"
                " plain classifier."
            )
        if not all(
            any(key.startswith(f"net.{part}.") for key in base.state)
            for part in ("encoder", "head")
        ):
            return (
                f"That run’s model ({base.method}) has no encoder and head that could be changed"
                " apart; choose a plain classifier."
            )
        return None

    # -- forgetting --------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.methods.unlearning import _forget

        p, train = self.params, data.part("train")
        base = next(a for a in run.on.values() if isinstance(a, Model))
        chosen = np.asarray(run.chosen, dtype=np.int64)
        gone = np.isin(train.rows, chosen)
        if not gone.any():
            raise UserError(
                "None of the chosen cases is a training case, so the model never learned from them:"
                " there is nothing to forget."
            )
        if gone.sum() > 0.7 * len(train):
            raise UserError(
                f"{gone.sum():,} of {len(train):,} training cases are to be forgotten; train anew"
                " on the rest instead."
            )
        if p.compare and len(np.unique(train.labels[~gone & (train.labels >= 0)])) < 2:
            raise UserError(
                "Without these cases one class is left, so nothing can be trained anew to compare"
                " with: choose fewer cases, or switch “compare” off."
            )
        self.base, self.forgotten = base, train.rows[gone]
        self.inner, old = open_model(base, str(run.where)), open_model(base, str(run.where))
        keep, forget = train.take(np.flatnonzero(~gone)), train.take(np.flatnonzero(gone))
        before_keep, before_gone = self._embedded(old, keep, run), self._embedded(old, forget, run)
        whole = np.concatenate([before_keep, before_gone])
        mean, sd = torch.from_numpy(whole.mean(0)).to(run.where), float(max(whole.std(), 1e-6))
        scaled = lambda e: (e - mean) / sd  # noqa: E731
        of_all = _forget.fitted(((whole - whole.mean(0)) / sd).astype("f4"), p.model_epochs, run)
        of_gone = _forget.fitted(
            ((before_gone - whole.mean(0)) / sd).astype("f4"), p.model_epochs, run
        )
        encoder = self.inner.net.encoder
        for q in self.inner.net.parameters():
            q.requires_grad_(True)
        optimiser = torch.optim.Adam(encoder.parameters(), p.unlearning_rate)
        align = torch.optim.Adam(encoder.parameters(), p.alignment_rate)
        guard = _forget.Guard(self.inner.net)
        net = run.setup(self.inner.net, optimiser, align=align, guard=guard)
        net.eval()
        self.inner.scale.to(run.where)
        fresh = self.inner.scale(torch.from_numpy(forget.inputs()).to(run.where))
        old_gone, old_keep = (
            torch.from_numpy(before_gone).to(run.where),
            torch.from_numpy(before_keep).to(run.where),
        )
        said = old.net.head(old_keep).argmax(1)
        for batch in run.batches(keep, p.batch_size, p.epochs):
            if batch.turn and not guard.look(self._agreement(keep, said, run), p.allowed):
                run.report(batch.step, agreement=guard.agreement)
            if guard.stopped:
                continue
            at = torch.randint(len(fresh), (len(batch.x),), device="cpu").to(run.where)
            x, gone_x = self.inner.scale(batch.x), fresh[at]
            e_r, e_f = scaled(encoder(x)), scaled(encoder(gone_x))
            loss = (_forget.rho(e_r, of_all) - _forget.rho(e_f, of_gone)) / len(x)
            run.step(loss, clip=5.0)
            turn = _forget.alignment(
                encoder(x),
                old_keep[torch.from_numpy(batch.at).to(run.where)],
                encoder(gone_x),
                old_gone[at],
                p.temperature,
            )
            align.zero_grad()
            run.fabric.backward(turn / len(x))
            align.step()
            run.report(batch.step, loss=loss, alignment=turn.detach() / len(x))
        guard.look(self._agreement(keep, said, run), p.allowed)
        guard.put_back()
        self.agreement = guard.agreement
        self.again: Model | None = None
        if p.compare:
            other = type(old)(old.params)
            keeping = data.take(np.flatnonzero(~np.isin(data.rows, self.forgotten)))
            other.fit(keeping, Run(seed=run.seed, device=run.device, stop=run.stop))
            other.to(run.where)
            self.again = other.model(keeping)
        self.receipt = {
            "what": "cases forgotten by a model",
            "rows": self.forgotten.tolist(),
            "cases": len(self.forgotten),
            "method": self.id,
            "parameters": p.model_dump(mode="json"),
            "date": date.today().isoformat(),
            "seed": run.seed,
            "old model": {"run": base.made_by.run, "method": base.method},
            "sha256 of the forgotten inputs": (
                hashlib.sha256(np.ascontiguousarray(forget.inputs()).tobytes()).hexdigest()
            ),
            "limits": LIMITS,
        }

    @staticmethod
    def _embedded(model: Any, data: Dataset, run: Run) -> np.ndarray:
        return np.asarray(run.map(model.embed, data))

    def _agreement(self, keep: Dataset, said: torch.Tensor, run: Run) -> float:
        """Share of retained cases on which the changed model still says what the old one said (no
        labels).
        """
        now = np.asarray(run.map(lambda x: self.inner.net(self.inner.scale(x)), keep)).argmax(1)
        return float((now == said.cpu().numpy()).mean())

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        self.inner.to(run.where)
        z, prob = run.map(lambda x: (self.embed(x), self.predict(x)), data)
        probs = {"unlearned": prob, "untouched": self._said(self.base, data, run)}
        if self.again is not None:
            probs["trained anew without them"] = self._said(self.again, data, run)
        figures = self.figures(data, probs, run)
        made = self.model(data)
        made.receipt = self.receipt | {
            "figures": [
                {
                    "what": m.name,
                    "model": m.group,
                    "value": m.value,
                    "low": m.low,
                    "high": m.high,
                    "cases": m.n,
                }
                for m in figures
            ]
        }
        yield made
        yield Embedding(rows=data.rows, name="latent", z=z, layer="encoder, after forgetting")
        yield Predictions(rows=data.rows, prob=prob, classes=self.classes)
        yield Metrics.of(figures, data.rows)

    def _said(self, model: Model, data: Dataset, run: Run) -> np.ndarray:
        """Probabilities [n,k] of `model` over this model's classes: one trained without a class
        knows fewer, and gives that one 0.
        """
        found = np.asarray(run.map(open_model(model, str(run.where)).predict, data))
        prob = np.zeros((len(data), len(self.classes)), dtype=np.float32)
        prob[:, [self.classes.index(c) for c in model.classes]] = found
        return prob

    def figures(self, data: Dataset, probs: dict[str, np.ndarray], run: Run) -> list[Metric]:
        """Accuracy on forgotten, retained and test cases, and how many forgotten cases an attack
        takes for training cases, for each model.
        """
        from core.methods.unlearning import _forget
        from core.stats.bootstrap import mean_interval

        place = {c: i for i, c in enumerate(self.classes)}
        y = np.array(
            [place.get(data.classes[c], -1) if c >= 0 else -1 for c in data.labels], dtype=np.int64
        )
        gone = np.isin(data.rows, self.forgotten)
        parts = {"to forget": gone, "retained": (data.splits == "train") & ~gone}
        held = "test" if (data.splits == "test").any() else "val"
        parts[held] = data.splits == held
        found = []
        for model, prob in probs.items():
            for name, part in parts.items():
                at = np.flatnonzero(part & (y >= 0))
                if len(at) < 2:
                    continue
                right = prob[at].argmax(1) == y[at]
                groups = data.groups[at] if data.groups is not None else None
                title = {"test": "accuracy, test cases", "val": "accuracy, validation cases"}.get(
                    name, f"accuracy, cases {name}"
                )
                split, better = (
                    (name, True)
                    if name == held
                    else ("train", None if name == "to forget" else True)
                )
                one = Metric(
                    title,
                    float(right.mean()),
                    split=split,
                    group=model,
                    n=len(at),
                    higher_is_better=better,
                )
                found.append(one.within(mean_interval(right, groups)))
            taken_for = _forget.attacked(
                prob, parts["retained"], data.splits == "val", gone, run.seed
            )
            if taken_for is not None:
                note = "membership attack; near 0.5, or near the model trained anew, is good"
                one = Metric(
                    "forgotten cases taken for training cases",
                    float(taken_for.mean()),
                    split="train",
                    group=model,
                    n=int(gone.sum()),
                    higher_is_better=None,
                    note=note,
                )
                found.append(
                    one.within(
                        mean_interval(
                            np.asarray(taken_for, bool),
                            data.groups[gone] if data.groups is not None else None,
                        )
                    )
                )
        found.append(
            Metric(
                "agreement with the old model on retained cases",
                self.agreement,
                split="train",
                n=int(parts["retained"].sum()),
            )
        )
        return found

    # -- abilities ---------------------------------------------------------------------------------
    @property
    def classes(self) -> list[str]:
        return list(self.inner.classes) if hasattr(self, "inner") else []

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner.embed(x)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner.predict(x)

    def nets(self) -> list[Any]:
        return [self.inner.net] if hasattr(self, "inner") else []

    def to(self, device: Any) -> None:
        self.inner.to(device)

    def state(self) -> dict[str, Any]:
        def about(m):
            return {
                f: getattr(m, f)
                for f in ("method", "params", "abilities", "input_shape", "classes")
            }

        again = (
            {}
            if self.again is None
            else {"again": about(self.again), **nested("anew", self.again.state)}
        )
        return {
            "base": about(self.base),
            **nested("old", self.base.state),
            **nested("inner", self.inner.state()),
            **again,
            "forgotten": self.forgotten,
            "agreement": self.agreement,
            "receipt": self.receipt,
        }

    def restore(self, state: dict[str, Any]) -> None:
        none = np.zeros(0)
        self.base = Model(rows=none, **state["base"], state=taken("old", state))
        self.again = (
            Model(rows=none, **state["again"], state=taken("anew", state))
            if "again" in state
            else None
        )
        self.inner = open_model(Model(rows=none, **state["base"], state=taken("inner", state)))
        self.forgotten, self.agreement, self.receipt = (
            np.asarray(state["forgotten"]),
            float(state["agreement"]),
            state["receipt"],
        )
