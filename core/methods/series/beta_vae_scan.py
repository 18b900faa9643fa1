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
    Metrics,
    Model,
    Predictions,
    Rationales,
)
from core.errors import UserError
from core.method import Takes
from core.methods.series._beta_vae import BetaVAE
from core.methods.series._figures import fit_rivals
from core.methods.series._params import BetaVAEScanParams
from core.stats.calibration import fit_temperature

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.methods.series._factors import Factor
    from core.training.run import Run


class BetaVAEScan(BetaVAE):
    id = "beta_vae_scan"
    title = "beta-VAE of signals, with symbols"
    seed_number = 51
    scan_: Any  # the symbols' network
    takes = Takes(("series",), labels="optional", min_rows=32, seconds_per_value=1e-6)
    gives = (Model, Embedding, Images, Grid, Rationales, Predictions, Metrics)
    shares_batches = True
    Params = BetaVAEScanParams
    latent_param = "latent"
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

    # -- training ----------------------------------------------------------------------------------
    def make_scan(self) -> torch.nn.Module:
        """Return the symbols' network of one world, the true one."""
        from core.nets.series import SymbolVAE

        return SymbolVAE(1, len(self.symbols_), self.params.latent)

    def fit(self, data: Dataset, run: Run) -> None:
        self.class_names_: list[str] = []
        self.factors_: list[dict[str, Any]] = []
        self.learn_space(data, run)
        self._teach(data, run)

    def _teach(self, data: Dataset, run: Run) -> None:
        """Learn the symbols of the label and the further columns, on the frozen latent space;
        rivals that know the same training cases.
        """
        from core.methods.series._factors import choose_factors
        from core.methods.series._scan import teach

        p, train = self.params, data.part("train")
        factors, self.left_out_ = choose_factors(train, p.also, p.least)
        self.factors_ = [asdict(f) for f in factors]
        self.symbols_ = [name for f in factors for name in f.names]
        if not factors:
            return
        codes = np.stack([f.codes(train) for f in factors], 1)
        mu, sd = run.map(self.posterior, train)
        learned = teach(mu, sd, codes, factors, p, run.seed, run.check)
        self.centre_, self.spread_, self.nats_ = learned.centre, learned.spread, learned.nats
        self.chance_, self.bearers_, self.scan_ = learned.chance, learned.bearers, learned.net
        self.temperature_, self.rivals_ = 1.0, {}
        if factors[0].column == data.roles.get("label"):
            self.class_names_ = list(factors[0].names)
            self.temperature_ = self._fit_temperature(data.part("val"), run)
            self.rivals_ = fit_rivals(mu, train.inputs(), codes[:, 0])

    def _fit_temperature(self, val: Dataset, run: Run) -> float:
        """Return the temperature by validation cases, each symbol weighing the same; 1 when there
        are fewer than 20.
        """
        y = self.factors[0].codes(val)
        known = y >= 0
        if known.sum() < 20:
            return 1.0
        like = run.map(lambda x: self._likeness(x).sum(2), val)[known].astype(np.float64)
        return fit_temperature(like, y[known], most=50, balanced=True)

    # -- abilities ---------------------------------------------------------------------------------
    def able(self, ability: str) -> bool:
        return ability != "predict" or bool(self.class_names_)

    def _likeness(self, x: torch.Tensor) -> torch.Tensor:
        """How like each label symbol a case is, by axis [b,k,d]: -KL(q(z|x) || q(z|y))."""
        import torch

        from core.methods.series._scan import likeness

        mu, sd = self.posterior(x)
        k = len(self.factors[0].names)
        centre, spread = (
            torch.from_numpy(np.array(v[:k])).to(mu.device) for v in (self.centre_, self.spread_)
        )
        return likeness(mu, 2 * sd.log(), centre, spread)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return (self._likeness(x).sum(2) / self.temperature_).softmax(1)

    def imagine(self, symbols: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(mu, sd, fixed bool) [d] of q(z|y) for one symbol or several of different factors.
        UserError for symbols that were not learned.

        `fixed`: axes that the symbols hold firmer than chance does.
        """
        from core.methods.series._scan import imagine_symbols

        known = self.symbols_
        if not symbols or set(symbols) - set(known):
            raise UserError(
                f"“{', '.join(symbols)}” is no symbol of this model (it knows:"
                f" {', '.join(known) or 'none'})."
            )
        at = [known.index(symbol) for symbol in symbols]
        mu, sd = imagine_symbols(self.scan_, at, len(known))
        return mu, sd, np.asarray((self.nats_[at] > self.chance_[at, None]).any(0))

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        from core.methods.series._symbol_figures import draw_symbols, measure, name_reasons

        z, sd, back = run.map(lambda x: (*(pair := self.posterior(x)), self.decode(pair[0])), data)
        yield Embedding(
            rows=data.rows, name="latent", z=z, std=sd, layer="beta-VAE", axes=list(self.axes_)
        )
        yield Images(rows=data.rows, name="reconstruction", image=back)
        yield from draw_symbols(self, data.rows)
        prob = like = None
        if self.class_names_:
            prob, like = run.map(self.predict, data), run.map(self._likeness, data)
            yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        yield Rationales(rows=data.rows, items=name_reasons(self, z, prob, like))
        yield Metrics.of(measure(self, data, z, back, prob), data.rows)

    # -- keeping -----------------------------------------------------------------------------------
    @property
    def factors(self) -> list[Factor]:
        """The columns whose values are symbols."""
        from core.methods.series._factors import Factor

        return [Factor.of(kept) for kept in self.factors_]

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return the rivals' weights stood under their number."""
        rest = {k: v for k, v in state.items() if not k.startswith("rival")}
        return rest | {
            "rivals": {
                name: (state[f"rival{i}/weight"], state[f"rival{i}/bias"])
                for i, name in enumerate(state.get("rivals", []))
            }
        }
