"""What happens inside a language model while it is fine-tuned: the features of fixed texts at five
moments, and what is measured on them, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.methods.text import _sufo
from core.methods.text._sufo import STIMULI

if TYPE_CHECKING:
    from core.methods.text._reader import Reader

MOMENTS = 5  # at which the texts are looked at
GRIDS = ("probing", "similarity", "alignment", "disambiguation")


def choose_stimuli(y: np.ndarray, seed: int) -> np.ndarray:
    """int64 positions of at most 200 rows with classes y [n], these in their own shares."""
    return np.sort(np.random.default_rng(seed).permutation(len(y))[:STIMULI])


class Moments:
    """Features float16 [moments, texts, layers, d] of texts that stay the same (their ids, int64
    [texts,t]) over the `total` steps of a training; part of the checkpoint.
    """

    def __init__(self, net: Reader, texts: np.ndarray, total: int) -> None:
        size = MOMENTS, len(texts), net.depth + 1, net.width
        self.kept = torch.zeros(size, dtype=torch.float16)
        self.texts = texts
        self.steps = [round(i * total / (MOMENTS - 1)) for i in range(MOMENTS)]

    def look(self, step: int, net: Reader) -> None:
        """Keep the features before this step where it is one of the moments."""
        if step in self.steps:
            self.keep(self.steps.index(step), net)

    def keep(self, moment: int, net: Reader) -> None:
        """Keep the features at this moment, 0 to 4."""
        training = net.training
        net.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            self.kept[moment] = torch.from_numpy(net.layer_features(self.texts)).half()
        net.train(training)

    def features(self) -> np.ndarray:
        """float32 [moments, texts, layers, d]."""
        return self.kept.float().cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = state["kept"]


@dataclass(frozen=True)
class Dynamics:
    """`grids` float32 [layers, moments] by name; `shares` of variance in five components of the
    last layer, before and after; `paths` of the classes in its plane, one dict each.
    """

    grids: dict[str, np.ndarray]
    shares: list[float]
    paths: list[dict[str, Any]]


def measure_dynamics(
    kept: np.ndarray,
    y: np.ndarray,
    truth: np.ndarray,
    names: list[str],
    check: Callable[[], None],
) -> Dynamics:
    """Return what SUFO measures on features [moments, texts, layers, d]: the first len(y) texts are
    of train with classes y, the others of validation with classes `truth`; `names` of the classes.
    """
    moments, layers = kept.shape[0], kept.shape[2]
    grids = {name: np.full((layers, moments), np.nan, np.float32) for name in GRIDS}
    for m in range(moments):
        for k in range(layers):
            check()
            now, first = kept[m, :, k], kept[0, :, k]
            train, val = now[: len(y)], now[len(y) :]
            if len(np.unique(truth)) > 1:
                grids["probing"][k, m] = _sufo.probe(train, y, val, truth)
            grids["similarity"][k, m] = _sufo.rsa(now, first) if m else 1.0
            grids["alignment"][k, m] = _sufo.cka(now, first)
            mean, v, _ = _sufo.principal_components(train)
            grids["disambiguation"][k, m] = _sufo.separation((train - mean) @ v[:2].T, y)
    last = kept[:, : len(y), -1]
    shares = [float(_sufo.principal_components(last[m])[2][:5].sum()) for m in (0, moments - 1)]
    return Dynamics(grids, shares, _trace_paths(last, y, names))


def _trace_paths(last: np.ndarray, y: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Where the middle of each class lies at every moment, in the plane of the first two components
    of the last one, from features [moments, texts, d].
    """
    mean, v, _ = _sufo.principal_components(last[-1])
    flat = (last - mean) @ v[:2].T
    return [
        {
            "name": name,
            "group": name,
            "x": flat[:, y == c, 0].mean(1).tolist(),
            "y": flat[:, y == c, 1].mean(1).tolist(),
        }
        for c, name in enumerate(names)
        if (y == c).any()
    ]
