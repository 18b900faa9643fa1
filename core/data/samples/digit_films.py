"""Films of handwritten digits, for methods that look along films and say what frames show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.samples.generated_card import generated_card

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHARES = {"train": 60, "val": 20, "test": 40}  # films
SHARED = {"train": 0.6, "val": 0.15, "test": 0.25}  # of the pictures


def digit_films(seed: int = 31) -> Dataset:
    """Return 120 films of the 1,797 digits, uint8 8 x 8: four to six parts of 6 to 14 frames, each
    of one digit in changing hands. No picture of a training film is in another film's part.
    """
    from sklearn.datasets import load_digits

    bunch, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(bunch.target))
    cut = np.cumsum([round(s * len(order)) for s in SHARED.values()])[:2]
    pools = dict(zip(SHARED, np.split(order, cut)))
    pictures, lines, film = [], [], 0
    for split, many in SHARES.items():
        pool = pools[split]
        of = [pool[bunch.target[pool] == k] for k in range(10)]
        for _ in range(many):
            frame, digits = 0, rng.permutation(10)[: int(rng.integers(4, 7))]
            for digit in digits:
                for at in rng.choice(of[digit], int(rng.integers(6, 15))):
                    pictures.append(bunch.images[at])
                    lines.append(
                        {
                            "file": f"film{film:03d}_{frame:02d}.png",
                            "film": f"film {film:03d}",
                            "frame": frame,
                            "digit": WORDS[digit],
                            "kind": "odd number" if digit % 2 else "even number",
                            "split": split,
                        }
                    )
                    frame += 1
            film += 1
    rule = "by film; pictures of different parts are different ones"
    return Dataset(
        "digit-films",
        "image",
        pd.DataFrame(lines),
        np.stack(pictures)[:, None].astype(np.uint8),
        roles={
            "file": "file",
            "label": "digit",
            "group": "film",
            "sequence": "film",
            "time": "frame",
            "split": "split",
        },
        input_range=(0, 16),
        card=generated_card("Films of handwritten digits, each frame with its digit.", rule),
    )
