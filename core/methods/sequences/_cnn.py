"""A small convolutional network on one-hot letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.methods.sequences._kmers import letter_codes

if TYPE_CHECKING:
    import torch

    from core.training.run import Run

BATCH, BINS = 32, 16


def encode_one_hot(texts: Any, length: int) -> torch.Tensor:
    """float32 [n,4,length]: letters beyond `length` are cut, missing and unknown ones are zero."""
    import torch

    out = torch.zeros(len(texts), 4, length)
    for i, letters in enumerate(texts):
        code = letter_codes(letters[:length]).astype(np.int64)
        at = np.flatnonzero(code >= 0)
        out[i, code[at], at] = 1.0
    return out


def make_network(classes: int) -> torch.nn.Module:
    """[b,4,L] -> [b,classes]: two strided convolutions, the largest response in each of 16
    stretches, one linear layer.
    """
    from torch import nn

    return nn.Sequential(
        nn.Conv1d(4, 24, 12, stride=4),
        nn.ReLU(),
        nn.Conv1d(24, 32, 6, stride=3),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.AdaptiveMaxPool1d(BINS),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * BINS, classes),
    )


def train_network(
    texts: Any, y: np.ndarray, classes: int, length: int, epochs: int, rate: float, run: Run
) -> torch.nn.Module:
    """Return the network after `epochs` passes, classes balanced by weight. Cancel is heeded
    between steps. UserError when the loss is no number.
    """
    import torch
    from torch.nn import functional as F

    from core.errors import UserError

    net = make_network(classes).to(run.where)
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-3)
    count = np.bincount(y, minlength=classes)
    weight = torch.from_numpy(
        np.where(count, len(y) / np.maximum(count * (count > 0).sum(), 1), 0).astype("f4")
    ).to(run.where)
    x, rng, step = encode_one_hot(texts, length), np.random.default_rng(run.seed), 0
    net.train()
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for i in range(0, len(order) - 1, BATCH):
            run.check()
            at = order[i : i + BATCH]
            if len(at) < 2:
                continue
            loss = F.cross_entropy(
                net(x[at].to(run.where)), torch.from_numpy(y[at]).to(run.where), weight
            )
            if not bool(loss.isfinite()):
                raise UserError(
                    f"The loss stopped being a number by step {step + 1}; try a smaller learning"
                    " rate."
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            run.report(step, loss=loss)
    return net.eval()


def train_each_left_out(
    texts: Any, y: np.ndarray, classes: int, length: int, epochs: int, rate: float, run: Run
) -> dict[str, Any]:
    """Return the network that has seen all classes, as "-1", and for each class, under its number,
    one that has never seen a member of it; y int64 [n], -1 = none.
    """
    nets = {}
    for out in (-1, *range(classes)):
        keep = (y >= 0) & (y != out)
        nets[str(out)] = train_network(texts[keep], y[keep], classes, length, epochs, rate, run)
    return nets


def predict_logits(net: Any, texts: Any, length: int) -> np.ndarray:
    """float64 [n,classes]."""
    import torch

    where = next(net.parameters()).device
    with torch.no_grad():
        parts = [
            net(encode_one_hot(texts[i : i + BATCH], length).to(where)).cpu().double().numpy()
            for i in range(0, len(texts), BATCH)
        ]
    return np.concatenate(parts) if parts else np.zeros((0, net[-1].out_features))
