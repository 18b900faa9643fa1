"""What the memory of a trained masked autoencoder holds: which slot each patch of a picture
attends to, how much each slot is used, and the patches that attend to it most.

`model` is a fitted method whose network `net_` says what share of attention goes to each slot
(`memory_shares(x [b,C,S,S], at [V]) -> [b,V,layers,M]`), with the sets of places `masks_`
int64 [R,V] that it shows at a time, and `resized`, which brings inputs to the working size. The
first masks together show every place once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.stages import Stage

if TYPE_CHECKING:
    import torch

    from core.artifacts import Model
    from core.data.dataset import Dataset

AT_ONCE = 2**23  # shares held at a time
UNUSED = 0.1  # of an even share: a slot below it is hardly used
EVEN = 1.5  # times the mean share: below it a slot stands for no kind of patch


@dataclass(frozen=True)
class SlotUse:
    """Use of slots on n cases, by layers of the encoder and slots [L,M].

    `share`: the mean share of a patch's attention; what is missing to a sum of 1 goes to other
    patches. `first`: share of patches that attend to it more than to any other slot. `where`:
    float32 [L,M,P], the mean share by place. `most`, `place`: [n,L,M], the highest share that a
    patch of each case gives it, and the place of that patch. `side`: places a side, P = side².
    """

    rows: np.ndarray
    share: np.ndarray
    first: np.ndarray
    where: np.ndarray
    most: np.ndarray
    place: np.ndarray
    side: int

    def unused(self, layer: int) -> np.ndarray:
        """Return which slots get less than a tenth of an even share of what the layer gives to its
        memory: bool [M].
        """
        share = self.share[layer]
        return np.asarray(share < UNUSED * share.mean())

    def times_usual(self, layer: int) -> np.ndarray:
        """Return how many times a slot's mean share the highest share is that a patch of each case
        gives it: [n,M].
        """
        return np.asarray(self.most[:, layer] / np.maximum(self.share[layer], 1e-12))

    def is_even(self, layer: int) -> bool:
        """Return whether no slot stands out to any patch: of most slots the patch that attends to
        it most does so less than one and a half times as much as patches do in the mean.
        """
        return bool(np.median(self.times_usual(layer).max(0)) < EVEN)

    def examples(self, layer: int, slot: int, many: int) -> np.ndarray:
        """Return positions in `rows` of the `many` cases that hold the patches which attend to a
        slot most, the highest first.
        """
        return np.argsort(-self.most[:, layer, slot], kind="stable")[:many]


def count_slots(model: Model) -> int:
    """Return how many slots each layer of a stored model's memory has; 0 without a memory."""
    for name in model.state:
        if name.endswith(".memory_key"):
            return int(np.shape(model.state[name])[0])
    return 0


def measure_use(
    model: Any,
    data: Dataset,
    report: Callable[[float], None] = lambda share: None,
) -> SlotUse:
    """Return the use of a fitted method's slots on all rows of `data`; `report` is told the share
    that is done.
    """
    import torch

    masks = _once(model)
    x, places = data.inputs(), masks.size
    with torch.no_grad():
        one = model.net_.memory_shares(_resized(model, x[:1]), torch.from_numpy(masks[0]))
        layers, slots = one.shape[2:]
        batch = max(1, min(64, AT_ONCE // one.numel()))
        total, first = np.zeros((places, layers, slots)), np.zeros((layers, slots))
        most = np.zeros((len(x), layers, slots), np.float32)
        place = np.zeros((len(x), layers, slots), np.int64)
        for start in range(0, len(x), batch):
            small = _resized(model, x[start : start + batch])
            part = slice(start, start + len(small))
            for at in masks:
                found = model.net_.memory_shares(small, torch.from_numpy(at)).numpy()
                total[at] += found.sum(0)
                chosen = found.argmax(3)
                for layer in range(layers):
                    first[layer] += np.bincount(chosen[:, :, layer].ravel(), minlength=slots)
                high, best = found.max(1), at[found.argmax(1)]
                better = high > most[part]
                most[part] = np.where(better, high, most[part])
                place[part] = np.where(better, best, place[part])
            report((start + len(small)) / len(x))
    where = (total / len(x)).transpose(1, 2, 0).astype(np.float32)
    return SlotUse(
        rows=data.rows,
        share=where.mean(2),
        first=first / (len(x) * places),
        where=where,
        most=most,
        place=place,
        side=round(places**0.5),
    )


def raised_slots(model: Any, x: np.ndarray, use: SlotUse) -> tuple[np.ndarray, np.ndarray]:
    """Return for one input [1,C,H,W] the slot whose share of a patch's attention is raised most
    above the slot's mean, and how many times the mean it is: int64 and float32 [L,side,side].
    """
    import torch

    masks, layers = _once(model), len(use.share)
    slots = np.zeros((layers, masks.size), np.int64)
    times = np.zeros(slots.shape, np.float32)
    usual = np.maximum(use.share, 1e-12)
    with torch.no_grad():
        small = _resized(model, x)
        for at in masks:
            found = model.net_.memory_shares(small, torch.from_numpy(at))[0].numpy() / usual
            slots[:, at], times[:, at] = found.argmax(2).T, found.max(2).T
    side = use.side
    return slots.reshape(-1, side, side), times.reshape(-1, side, side)


def through_mask(model: Any, x: np.ndarray, mask: int) -> list[Stage]:
    """Return what becomes of one input [1,C,H,W] where one of the masks is used: what is hidden,
    what is redrawn from the rest, and where the picture differs from that.
    """
    import torch

    from core.nets.losses.local_similarity import dissimilarity

    with torch.no_grad():
        small = _resized(model, x)
        back = model.redrawn(small, mask)
        heat = dissimilarity(small, back)[0].numpy()
    side, at = round(_once(model).size ** 0.5), model.masks_[mask]
    hidden = np.ones(side**2, np.float32)
    hidden[at] = 0
    hidden = hidden.reshape(side, side).repeat(small.shape[2] // side, 0)
    hidden = hidden.repeat(small.shape[3] // side, 1)
    shown = (small[0] * torch.from_numpy(1 - hidden)).numpy() + 0.5 * hidden
    return [
        Stage("What is shown", f"{1 - hidden.mean():.0%} of the picture", "input", shown),
        Stage("What it redraws from that", "no real tissue", "generated", back[0].numpy()),
        Stage("Where the picture differs", f"mean {heat.mean():.3g}", "heat", heat),
    ]


def _once(model: Any) -> np.ndarray:
    """Return the masks that together show every place once: int64 [P/V,V]."""
    masks = np.asarray(model.masks_)
    return masks[: (int(masks.max()) + 1) // masks.shape[1]]


def _resized(model: Any, x: np.ndarray) -> torch.Tensor:
    import torch

    return model.resized(torch.from_numpy(np.ascontiguousarray(x, np.float32)))  # type: ignore[no-any-return]
