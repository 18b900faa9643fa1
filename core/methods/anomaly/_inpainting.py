"""What methods share that score a picture by how it differs from what a network fills in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import AnomalyMaps, Images
from core.method import Method
from core.methods.anomaly import _residuals, _slices

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run

Role = Literal["preprocessed", "reconstruction", "attention"]


class Inpainting(Method):
    """Base: a method writes `resized` and `recovered`; `calibrate` sets the thresholds."""

    threshold_: float
    pixel_threshold_: float

    def resized(self, x: torch.Tensor) -> torch.Tensor:
        """Return inputs [b,C,H,W] at the working size [b,C,S,S]."""
        raise NotImplementedError

    def recovered(self, x: torch.Tensor) -> torch.Tensor:
        """Return x [b,C,S,S] as the network fills it in, in one pass."""
        raise NotImplementedError

    def calibrate(self, normal: Dataset, run: Run, share: float) -> None:
        """Set the thresholds from normal pictures, of whose pixels `share` lie below the pixel's
        and of which 95 % the picture's.
        """
        heat = run.map(lambda x: self.heat(self.resized(x)), normal, 64)
        inside = np.ones(heat.shape, bool)
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, inside, share)
        self.threshold_ = float(np.quantile(heat.max((1, 2)), 0.95))

    def heat(self, x: torch.Tensor, **how: Any) -> torch.Tensor:
        """Return how unusual each place of x [b,C,S,S] is: [b,S,S], in [0, 1]; `how` is handed on
        to `recovered`.
        """
        return heat_of(x, self.recovered(x, **how))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Return the highest heat of inputs [b,C,H,W]: [b]."""
        return self.heat(self.resized(x)).amax((1, 2))

    def anomaly_maps(self, data: Dataset, score: np.ndarray, heat: np.ndarray) -> AnomalyMaps:
        """Return scores [n] and heat [n,S,S] of the rows of `data` at the size of their pictures,
        with the thresholds.
        """
        return AnomalyMaps(
            rows=data.rows,
            score=score,
            map=_slices.resized(heat, (data.shape[1], data.shape[2])),
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            rule="95 % of normal validation pictures lie below",
            unit="edge difference",
        )


def pictures(data: Dataset, name: str, role: Role, image: np.ndarray) -> Images:
    """Return pictures [n,C,S,S] of the rows of `data`, or grey ones [n,S,S], at the size and with
    the channels of the data.
    """
    channels, size = data.shape[0], (data.shape[1], data.shape[2])
    if image.ndim == 3:
        image = image[:, None].repeat(channels, 1)
    flat = _slices.resized(image.reshape(-1, *image.shape[2:]), size)
    return Images(rows=data.rows, name=name, role=role, image=flat.reshape(-1, channels, *size))


def heat_of(x: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """Return the edge difference of x and what was made of it, both [b,C,S,S], blurred over a
    twelfth of the side: [b,S,S], in [0, 1].
    """
    from torch.nn.functional import avg_pool2d

    from core.nets.losses.recovery import edge_map

    reach = max(1, x.shape[-1] // 24)
    mean = avg_pool2d(edge_map(x, back), 2 * reach + 1, 1, reach, count_include_pad=False)
    return mean[:, 0]


def spread(data: Dataset, many: int) -> Dataset:
    """Return at most `many` rows, spread over all of them."""
    return data.take(np.arange(0, len(data), -(-len(data) // many)))
