"""beta-VAE with SCAN: a few axes that describe every beat or epoch, and which of them a symbol such
as a diagnosis fixes; both ways.

Objective
    -log p(x|z) + beta * KL(q(z|x) || N(0,1)) on the series; then, with z frozen, for symbols y:
    -log p(y|z_y) + KL(q(z_y|y) || N(0,1)) + 10 * KL(q(z_x|x) || q(z_y|y)). The last one runs from
    the case to the symbol, so that a symbol covers its bearers: axes on which they differ stay at
    the prior, axes they share become narrow. A case is most like the symbol y with the least
    KL(q(z_x|x) || q(z_y|y)).

Cost
    One pass over the training cases per epoch; the symbols cost the same for any number of cases.
    About 20 s for 1,500 beats of 2 x 128 samples.

Differences from the paper
    One-dimensional convolutions over all leads; Gaussian noise of the variance that fits best, not
    a fixed one; no choice among several trainings by their agreement (UDR). Every symbol weighs the
    same however rare, and copies taught shuffled symbols say which axes chance alone would fix. An
    axis points to where it raises the signal most.

Reference
    Honke, Higgins, Thigpen et al., Representation learning for improved interpretability and
    classification accuracy of clinical factors from EEG, 2020; Higgins, Sonnerat, Matthey et al.,
    SCAN: Learning hierarchical compositional visual concepts, ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import (
    Artifact,
    Embedding,
    Grid,
    Images,
    Metric,
    Metrics,
    Model,
    Predictions,
    Rationales,
)
from core.errors import UserError
from core.method import Method, Takes
from core.methods.series import _figures
from core.methods.series._params import BetaVAEScanParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.methods.series._scan import Factor
    from core.training.run import Run

LEAST_NATS = 0.05  # mean KL of an axis below which the model does not use it
FACTORS = 4  # the label and three more


def typical(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale) float32 [C,T] of series [n,C,T]: the scale is halfway (geometric mean) between
    the sd at each sample, smoothed, and the channel's.

    By the channel's alone the tallest wave would drown the small ones; by each sample's own, noise
    would count as much as waves.
    """
    from scipy.ndimage import uniform_filter1d

    variance = uniform_filter1d(
        x.var(0, dtype=np.float64), max(3, x.shape[2] // 16), axis=1, mode="nearest"
    )
    variance = np.maximum(variance, variance.max(1, keepdims=True) / 400)
    sd = (variance * x.var((0, 2), dtype=np.float64)[:, None]) ** 0.25
    return x.mean(0, dtype=np.float64).astype("f4"), np.where(sd > 1e-12, sd, 1.0).astype("f4")


class BetaVAEScan(Method):
    id = "beta_vae_scan"
    title = "beta-VAE of signals, with symbols"
    seed_number = 51
    net_: Any
    scan_: Any  # the symbols' network
    takes = Takes(("series",), labels="optional", min_rows=32, seconds_per_value=1e-6)
    gives = (Model, Embedding, Images, Grid, Rationales, Predictions, Metrics)
    Params = BetaVAEScanParams
    tiny = {
        "epochs": 2,
        "latent": 4,
        "width": 4,
        "batch_size": 16,
        "shuffles": 3,
        "symbol_steps": 20,
    }
    presets = {
        "fast": {"epochs": 20},
        "standard": {"epochs": 60},
        "thorough": {"epochs": 200, "shuffles": 100},
    }
    least_steps = 700
    watched = True

    def declines(self, data: Dataset) -> str | None:
        if len(data.shape) != 2 or data.shape[1] < 16:
            return (
                "Needs series of at least 16 samples; these have"
                f" {data.shape[-1] if data.shape else 0}."
            )
        return None

    # -- training ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets.series import SeriesVAE

        return SeriesVAE(self.shape_, self.params.width, self.params.latent)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.series import divergence

        p, train = self.params, data.part("train")
        self.shape_ = tuple(data.shape)
        self.mean_, self.sd_ = (torch.from_numpy(v) for v in typical(train.inputs()))
        self.turn_ = torch.ones(p.latent)
        self.class_names_: list[str] = []
        self.factors_: list[dict[str, Any]] = []
        self.net_ = self.make_net()
        optimiser = torch.optim.Adam(self.net_.parameters(), p.learning_rate)
        net = run.setup(self.net_, optimiser)
        self.mean_, self.sd_ = self.mean_.to(run.where), self.sd_.to(run.where)
        total = p.epochs * max(1, len(train) // p.batch_size)
        values = int(np.prod(self.shape_))
        for batch in run.batches(train, p.batch_size, p.epochs, drop_last=True):
            run.set_rate(p.learning_rate * 0.1 ** (batch.step / total))
            want = self.scaled(batch.x)
            back, mu, logvar = net(want)
            error = (back - want).square().mean()
            kl = divergence(mu, logvar, mu.new_zeros(()), mu.new_zeros(())).sum(1).mean()
            # the noise variance that fits best is the error itself
            loss = 0.5 * values * error.clamp_min(1e-4).log() + p.beta * kl
            run.step(loss, clip=100.0)
            run.report(batch.step, loss=loss, error=error, kl=kl)
        self.to(run.where)
        self._name_axes(data, run)
        self._teach(data, run)

    def _name_axes(self, data: Dataset, run: Run) -> None:
        """Turn every axis so that it raises the signal where it changes it most, and name it by
        that place.
        """
        import torch

        from core.imaging import signals

        train = data.part("train")
        mu, logvar = run.map(lambda x: self.net_.encode(self.scaled(x)), train)
        nats = 0.5 * (np.square(mu) + np.exp(logvar) - logvar - 1).mean(0)
        self.used_ = nats >= LEAST_NATS
        middle, spread = mu.mean(0), mu.std(0)
        self.places_ = np.quantile(mu, [0.1, 0.3, 0.7, 0.9], axis=0)
        look, turn, self.axes_ = signals.look(data), np.ones(len(middle)), []
        for j in range(len(middle)):
            ends = np.repeat(middle[None], 2, 0)
            ends[:, j] += np.array([-2, 2]) * max(spread[j], 1e-3)
            with torch.no_grad():
                # in typical deviations
                low, high = (
                    self.net_.decode(torch.from_numpy(ends.astype("f4")).to(run.where))
                    .cpu()
                    .numpy()
                )
            channel, first, last = signals.changed(low, high)
            at = first + int(np.abs(high - low)[channel, first : last + 1].argmax())
            turn[j] = -1.0 if high[channel, at] < low[channel, at] else 1.0
            known = channel < len(look.channels)
            called = look.channels[channel] if known else f"channel {channel + 1}"
            where = f"{called}, {signals.words(look, self.shape_[1], first, last)}"
            self.axes_.append(
                f"axis {j + 1} ({where})" if self.used_[j] else f"axis {j + 1} (hardly used)"
            )
        self.places_ = np.sort(self.places_ * turn, axis=0)
        self.turn_ = torch.from_numpy(turn.astype("f4")).to(run.where)

    def _teach(self, data: Dataset, run: Run) -> None:
        """The symbols of the label and the further columns, on the frozen latent space; rivals that
        know the same training cases.
        """
        from core.methods.series import _scan

        p, train = self.params, data.part("train")
        columns = [c.strip() for c in p.also.split(",") if c.strip()]
        if len(columns) >= FACTORS:
            raise UserError(
                f"“also” names {len(columns)} columns; at most {FACTORS - 1} can be added."
            )
        self.left_out_: list[str] = []
        for column in [*([data.roles["label"]] if "label" in data.roles else []), *columns]:
            made, left = _scan.factor(
                train, column, p.least, label=column == data.roles.get("label")
            )
            self.left_out_ += left
            self.factors_ += [asdict(made)] if made is not None else []
        self.symbols_ = [name for f in self.factors for name in f.names]
        if not self.factors:
            return
        codes = np.stack([f.codes(train) for f in self.factors], 1)
        mu, sd = run.map(self._posterior, train)
        found = _scan.patterns(codes, [len(f.names) for f in self.factors], p.least)
        worlds = _scan.learn(
            mu, sd, found, p.shuffles, run.seed, weight=p.tie, steps=p.symbol_steps, check=run.check
        )
        centre, spread, nats = _scan.symbols(worlds, found)
        self.centre_, self.spread_, self.nats_, self.chance_ = (
            centre[0],
            spread[0],
            nats[0],
            _scan.by_chance(nats),
        )
        self.bearers_ = found.member[found.alone].sum(1)
        self.scan_ = self.make_scan()
        self.scan_.load_state_dict({k: v[:1] for k, v in worlds.state_dict().items()})
        label = self.factors[0].column == data.roles.get("label")
        self.class_names_ = list(self.factors[0].names) if label else []
        self.temperature_, self.rivals_ = 1.0, {}
        if label:
            self.temperature_ = self._tempered(data.part("val"), run)
            self.rivals_ = {
                "logistic regression on the latent": _figures.logistic(mu, codes[:, 0]),
                "logistic regression on window means": _figures.logistic(
                    _figures.windows(train.inputs()), codes[:, 0]
                ),
            }

    def _tempered(self, val: Dataset, run: Run) -> float:
        """The temperature in [0.2, 50] with the least cross-entropy on validation cases, each
        symbol weighing the same; 1 when there are fewer than 20.
        """
        from scipy.optimize import minimize_scalar
        from scipy.special import log_softmax

        y = self.factors[0].codes(val) if len(val) else np.zeros(0, int)
        if (y >= 0).sum() < 20:
            return 1.0
        like = run.map(lambda x: self._likeness(x).sum(2), val)[y >= 0].astype(np.float64)
        y = y[y >= 0]
        weight = 1 / np.bincount(y, minlength=like.shape[1])[y]

        def loss(t):
            return -(weight * log_softmax(like / np.exp(t), axis=1)[np.arange(len(y)), y]).sum()

        return float(
            np.exp(minimize_scalar(loss, bounds=(np.log(0.2), np.log(50)), method="bounded").x)
        )

    # -- abilities ---------------------------------------------------------------------------------
    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean_) / self.sd_

    def _posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sd [b,d] of q(z|x)."""
        mu, logvar = self.net_.encode(self.scaled(x))
        return mu * self.turn_, (0.5 * logvar).exp()

    def _likeness(self, x: torch.Tensor) -> torch.Tensor:
        """How like each label symbol a case is, by axis [b,k,d]: -KL(q(z|x) || q(z|y))."""
        import torch

        from core.methods.series._scan import likeness

        mu, sd = self._posterior(x)
        k = len(self.factors[0].names)
        return likeness(
            mu,
            2 * sd.log(),
            *(
                torch.from_numpy(np.array(v[:k])).to(mu.device)
                for v in (self.centre_, self.spread_)
            ),
        )

    def able(self, ability: str) -> bool:
        return ability != "predict" or bool(self.class_names_)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self._posterior(x)[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.net_.decode(z * self.turn_) * self.sd_ + self.mean_

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return (self._likeness(x).sum(2) / self.temperature_).softmax(1)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the redrawn signal [b], in units of each channel's variance."""
        return ((self.decode(self.embed(x)) - x) / self.sd_).square().flatten(1).mean(1)

    def imagine(self, symbols: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(mu, sd, fixed bool) [d] of q(z|y) for one symbol or several of different factors.
        UserError for symbols that were not learned.

        `fixed`: axes that the symbols hold firmer than chance does.
        """
        import torch

        known = self.symbols_
        if not symbols or set(symbols) - set(known):
            raise UserError(
                f"“{', '.join(symbols)}” is no symbol of this model (it knows:"
                f" {', '.join(known) or 'none'})."
            )
        at = [known.index(s) for s in symbols]
        shown = torch.eye(len(known))[at].sum(0, keepdim=True)
        with torch.no_grad():
            found = self.scan_.encode(shown.to(self.mean_.device))
        mu, logvar = (v[0, 0].cpu().numpy() for v in found)
        return mu, np.exp(0.5 * logvar), (self.nats_[at] > self.chance_[at, None]).any(0)

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, sd, back = run.map(lambda x: (*(pair := self._posterior(x)), self.decode(pair[0])), data)
        yield Embedding(
            rows=data.rows, name="latent", z=z, std=sd, layer="beta-VAE", axes=list(self.axes_)
        )
        yield Images(rows=data.rows, name="reconstruction", image=back)
        prob = None
        if self.factors:
            named: dict[str, Any] = {
                "x": list(self.axes_),
                "y": list(self.symbols_),
                "x_title": "axis",
                "y_title": "symbol",
            }
            yield Grid(
                rows=data.rows,
                name="fixed-by-symbol",
                value=self.nats_.astype(np.float32),
                unit="how firmly a symbol fixes an axis (nats; 0 = leaves it free)",
                low=0.0,
                **named,
            )
            firm = self.nats_ > self.chance_[:, None]
            yield Grid(
                rows=data.rows,
                name="where-symbols-lie",
                value=np.where(firm, self.centre_, np.nan).astype(np.float32),
                unit=(
                    "where it fixes it (0 = middle, 1 = one standard deviation; empty = no firmer"
                    " than chance)"
                ),
                **named,
            )
        if self.class_names_:
            prob = run.map(self.predict, data)
            yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        like = None if prob is None else run.map(self._likeness, data)
        yield Rationales(rows=data.rows, items=_figures.reasons(self, z, prob, like))
        yield Metrics.of(self.figures(data, z, sd, back, prob, run), data.rows)

    def figures(
        self,
        data: Dataset,
        z: np.ndarray,
        sd: np.ndarray,
        back: np.ndarray,
        prob: np.ndarray | None,
        run: Run,
    ) -> list[Metric]:
        """Recognised symbols beside rivals on the same test cases, axes in use, and the stretch of
        the signal that is redrawn worst.
        """
        from core.imaging import signals

        found = [
            Metric(
                "latent axes in use",
                float(self.used_.sum()),
                n=len(data),
                higher_is_better=None,
                note=f"of {len(self.used_)}",
            )
        ]
        part = "test" if (data.splits == "test").any() else "train"
        shown = data.splits == part
        if shown.any():
            found.append(
                _figures.worst_stretch(
                    data.take(np.flatnonzero(shown)).inputs(), back[shown], signals.look(data), part
                )
            )
        if prob is not None:
            answers = {"symbols": prob.argmax(1)}
            for name, (weight, bias) in self.rivals_.items():
                answers[name] = (
                    (z if "latent" in name else _figures.windows(data.inputs())) @ weight + bias
                ).argmax(1)
            found += _figures.recognised(
                data, self.factors[0].codes(data), answers, self.class_names_, run
            )
        return found + _figures.firm_symbols(self, len(data))

    def make_scan(self) -> torch.nn.Module:
        """The symbols' network of one world, the true one."""
        from core.nets.series import SymbolVAE

        return SymbolVAE(1, len(self.symbols_), self.params.latent)

    # -- keeping -----------------------------------------------------------------------------------
    @property
    def factors(self) -> list[Factor]:
        """The columns whose values are symbols."""
        from core.methods.series._scan import Factor

        return [
            Factor(f["column"], tuple(f["values"]), tuple(f["names"]), f["cut"])
            for f in self.factors_
        ]

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """The rivals' weights stood under their number."""
        kept = {k: v for k, v in state.items() if not k.startswith("rival")}
        return kept | {
            "rivals": {
                name: (state[f"rival{i}/weight"], state[f"rival{i}/bias"])
                for i, name in enumerate(state.get("rivals", []))
            }
        }
