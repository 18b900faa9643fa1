"""A beta-VAE of signals: the latent space that symbols are then tied to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.method import Method

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class BetaVAE(Method):
    """What learns, names and gives the latent space; a method derives from it."""

    net_: Any

    def declines(self, data: Dataset) -> str | None:
        if len(data.shape) != 2 or data.shape[1] < 16:
            return (
                "Needs series of at least 16 samples; these have"
                f" {data.shape[-1] if data.shape else 0}."
            )
        return None

    def make_net(self) -> torch.nn.Module:
        from core.nets.series import SeriesVAE

        return SeriesVAE(self.shape_, self.params.width, self.params.latent)

    def learn_space(self, data: Dataset, run: Run) -> None:
        """Train the network on the training part, then name its axes."""
        import torch

        from core.methods.series._axes import typical_signal
        from core.nets.series import divergence

        p, train = self.params, data.part("train")
        self.shape_ = tuple(data.shape)
        self.mean_, self.sd_ = (
            torch.from_numpy(v).to(run.where) for v in typical_signal(train.inputs())
        )
        self.turn_ = torch.ones(p.latent)
        self.net_ = self.make_net()
        values = int(np.prod(self.shape_))

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            want = self.scaled(batch.x)
            back, mu, logvar = net(want)
            error = (back - want).square().mean()
            kl = divergence(mu, logvar, mu.new_zeros(()), mu.new_zeros(())).sum(1).mean()
            # the noise variance that fits best is the error itself
            whole = 0.5 * values * error.clamp_min(1e-4).log() + p.beta * kl
            return {"loss": whole, "error": error, "kl": kl}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=torch.optim.Adam(self.net_.parameters(), p.learning_rate),
            schedule=lambda step, total: p.learning_rate * 0.1 ** (step / total),
            clip=100.0,
        )
        self.to(run.where)
        self._name_axes(data, run)

    def _name_axes(self, data: Dataset, run: Run) -> None:
        """Which axes are used, which way they point, and what they are called."""
        import torch

        from core.imaging import signals
        from core.methods.series._axes import name_axes

        def decode(z: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return self.net_.decode(torch.from_numpy(z).to(run.where)).cpu().numpy()

        train = data.part("train")
        mu, logvar = run.map(lambda x: self.net_.encode(self.scaled(x)), train)
        found = name_axes(mu, logvar, decode, signals.signal_style(data))
        self.used_, self.places_, self.axes_ = found.used, found.places, found.names
        self.turn_ = torch.from_numpy(found.turn.astype("f4")).to(run.where)

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean_) / self.sd_

    def posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sd [b,d] of q(z|x)."""
        mu, logvar = self.net_.encode(self.scaled(x))
        return mu * self.turn_, (0.5 * logvar).exp()

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.posterior(x)[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.net_.decode(z * self.turn_) * self.sd_ + self.mean_

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the redrawn signal [b], in units of each channel's variance."""
        return ((self.decode(self.embed(x)) - x) / self.sd_).square().flatten(1).mean(1)
