"""A small trained method that can be made to fail: two loops over batches, a memory of set size,
cases that poison, and a part that hears nothing.
"""

from __future__ import annotations

import os
import time

import torch

from core.artifacts import Embedding
from core.method import Method, Takes
from core.params import EpochParams, batch_param, epochs_param, param


class Fragile(Method):
    """An autoencoder is trained, its codes are averaged, and a second network learns to give them
    back: the second loop rests on the end of the first.
    """

    id = "fragile"
    title = "Fragile"
    takes = Takes(("image", "table"), min_rows=4)
    gives = (Embedding,)
    shares_batches = True

    class Params(EpochParams):
        epochs: int = epochs_param(2, "Passes of the first loop.", le=10_000)
        batch_size: int = batch_param(32)
        more: int = param(2, "Passes of the second loop.", ge=1, le=10_000)
        fits: int = param(4096, "Cases for which memory suffices.", ge=1, le=4096)
        poison: int = param(-1, "Row that makes the loss no number.", ge=-1)
        deaf: float = param(0.0, "Seconds in which it heeds nothing.", ge=0, le=600)
        pause: float = param(0.0, "Seconds a step waits.", ge=0, le=60)

    def make(self, d: int) -> None:
        self.net, self.second = (
            torch.nn.Sequential(
                torch.nn.Linear(d, 8), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(8, d)
            )
            for _ in range(2)
        )

    def fit(self, data, run):
        p, train = self.params, data.part("train")
        self.make(int(torch.tensor(data.shape).prod()))
        self.middle = torch.zeros(8)
        self._loop(self.net, train, p.epochs, run)
        run.rng.normal(size=3)  # between the loops both generators move on
        drawn = torch.rand(1).item()
        self.middle = (
            torch.from_numpy(run.map(lambda x: self.net[0](x.flatten(1)), train))
            .mean(0)
            .to(run.where)
            + drawn
        )
        time.sleep(p.deaf)
        self._loop(self.second, train, p.more, run)

    def _loop(self, part, train, epochs, run):
        p = self.params
        net = run.setup(part, torch.optim.Adam(part.parameters(), 1e-2))
        for batch in run.batches(train, p.batch_size, epochs):
            if len(batch.at) > p.fits:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            x = batch.x.flatten(1)
            loss = (net(x) - x).square().mean() + (
                self.middle.to(run.where) * part[0].bias
            ).mean() * float(run.rng.normal())
            run.step(loss * (float("nan") if p.poison in train.rows[batch.at] else 1.0))
            run.report(batch.step, loss=loss)
            time.sleep(p.pause)

    def apply(self, data, run):
        self.to(run.where)
        yield Embedding(
            rows=data.rows,
            name="latent",
            z=run.map(
                lambda x: torch.cat([part[0](x.flatten(1)) for part in (self.net, self.second)], 1),
                data,
            ),
        )
        if "FRAGILE_SAVES" in os.environ:  # saving takes long
            yield Embedding(
                rows=data.rows, name="slow", z=run.map(lambda x: self.net[0](x.flatten(1)), data)
            )
