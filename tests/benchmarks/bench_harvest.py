"""What a trained model gives, in samples per second, against bare torch calls of the same network:
`python -m tests.benchmarks harvest`.

Embedding, redrawn pictures and heat of every case by `apply`, and integrated gradients by
`attribute`, each from a stored dataset. The bare calls have all inputs in memory as float32 and
call the network once a batch. In alternating rounds of one process; the ratio of each one's best
round, on the clock and in processor time, which other work hardly touches. With a GPU the digits
have 128 x 128 pixels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.data.samples.catalogue import make_sample
from core.explain.attribution import attribute
from core.explain.attribution_ways import STEPS, TOGETHER
from core.jobs.threads import Load
from core.methods.anomaly._residuals import case_score
from core.methods.anomaly.strega import StRegA
from core.methods.generative.gaussian_vae import GaussianVAE
from core.training.run import Run
from tests.benchmarks._common import enlarged
from tests.benchmarks._time import DEVICE, now

ROUNDS = 4


def compare(what: str, n: int, *calls: Callable[[], Any]) -> None:
    """Print the rates of our call and the bare one in their best of alternating rounds; the first
    warms up.
    """
    found: list[list[np.ndarray]] = [[], []]
    for k in range(ROUNDS + 1):
        for call, seconds in zip(calls, found):
            began = now()
            call()
            if k:
                seconds.append(now() - began)
    ours, bare = (np.min(seconds, 0) for seconds in found)
    ratio = bare / ours
    print(
        f"{what}: {n / ours[0]:.0f} samples/s, bare calls {n / bare[0]:.0f}; ratio {ratio[0]:.2f},"
        f" in processor time {ratio[1]:.2f}",
        flush=True,
    )


def fitted(kind: Any, data: Any, **params: Any) -> Any:
    method, run = kind(kind.Params(**params)), Run(seed=0)
    with run.seeded():
        method.fit(data, run)
    method.to(run.where)
    return method


def main() -> None:
    torch.set_num_threads(Load().free_threads())
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        digits = make_sample("digits")
        digits = (enlarged(digits, 16) if DEVICE.type == "cuda" else digits).save(
            Path(folder) / "digits"
        )
        with torch.enable_grad():
            vae = fitted(GaussianVAE, digits, epochs=1)
        x = torch.from_numpy(digits.inputs()).to(DEVICE)

        def once() -> None:
            for part in x.split(256):
                mu, logvar = vae.net_.encode(part)
                back = vae.net_.decoder(mu)
                heat, score = (back - part).abs().mean(1), (back - part).square().flatten(1).mean(1)
                for made in (
                    mu,
                    (0.5 * logvar).exp(),
                    back,
                    heat,
                    score,
                    vae.net_.classifier(mu).softmax(1),
                ):
                    made.cpu().numpy()

        compare(
            "gaussian_vae on digits, embedding, pictures and heat",
            len(digits),
            lambda: list(vae.apply(digits, Run())),
            once,
        )
        rows = digits.rows[:256]
        base = x[torch.from_numpy(digits.splits == "train")].mean(0)
        nodes, weights = (
            (torch.from_numpy(v).float().to(DEVICE) + shift) * 0.5
            for v, shift in zip(np.polynomial.legendre.leggauss(STEPS), (1.0, 0.0))
        )

        def slopes() -> None:
            for part in x[: len(rows)].split(TOGETHER // STEPS):
                along = base + nodes[:, None, None, None, None] * (part - base)
                points = along.flatten(0, 1).requires_grad_()
                with torch.enable_grad():
                    (slope,) = torch.autograd.grad(vae.embed(points)[:, 0].sum(), points)
                (
                    (slope.view(along.shape) * weights[:, None, None, None, None]).sum(0)
                    * (part - base)
                ).cpu().numpy()

        compare(
            "integrated gradients of a latent axis",
            len(rows),
            lambda: attribute(vae, digits, rows, "integrated_gradients", "axis 1"),
            slopes,
        )

        heads = make_sample("head-phantom")
        heads = heads.take(
            np.concatenate(
                [
                    np.flatnonzero(heads.splits == part)[:n]
                    for part, n in (("train", 120), ("val", 40))
                ]
            )
        ).save(Path(folder) / "heads")
        with torch.enable_grad():
            strega = fitted(StRegA, heads, epochs=1)
        inputs = heads.inputs()

        def residuals() -> None:
            seen, brain = strega.prepare(inputs)
            z = strega.net_.encode(torch.from_numpy(seen)[:, None].to(DEVICE))[0]
            heat = strega._heat(seen - strega.net_.decode(z)[:, 0].cpu().numpy(), brain)
            case_score(heat)

        compare(
            "strega on head-phantom, embedding, pictures and heat",
            len(heads),
            lambda: list(strega.apply(heads, Run())),
            residuals,
        )


if __name__ == "__main__":
    main()
