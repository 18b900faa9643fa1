"""Made-up head slices of which a few with lesions may be learned from, for methods that make more
of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.data.samples.generated_card import generated_card
from core.data.samples.phantom import CSF, MM, PER_PATIENT, SIDE, _scanned, _slice

if TYPE_CHECKING:
    from core.data.dataset import Dataset

KINDS = ("bright lesion", "dark lesion")


def few_lesions(patients: int = 120, few: int = 6, seed: int = 11) -> Dataset:
    """`patients` x 6 head slices, uint8 64x64, a class a patient: healthy, bright lesion or dark
    lesion. In training one slice each of `few` patients with either kind of lesion and all of the
    healthy ones; in validation and test every second patient has lesions. Masks mark them.
    """
    from scipy.ndimage import gaussian_filter

    from core.data.dataset import Dataset

    rng = np.random.default_rng(seed)
    parts = np.array(["train", "train", "val", "train", "test"])
    side = rng.permutation(parts[np.arange(patients) % 5])
    images, masks, lines = [], [], []
    seen = dict.fromkeys(parts, 0)
    for p in range(patients):
        seen[side[p]] += 1
        many = 2 * few if side[p] == "train" else patients
        ill = seen[side[p]] % 2 == 0 and seen[side[p]] // 2 <= many
        kind = KINDS[seen[side[p]] // 2 % 2] if ill else "healthy"
        build: dict[str, float] = {
            "width": rng.uniform(0.74, 0.84),
            "height": rng.uniform(0.88, 0.96),
            "folds": int(rng.integers(9, 15)),
            "phase": rng.uniform(0, 6.28),
        }
        ventricle, thickness = rng.uniform(0.6, 1.4), rng.uniform(2.0, 5.0)
        brightness, scanner = rng.uniform(0.85, 1.1), "AB"[int(rng.integers(2))]
        tilt = float(np.clip(rng.normal(0, 6), -15, 15))
        levels = [int(rng.integers(PER_PATIENT))] if ill and side[p] == "train" else PER_PATIENT
        for k in levels if isinstance(levels, list) else range(levels):
            image, brain = _slice(ventricle, thickness, tilt, k / (PER_PATIENT - 1), build, rng)
            mask = np.zeros((SIDE, SIDE), bool)
            if ill:
                image, mask = _with_lesion(image, brain, kind, rng)
            image = gaussian_filter(image, 0.5) * brightness
            images.append(_scanned(image, scanner, rng))
            masks.append(mask)
            lines.append(
                {
                    "file": f"patient{p:03d}_slice{k}.png",
                    "finding": kind,
                    "patient": f"P{p:03d}",
                    "scanner": scanner,
                    "split": side[p],
                    "axes": "PL",
                    "mm_down": MM,
                    "mm_across": MM,
                }
            )
    card = generated_card(
        "Made-up head slices; a few with outlined lesions of two kinds may be learned from. No"
        " patient was scanned.",
        "by patient",
        normal="healthy",
    )
    roles = {"file": "file", "label": "finding", "group": "patient", "split": "split"}
    return Dataset(
        "few-lesions",
        "image",
        pd.DataFrame(lines),
        (np.stack(images)[:, None] * 255).round().astype(np.uint8),
        np.stack(masks).astype(np.uint8),
        roles,
        input_range=(0, 255),
        card=card,
    )


def _with_lesion(
    image: np.ndarray, brain: np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a slice [S,S] with one lesion of `kind` in the brain, away from fluid; its mask."""
    from scipy.ndimage import binary_erosion, gaussian_filter

    places = np.argwhere(binary_erosion(brain, iterations=5) & (image < 0.7))
    cy, cx = places[rng.integers(len(places))]
    a, b, turn = rng.uniform(4, 8), rng.uniform(3, 5), rng.uniform(0, np.pi)
    yy, xx = np.mgrid[:SIDE, :SIDE]
    u = (xx - cx) * np.cos(turn) + (yy - cy) * np.sin(turn)
    v = (yy - cy) * np.cos(turn) - (xx - cx) * np.sin(turn)
    shape = (np.hypot(u / a, v / b) < 1 + 0.15 * np.sin(3 * np.arctan2(v, u) + turn)) & brain
    soft = gaussian_filter(shape.astype(float), 0.7)
    level = rng.uniform(0.68, CSF) if kind == KINDS[0] else rng.uniform(0.12, 0.25)
    return image * (1 - soft) + level * soft, soft > 0.5
