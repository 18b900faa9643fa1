"""The two losses of label-agnostic forgetting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F


def foreignness(e: Tensor, model: Callable[[Tensor], Any]) -> Tensor:
    """How foreign embeddings e [b,d] are to an autoencoder `model`, which gives their
    reconstruction first: the sum over cases of exp(|e' - e|² / (|e' - e|² + 1)), each from 1
    (redrawn) to 2.72 (foreign); 0-d.
    """
    away = (model(e)[0] - e).square().sum(1)
    return (away / (away + 1)).exp().sum()


def alignment(e_r: Tensor, old_r: Tensor, e_f: Tensor, old_f: Tensor, temperature: float) -> Tensor:
    """Sum over retained cases of log[exp(1 - cos(e_r, old_r)) / sum_f exp((1 - cos(e_f, old_f)) /
    temperature)], 0-d, of embeddings [b,d] now and before, of retained and of forgotten cases.
    """
    kept = 1 - F.cosine_similarity(e_r, old_r)
    left = (1 - F.cosine_similarity(e_f, old_f)) / temperature
    return (kept - left.logsumexp(0)).sum()
