"""Steps per second through `Run` against a bare torch loop, data in memory and read from disk:
`python -m tests.benchmarks loop`.

Both train the same network from the same weights on the same batches with the same loss, schedule
and clipping, in alternating rounds of one process, timed from the end of the first step to the end
of the last. The bare loop has all data on the device, in float32; `Run` has it so as well, or reads
it from a stored dataset that it takes for larger than memory. Printed: the ratio of each one's best
round, since other work on the machine only slows (1 = no overhead; asked for: at least 0.95), and
the same in processor time, which other work hardly touches. Threads: as many as a run would be
given. With a GPU the digits have 128 x 128 pixels and more epochs, and its share of the time at
work is printed; LIGHTBOX_COMPILE compiles `Run`'s side.

`--before FOLDER`: instead, the same trainings through this code and through that of another
checkout, in alternating processes; the ratio of each one's best round (above 1: faster now).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.jobs.threads import Load, bound_environment
from core.method import Method
from core.methods.anomaly._slices import healthy
from core.methods.anomaly.strega import StRegA
from core.methods.generative.gaussian_vae import GaussianVAE
from core.methods.selfsupervised.swav import SwAV
from core.nets.augment import Views
from core.nets.cevae import holes
from core.nets.losses.context_encoding import context_encoding
from core.nets.losses.swapped_prediction import swapped_prediction
from core.nets.memory_bank import MemoryBank
from core.training import loader
from core.training.run import Run
from tests.benchmarks._common import enlarged
from tests.benchmarks._time import DEVICE, now

GPU = DEVICE.type == "cuda"
ROUNDS = 2 if GPU else 7
# times as many epochs: on a GPU a step takes a few milliseconds, whatever the pictures
MORE = 3 if GPU else 1
Step = Callable[[torch.Tensor], torch.Tensor]


def vae(method: Any, net: Any) -> Step:
    def loss(x: torch.Tensor) -> torch.Tensor:
        out = net(x)
        return method.reconstruction(out[0], x) + method.params.beta * method.loss_of(out).mean()

    return loss


def swav(method: Any, net: Any) -> Step:
    p = method.params
    large, bank = Views(), MemoryBank(0, 2 * p.width)

    def loss(x: torch.Tensor) -> torch.Tensor:
        net.normalise()
        z, scores = net([large(x), large(x)])
        prototypes = net.prototypes.weight
        return swapped_prediction(z, scores, len(x), prototypes, bank, p.epsilon, p.temperature)[0]

    return loss


def strega(method: Any, net: Any) -> Step:
    p = method.params

    def loss(x: torch.Tensor) -> torch.Tensor:
        back, filled, mu, log_sd = net(x, holes(x))
        return context_encoding(x, back, filled, mu, log_sd, p.beta, p.holes)["loss"]

    return loss


def bare(
    method: Any,
    loss_of: Callable[[Any, Any], Step],
    x: torch.Tensor,
    clip: float | None,
    cosine: bool,
    drop_last: bool,
) -> np.ndarray:
    """Steps per second, of the clock and of processor time, of the same training written by hand on
    inputs `x`.
    """
    p = method.params
    torch.manual_seed(0)
    net = method.make_net()
    net = net.to(DEVICE, memory_format=torch.channels_last)
    optimiser = (torch.optim.AdamW if cosine else torch.optim.Adam)(
        net.parameters(), p.learning_rate
    )
    loss_of_batch = loss_of(method, net)
    n, size, done = len(x), p.batch_size, 0
    per_epoch = n // size if drop_last else -(-n // size)
    net.train()
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        for epoch in range(p.epochs):
            order = torch.from_numpy(np.random.default_rng((0, epoch)).permutation(n)).to(DEVICE)
            for k in range(per_epoch):
                if cosine:
                    optimiser.param_groups[0]["lr"] = (
                        0.5
                        * p.learning_rate
                        * (1 + math.cos(math.pi * done / (per_epoch * p.epochs)))
                    )
                loss = loss_of_batch(x[order[k * size : (k + 1) * size]])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                if clip is not None:
                    torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
                optimiser.step()
                done += 1
                if done == 1:
                    began = now()
    return (done - 1) / (now() - began)


class Clock:
    """Takes the time at the end of the first and of the last step."""

    def __call__(self, step: int, total: int, scalars: dict[str, float]) -> None:
        if step == 1:
            self.began = now()
        if step == total:
            self.rate: np.ndarray = (total - 1) / (now() - self.began)


def through_run(kind: type[Method], params: Any, data: Dataset) -> np.ndarray:
    """The same of the method itself, reports and checks included."""
    clock = Clock()
    run = Run(seed=0, report_to=clock)
    with run.seeded():
        kind(params).fit(data, run)
    return clock.rate


def utilisation() -> int:
    """Per cent of the last moments in which the first GPU was at work, as its driver says."""
    said = subprocess.check_output(
        ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"], text=True
    )
    return int(said.split()[0])


def compare(
    name: str,
    kind: type[Method],
    params: Any,
    loss_of: Any,
    data: Dataset,
    x: torch.Tensor,
    **how: Any,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stored, room = data.save(Path(folder)), loader.room
        rates: dict[str, list[np.ndarray]] = {"memory": [], "disk": [], "bare": []}
        busy = []
        for k in range(ROUNDS + 1):
            method: Any = kind(params)
            method.shape_, method.class_names_ = tuple(data.shape), []
            one = {
                "bare": bare(method, loss_of, x, **how),
                "memory": through_run(kind, params, data),
            }
            if GPU:
                busy.append(utilisation())
            loader.room = lambda device: 0
            one["disk"] = through_run(kind, params, stored)
            loader.room = room
            for where, rate in one.items() if k else ():  # the first warms up
                rates[where].append(rate)
    best = {where: np.max(found, 0) for where, found in rates.items()}
    used = f"; GPU at work {median(busy)} % of the time" if busy else ""
    ratio = {where: best[where] / best["bare"] for where in ("memory", "disk")}
    many = {where: f"{params.batch_size * rate[0]:.0f}" for where, rate in best.items()}
    print(
        f"{kind.id} on {name}: {many['memory']} samples/s from memory, {many['disk']} from disk,"
        f" bare loop {many['bare']}; ratio {ratio['memory'][0]:.3f} and {ratio['disk'][0]:.3f}, in"
        f" processor time {ratio['memory'][1]:.3f} and {ratio['disk'][1]:.3f}{used}",
        flush=True,
    )


# what `--before` trains: method, its parameters, how many pixels each pixel of the digits becomes
CASES = (
    ("gaussian_vae", {"epochs": 10, "classifier": False}, 1),
    ("gaussian_vae", {"epochs": 2, "classifier": False}, 8),
    ("swav", {"epochs": 3, "batch_size": 64, "frozen_steps": 0}, 1),
    ("swav", {"epochs": 1, "batch_size": 64, "frozen_steps": 0}, 8),
)
TRAIN = """
import json, sys, time
from pathlib import Path
import numpy as np, torch
from core.data.dataset import Dataset
from core.registry import methods
from core.training.run import Run
id, params, folder = json.loads(sys.argv[1])
data = Dataset.load(Path(folder))
def report(step, total, scalars):
    if step in (1, total):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append((time.perf_counter(), time.process_time()))
rates = []
for k in range(2):
    times, run = [], Run(seed=0, report_to=report)
    with run.seeded():
        kind = methods()[id]
        kind(kind.Params(**params)).fit(data, run)
    rates.append(64 * (len(data) // 64 * params["epochs"] - 1) / np.subtract(*times[::-1]))
print(json.dumps(np.max(rates, 0).tolist()))
"""


def through(code: Path, *what: Any) -> list[float]:
    """Samples a second, of the clock and of processor time, of a training by the code in a folder,
    in a process of its own; `what`: method, parameters, folder of the dataset.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN, json.dumps(what)],
        cwd=code,
        env=os.environ | bound_environment(torch.get_num_threads()),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare_with(before: Path, digits: Dataset) -> None:
    """Print how much faster `CASES` train by this code than by that in the folder `before`."""
    here = Path(__file__).parents[2]
    for id, params, times in CASES:
        with tempfile.TemporaryDirectory() as folder:
            enlarged(digits.part("train"), times).save(Path(folder))
            codes = (here, before.resolve())
            rounds = [[through(code, id, params, folder) for code in codes] for _ in range(3)]
        now_, then = np.max(rounds, 0)
        ratio = now_ / then
        print(
            f"{id}, {8 * times} x {8 * times} pixels, batches of 64: {now_[0]:.0f} samples a"
            f" second, before {then[0]:.0f}; ratio {ratio[0]:.2f}, in processor time"
            f" {ratio[1]:.2f}",
            flush=True,
        )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--before", type=Path, help="another checkout to compare with")
    told = asked.parse_args()
    torch.set_num_threads(Load().free_threads())
    digits, heads = make_sample("digits"), make_sample("head-phantom")
    digits, heads = (
        data.take(
            np.concatenate(
                [
                    np.flatnonzero(data.splits == part)[:n]
                    for part, n in (("train", 640), ("val", 16))
                ]
            )
        )
        for data in (digits, heads)
    )
    if told.before:
        compare_with(told.before, digits)
        return
    params: Any = GaussianVAE.Params(epochs=10 * MORE, classifier=False)
    many: Any = SwAV.Params(epochs=3 * MORE, frozen_steps=0)
    if GPU:
        digits = enlarged(digits, 16)
    x = torch.from_numpy(digits.part("train").inputs()).to(DEVICE)
    compare("digits", GaussianVAE, params, vae, digits, x, clip=5.0, cosine=False, drop_last=True)
    compare("digits", SwAV, many, swav, digits, x, clip=None, cosine=True, drop_last=True)
    method = StRegA(StRegA.Params(epochs=3 * MORE if GPU else 1))
    train = heads.part("train")
    train = healthy(train)
    method.centres_ = np.array([-0.6, 0.1, 1.6])
    x = torch.from_numpy(method.prepare(train.inputs())[0])[:, None].to(DEVICE)
    compare(
        "head-phantom",
        StRegA,
        method.params,
        strega,
        heads,
        x,
        clip=5.0,
        cosine=False,
        drop_last=False,
    )


if __name__ == "__main__":
    main()
