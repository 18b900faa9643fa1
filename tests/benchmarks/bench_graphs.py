"""Training on a GPU with recorded steps: samples a second through `Run`, against the same with each
step computed call by call, and against a loop written by hand around one CUDA graph.

    python -m tests.benchmarks.bench_graphs
"""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import numpy as np
import torch

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.methods.generative.gaussian_vae import GaussianVAE
from core.methods.selfsupervised.swav import SwAV
from tests.benchmarks._common import enlarged
from tests.benchmarks._time import now
from tests.benchmarks.bench_loop import Step, swav, through_run, vae

GPU = torch.cuda.is_available()
ROUNDS = 3
BATCH = 64
STEPS = 400


def by_hand(method: Any, loss_of: Any, x: torch.Tensor, clip: float | None) -> float:
    """Samples a second of one CUDA graph of the whole step, replayed on batches of `x`."""
    net = method.make_net().to(x.device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3, fused=True, capturable=True)
    loss: Step = loss_of(method, net)
    batch = x[:BATCH].clone()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            value = loss(batch)
        value.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimiser.step()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    orders = torch.stack([torch.randperm(len(x)) for _ in range(STEPS)])[:, :BATCH].to(x.device)
    began = now()
    for order in orders:
        batch.copy_(x[order])
        graph.replay()
    return float(STEPS * BATCH / (now() - began)[0])


def compare(kind: Any, loss_of: Any, data: Dataset, clip: float | None, **params: Any) -> None:
    """Print the three rates of one method on one dataset, the best of ROUNDS of each."""
    epochs = max(2, STEPS * BATCH // len(data.part("train").rows))
    chosen = kind.Params(epochs=epochs, batch_size=BATCH, **params)
    method = kind(chosen)
    method.shape_, method.class_names_ = tuple(data.shape), []
    x = torch.from_numpy(data.part("train").inputs()).to("cuda")
    rates: dict[str, list[float]] = {"recorded": [], "by call": [], "by hand": []}
    for _ in range(ROUNDS):
        for name, capture in (("recorded", "1"), ("by call", "0")):
            with mock.patch.dict(os.environ, {"LIGHTBOX_CAPTURE": capture}):
                rates[name].append(BATCH * float(through_run(kind, chosen, data)[0]))
        rates["by hand"].append(by_hand(method, loss_of, x, clip))
    best = {name: max(found) for name, found in rates.items()}
    side = data.shape[-1]
    print(
        f"{kind.id}, {side} x {side}: {best['recorded']:.0f} samples/s recorded,"
        f" {best['by call']:.0f} call by call ({best['recorded'] / best['by call']:.1f} times),"
        f" {best['by hand']:.0f} by hand ({best['recorded'] / best['by hand']:.2f})",
        flush=True,
    )


def main() -> None:
    if not GPU:
        print("No GPU here: nothing is recorded.")
        return
    digits = make_sample("digits")
    digits = digits.take(np.flatnonzero(digits.splits == "train")[:1280])
    for times in (4, 8, 16):
        data = enlarged(digits, times)
        compare(GaussianVAE, vae, data, 5.0, classifier=False)
        if times == 8:
            compare(SwAV, swav, data, None, frozen_steps=0, queue=0)


if __name__ == "__main__":
    main()
