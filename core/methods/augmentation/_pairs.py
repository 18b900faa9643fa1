"""What is said and shown of the pairs SeaS made: what real pictures are like them, figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.artifacts import Pairs
from core.artifacts.tables import Metric
from core.stages import Stage


@dataclass(frozen=True)
class Likeness:
    """Of m made pictures: which real one is `nearest` [m] int64 among examples and then normal
    ones, which example `closest` [m], and its `distance` [m] float32 (1 = as far as examples
    usually lie from the next of them, 0 = a copy).
    """

    nearest: np.ndarray
    closest: np.ndarray
    distance: np.ndarray


def compare(image: np.ndarray, ill: np.ndarray, well: np.ndarray, turns: str) -> Likeness:
    """Return what made pictures [m,C,S,S] are like of the abnormal training pictures `ill`
    [n,C,S,S] and the normal ones `well`, turned in every way allowed. Where there is one of `ill`
    alone, its distance from the next normal one is the unit.
    """
    from core.methods.augmentation._drawing import nearest

    closest, far = nearest(image, ill, turns)
    usual = float(np.median(nearest(ill, ill if len(ill) > 1 else well, turns)[1]))
    any_, _ = nearest(image, np.concatenate([ill, well]), turns)
    return Likeness(any_, closest, (far / max(usual, 1e-6)).astype(np.float32))


def figures_of(made: Pairs) -> list[Metric]:
    """Return of each prompt how often nothing is masked, and how far from the examples it is."""
    found, prompts, masked = (
        list[Metric](),
        np.array(made.prompts),
        np.asarray(made.mask).max((1, 2)),
    )
    for prompt in dict.fromkeys(made.prompts):
        at = prompts == prompt
        n, group = int(at.sum()), f"generated: {prompt}"
        better = None if prompt == "normal" else False
        empty, far = float(1 - masked[at].mean()), float(np.mean(made.distance[at]))
        name = "share without any masked pixel"
        found.append(Metric(name, empty, group=group, n=n, higher_is_better=better))
        if prompt != "normal":
            name = "distance from the nearest example (1 = as examples among themselves)"
            found.append(Metric(name, far, group=group, n=n, higher_is_better=None))
    return found


def stages_of(
    image: np.ndarray,
    prob: np.ndarray,
    seen: np.ndarray,
    kinds: list[str],
    asked: set[int],
    threshold: float,
) -> list[Stage]:
    """Return a made picture [C,S,S], its mask by the probability [S,S], and where the normal token
    and those of the kinds `asked` for looked, of attention to all tokens [tokens,s,s].
    """
    from core.nets.diffusion import EACH, FILLERS, tokens_of

    mask = (prob > threshold).astype(np.float32)
    words = f"{int(mask.sum())} of {mask.size} pixels"
    return [
        Stage("What it becomes", "generated", "generated", image),
        Stage("Its mask", words, "places", mask),
        Stage("Attention: normal", "one token", "grey", _stretched(seen[FILLERS])),
        *(
            Stage(f"Attention: {kinds[k]}", f"token {j + 1} of {EACH}", "grey", _stretched(one))
            for k in sorted(asked)
            for j, one in enumerate(seen[tokens_of(k)])
        ),
    ]


def _stretched(x: np.ndarray) -> np.ndarray:
    """Return a map moved and stretched to [0, 1]."""
    return np.asarray((x - x.min()) / max(float(np.ptp(x)), 1e-9))
