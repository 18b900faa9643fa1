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
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Metrics, Model, Predictions
from core.io.tensors import add_prefix, take_prefix
from core.method import Takes
from core.methods._on_model import ChangedModel
from core.methods.unlearning._figures import figures, refuse, say_why_not
from core.methods.unlearning._params import ForgettingParams
from core.registry import open_model
from core.training.run import Run

if TYPE_CHECKING:
    from core.data.dataset import Dataset

LIMITS = (
    "This says what was done and measured. It is no proof that nothing of these cases is left in"
    " the model, and no certificate."
)


class LabelAgnosticForgetting(ChangedModel):
    id = "label_agnostic_forgetting"
    title = "Make a model forget cases (label-agnostic)"
    seed_number = 15
    takes = Takes(
        ("image", "table"), on=("Model",), chosen="needed", min_rows=20, seconds_per_value=1e-6
    )
    gives = (Model, Embedding, Predictions, Metrics)
    Params = ForgettingParams
    divides = False  # each batch moves the weights twice
    tiny_on = "classifier"
    tiny = {"epochs": 2, "compare": False, "batch_size": 32, "model_epochs": 2}
    presets = {"fast": {"epochs": 10}, "standard": {"epochs": 20}, "thorough": {"epochs": 40}}

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        return say_why_not(on)

    def fit(self, data: Dataset, run: Run) -> None:
        train, self.base_ = data.part("train"), run.base(Model)
        gone = np.isin(train.rows, np.asarray(run.chosen, dtype=np.int64))
        refuse(train, gone, self.params.compare)
        self.forgotten_ = train.rows[gone]
        keep, forget = train.take(np.flatnonzero(~gone)), train.take(np.flatnonzero(gone))
        inner = open_model(self.base_, str(run.where))
        self.agreement_ = self._forget(inner, keep, forget, run)
        self.inner_ = replace(self.base_, state=inner.state())
        self.again_: Model | None = None
        if self.params.compare:
            self.again_ = self._train_again(type(inner)(inner.params), data, run)
        self.receipt_ = self._receipt(forget, run)

    def _forget(self, inner: Any, keep: Dataset, forget: Dataset, run: Run) -> float:
        """Change the encoder of `inner` until the forgotten cases look foreign to it; gives its
        agreement with the old model on the retained ones.
        """
        import torch

        from core.methods.unlearning import _forget
        from core.nets.losses.forgetting import alignment, foreignness

        p, old = self.params, open_model(self.base_, str(run.where))
        before_keep, before_gone = (np.asarray(run.map(old.embed, part)) for part in (keep, forget))
        to_scale, vae_of_all, vae_of_gone = self._familiar(before_keep, before_gone, run)
        net_, encoder = inner.net_, inner.net_.encoder
        for q in net_.parameters():
            q.requires_grad_(True)
        optimiser = torch.optim.Adam(encoder.parameters(), p.unlearning_rate)
        align = torch.optim.Adam(encoder.parameters(), p.alignment_rate)
        guard = _forget.Guard(net_)
        run.setup(net_, optimiser, align=align, guard=guard).eval()
        inner.scale_.to(run.where)
        inputs_gone = inner.scale_(torch.from_numpy(forget.inputs()).to(run.where))
        old_gone = torch.from_numpy(before_gone).to(run.where)
        old_keep = torch.from_numpy(before_keep).to(run.where)
        old_class = old.net_.head(old_keep).argmax(1).cpu().numpy()
        for batch in run.batches(keep, p.batch_size, p.epochs):
            if batch.turn and not guard.look(_agreement(inner, keep, old_class, run), p.allowed):
                run.report(batch.step, agreement=guard.agreement)
            if guard.stopped:
                continue
            at = torch.randint(len(inputs_gone), (len(batch.x),), device="cpu").to(run.where)
            x, gone_x = inner.scale_(batch.x), inputs_gone[at]
            e_r, e_f = to_scale(encoder(x)), to_scale(encoder(gone_x))
            loss = (foreignness(e_r, vae_of_all) - foreignness(e_f, vae_of_gone)) / len(x)
            run.step(loss, clip=5.0)
            aligned = alignment(
                encoder(x),
                old_keep[torch.from_numpy(batch.at).to(run.where)],
                encoder(gone_x),
                old_gone[at],
                p.temperature,
            )
            align.zero_grad()
            run.fabric.backward(aligned / len(x))
            align.step()
            run.report(batch.step, loss=loss, alignment=aligned.detach() / len(x))
        guard.look(_agreement(inner, keep, old_class, run), p.allowed)
        guard.put_back()
        return guard.agreement

    def _familiar(self, keep: np.ndarray, gone: np.ndarray, run: Run) -> tuple[Any, Any, Any]:
        """How embeddings are scaled, and the autoencoders of all old ones and of the forgotten
        cases' alone.
        """
        import torch

        from core.methods.unlearning import _forget

        whole, epochs = np.concatenate([keep, gone]), self.params.model_epochs
        mean, sd = torch.from_numpy(whole.mean(0)).to(run.where), float(max(whole.std(), 1e-6))
        vae_of_all = _forget.fitted(((whole - whole.mean(0)) / sd).astype("f4"), epochs, run)
        vae_of_gone = _forget.fitted(((gone - whole.mean(0)) / sd).astype("f4"), epochs, run)
        return lambda e: (e - mean) / sd, vae_of_all, vae_of_gone

    def _train_again(self, other: Any, data: Dataset, run: Run) -> Model:
        """Return the yardstick: `other`, a method like the old model's, trained without the
        forgotten cases.
        """
        keeping = data.take(np.flatnonzero(~np.isin(data.rows, self.forgotten_)))
        other.fit(keeping, Run(seed=run.seed, device=run.device, stop=run.stop))
        other.to(run.where)
        return other.model(keeping)

    def _receipt(self, forget: Dataset, run: Run) -> dict[str, Any]:
        """Return what was done, for those who asked for it, as plain json values."""
        forgotten = np.ascontiguousarray(forget.inputs()).tobytes()
        return {
            "what": "cases forgotten by a model",
            "rows": self.forgotten_.tolist(),
            "cases": len(self.forgotten_),
            "method": self.id,
            "parameters": self.params.model_dump(mode="json"),
            "date": date.today().isoformat(),
            "seed": run.seed,
            "old model": {"run": self.base_.made_by.run, "method": self.base_.method},
            "sha256 of the forgotten inputs": hashlib.sha256(forgotten).hexdigest(),
            "limits": LIMITS,
        }

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, prob = run.map(lambda x: (self.embed(x), self.predict(x)), data)
        probs = {"unlearned": prob, "untouched": self._said(self.base_, data, run)}
        if self.again_ is not None:
            probs["trained anew without them"] = self._said(self.again_, data, run)
        found = figures(self, data, probs, run.seed)
        artifact = self.model(data)
        artifact.receipt = self.receipt_ | {
            "figures": [
                {
                    "what": m.name,
                    "model": m.group,
                    "value": m.value,
                    "low": m.low,
                    "high": m.high,
                    "cases": m.n,
                }
                for m in found
            ]
        }
        yield artifact
        yield Embedding(rows=data.rows, name="latent", z=z, layer="encoder, after forgetting")
        yield Predictions(rows=data.rows, prob=prob, classes=self.classes)
        yield Metrics.of(found, data.rows)

    def _said(self, model: Model, data: Dataset, run: Run) -> np.ndarray:
        """Probabilities [n,k] of `model` over this model's classes: one trained without a class
        knows fewer, and gives that one 0.
        """
        found = np.asarray(run.map(open_model(model, str(run.where)).predict, data))
        prob = np.zeros((len(data), len(self.classes)), dtype=np.float32)
        prob[:, [self.classes.index(c) for c in model.classes]] = found
        return prob

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return the old model stood under `old`, and the one trained anew under `anew`."""
        rest = {k: v for k, v in state.items() if k.partition(".")[0] not in ("old", "anew")}
        return (
            {"again": None}
            | rest
            | add_prefix("base", take_prefix("old", state))
            | {"inner": state["base"]}
            | add_prefix("again", take_prefix("anew", state))
        )


def _agreement(model: Any, keep: Dataset, old_class: np.ndarray, run: Run) -> float:
    """Share of retained cases to which the changed model gives `old_class` [n], the class by the
    old one (no labels are read).
    """
    now = np.asarray(run.map(lambda x: model.net_(model.scale_(x)), keep)).argmax(1)
    return float((now == old_class).mean())
