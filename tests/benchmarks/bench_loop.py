"""Epochs per second of `gaussian_vae` through `Run` against a bare torch loop: `python -m tests.benchmarks.bench_loop`.

Both train the same network from the same weights on the same data in memory, with the same batch size, loss and clipping, in alternating
rounds of one process; the ratio of the medians is printed (1 = no overhead; asked for: at least 0.95).
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import torch

from core.data.dataset import Dataset
from core.data.samples import make
from core.methods.generative.gaussian_vae import GaussianVAE
from core.run import Run

ROUNDS = 7


def through_run(data: Dataset, params: Any) -> float:
    """Seconds that fit takes, reports and checks included."""
    method, run = GaussianVAE(params), Run(seed=0)
    began = time.perf_counter()
    with run.seeded():
        method.fit(data, run)
    return time.perf_counter() - began


def bare(data: Dataset, params: Any) -> float:
    """Seconds of the same training written by hand."""
    method = GaussianVAE(params)
    train = data.part("train")
    began = time.perf_counter()
    method.shape, method.class_names = tuple(data.shape), []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    net = method.make(0).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), params.learning_rate)
    x = torch.from_numpy(train.inputs()).to(device)
    n, size = len(x), params.batch_size
    net.train()
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        for epoch in range(params.epochs):
            order = torch.from_numpy(np.random.default_rng((0, epoch)).permutation(n)).to(device)
            for k in range(n // size):
                batch = x[order[k * size : (k + 1) * size]]
                out = net(batch)
                loss = method.reconstruction(out[0], batch) + params.beta * method.loss_of(out).mean()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimiser.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    for name, epochs in (("digits", 12), ("head-phantom", 2)):
        params = GaussianVAE.Params(epochs=epochs, classifier=False)
        data = make(name)
        through_run(data, params), bare(data, params)  # both warm
        ours, theirs = zip(*((through_run(data, params), bare(data, params)) for _ in range(ROUNDS)))
        print(f"{name}: Run {epochs / median(ours):.2f} epochs/s, bare loop {epochs / median(theirs):.2f} epochs/s, ratio {median(theirs) / median(ours):.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
