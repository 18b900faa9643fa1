"""Generated data of every kind, small and with known truth: for trying a method out and for
checking it. No patient is behind any of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.samples.digit_films import digit_films
from core.data.samples.generated_card import generated_card
from core.data.samples.notes import notes
from core.data.samples.phantom import head_volumes
from core.data.splits import add_split


def two_sites(seed: int = 3) -> Dataset:
    """Return the 1,797 digits as two hospitals would have scanned them: site B has less contrast, a
    brighter ground and more noise.
    """
    from sklearn.datasets import load_digits

    bunch, rng = load_digits(), np.random.default_rng(seed)
    site = rng.permutation(np.arange(len(bunch.target)) % 2)
    image = bunch.images / 16
    other = 0.25 + 0.6 * image**1.4 + rng.normal(0, 0.05, image.shape)
    image = np.clip(np.where(site[:, None, None] == 1, other, image), 0, 1)
    table = pd.DataFrame({"digit": bunch.target.astype(str), "site": np.array(["A", "B"])[site]})
    table, roles, rule = add_split(table, {"label": "digit", "domain": "site"})
    samples = (image[:, None] * 255).round().astype(np.uint8)
    return Dataset(
        "two-sites",
        "image",
        table,
        samples,
        roles=roles,
        input_range=(0, 255),
        card=generated_card("Digits from two made-up scanners.", rule),
    )


def shifted_sites(
    classes: tuple[int, ...] = (3, 8, 9), sites: int = 5, seed: int = 0, alpha: float = 0.5
) -> Dataset:
    """Digits of some classes spread over sites that differ only in how often each class occurs:
    shares from a Dirichlet of total `alpha`.

    Draws whose table of shares is nearly singular (condition number above 6) are drawn again, since
    no method could undo them.
    """
    from sklearn.datasets import load_digits

    bunch, rng = load_digits(), np.random.default_rng(seed)
    keep = np.flatnonzero(np.isin(bunch.target, classes))
    share = rng.dirichlet([alpha / len(classes)] * len(classes), sites).T
    while np.linalg.cond(share) > 6:
        share = rng.dirichlet([alpha / len(classes)] * len(classes), sites).T
    code = np.searchsorted(np.sort(classes), bunch.target[keep])
    site = [f"site {rng.choice(sites, p=share[c] / share[c].sum()) + 1}" for c in code]
    table, roles, rule = add_split(
        pd.DataFrame({"digit": bunch.target[keep].astype(str), "site": site}),
        {"label": "digit", "domain": "site"},
    )
    card = generated_card("Digits from made-up sites that see them in different shares.", rule)
    return Dataset(
        "shifted-sites",
        "image",
        table,
        bunch.images[keep][:, None].astype(np.uint8),
        roles=roles,
        input_range=(0, 16),
        card=card,
    )


def nuclei(n: int = 240, side: int = 64, seed: int = 5) -> Dataset:
    """Round and oval nuclei with masks, in two stains: bright on dark (fluo) and dark on bright
    (stained), with noise and uneven light.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images, masks, lines = [], [], []
    for i in range(n):
        mask, image = np.zeros((side, side), bool), np.zeros((side, side))
        for _ in range(int(rng.integers(4, 10))):
            cy, cx = rng.uniform(4, side - 4, 2)
            a = rng.uniform(3.5, 8)
            b = rng.uniform(3, 6)
            turn = rng.uniform(0, np.pi)
            one = _ellipse(x - cx, y - cy, a, b, turn)
            mask |= one
            image[one] = rng.uniform(0.45, 1.0)
        light = 0.12 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y) / side
        stained = i % 3 == 2
        image = gaussian_filter(image, 1.0)
        image = 0.85 - 0.5 * image + light if stained else 0.08 + 0.7 * image + light
        images.append(np.clip(image + rng.normal(0, 0.06, image.shape), 0, 1)[None])
        masks.append(mask)
        lines.append({"file": f"field{i:03d}.png", "stain": "stained" if stained else "fluo"})
    table, roles, rule = add_split(pd.DataFrame(lines), {"file": "file", "domain": "stain"})
    card = generated_card("Made-up nuclei in two stains, with their masks.", rule)
    return _with_masks("nuclei", images, masks, table, roles, card)


def lesions(n: int = 160, side: int = 48, seed: int = 7) -> Dataset:
    """Oval lesions in two channels, as two scanners would show them: scanner B has another gamma, a
    bias field and its second channel inverted.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images, masks, lines = [], [], []
    for i in range(n):
        mask, other = np.zeros((side, side), bool), np.zeros((side, side), bool)
        # the others look alike in the first channel only
        for into, count in ((mask, rng.integers(1, 4)), (other, rng.integers(1, 3))):
            for _ in range(int(count)):
                cy, cx = rng.uniform(6, side - 6, 2)
                a = rng.uniform(3, 8)
                b = rng.uniform(3, 8)
                turn = rng.uniform(0, np.pi)
                into |= _ellipse(x - cx, y - cy, a, b, turn)
        other &= ~mask
        texture = 0.08 * gaussian_filter(rng.normal(0, 2, (2, side, side)), (0, 2, 2))
        image = 0.3 + texture + np.stack([0.4 * mask + 0.15 * other, 0.1 * (mask + other)])
        if i % 2:
            light = 0.15 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y) / side
            image = np.clip(image, 0, 1) ** 0.6
            image = np.stack([image[0], 1 - image[1]]) + light
        images.append(np.clip(image + rng.normal(0, 0.03, image.shape), 0, 1))
        masks.append(mask)
        lines.append({"file": f"slice{i:03d}.png", "scanner": "B" if i % 2 else "A"})
    table, roles, rule = add_split(pd.DataFrame(lines), {"file": "file", "domain": "scanner"})
    card = generated_card("Made-up lesions in two channels from two made-up scanners.", rule)
    return _with_masks("lesions", images, masks, table, roles, card)


def beats(records: int = 12, each: int = 40, seed: int = 9) -> Dataset:
    """Heart beats as two leads of 128 samples at 180 Hz, in mV: normal (N), atrial premature (A:
    early, small P wave), ventricular (V: wide, no P).
    """
    rng, t = np.random.default_rng(seed), np.arange(128) / 180 - 0.3

    def wave(height: float, at: float, width: float) -> np.ndarray:
        return height * np.exp(-0.5 * ((t - at) / width) ** 2)

    series, lines = [], []
    for r in range(records):
        height, lead = rng.uniform(0.8, 1.5), rng.uniform(0.4, 0.8)
        kinds = rng.permutation(
            ["N"] * round(0.7 * each)
            + ["A"] * round(0.15 * each)
            + ["V"] * (each - round(0.7 * each) - round(0.15 * each))
        )
        for k, kind in enumerate(kinds):
            delay = rng.normal(0, 0.008)
            width = rng.uniform(0.045, 0.06) if kind == "V" else rng.uniform(0.012, 0.018)
            p = {
                "N": wave(0.18, -0.16 + delay, 0.025),
                "A": wave(0.08, -0.11 + delay, 0.02),
                "V": 0 * t,
            }[kind]
            tail = wave(-0.35 if kind == "V" else 0.3, 0.24 + delay, 0.05)
            beat = (
                p
                + wave(height, delay, width)
                + wave(-0.15 * height, 0.03 + delay, 0.012) * (kind != "V")
                + tail
            )
            series.append(np.stack([beat, lead * beat]) + rng.normal(0, 0.03, (2, len(t))))
            lines.append(
                {
                    "beat": kind,
                    "record": f"R{r:02d}",
                    "time": round(0.8 * k, 2),
                    "height": round(height, 3),
                    "width": round(1000 * width, 1),
                    "delay": round(1000 * delay, 1),
                }
            )
    table, roles, rule = add_split(
        pd.DataFrame(lines), {"label": "beat", "group": "record", "time": "time"}
    )
    card = generated_card(
        "Made-up heart beats of three kinds, with known height, width and delay.",
        rule,
        rate_hz=180,
        channels=["lead 1", "lead 2"],
        unit="mV",
        start_s=-0.3,
    )
    return Dataset(
        "beats", "series", table, np.stack(series).astype(np.float32), roles=roles, card=card
    )


def genomes(n: int = 180, length: int = 1500, seed: int = 13) -> Dataset:
    """Genomes that grew apart along a tree: two continents, two countries each, that share their
    continent's mutations and have their own.
    """
    rng = np.random.default_rng(seed)
    letters = np.array(list("ACGT"))

    def mutated(code: np.ndarray, rate: float) -> np.ndarray:
        changed = rng.random(len(code)) < rate
        return np.where(changed, (code + rng.integers(1, 4, len(code))) % 4, code)

    root, lines = rng.integers(0, 4, length), []
    continents = {c: mutated(root, 0.010) for c in ("north", "south")}
    countries = {f"{c} {k}": (c, mutated(continents[c], 0.004)) for c in continents for k in (1, 2)}
    for i in range(n):
        country = list(countries)[i % 4]
        continent, base = countries[country]
        own = "".join(letters[mutated(base, 0.003)])
        lines.append(
            {"file": f"strain{i:03d}", "sequence": own, "country": country, "continent": continent}
        )
    table, roles, rule = add_split(
        pd.DataFrame(lines), {"file": "file", "text": "sequence", "label": "country"}
    )
    return Dataset(
        "genomes",
        "sequence",
        table,
        roles=roles,
        card=generated_card("Made-up genomes of four countries on two continents.", rule),
    )


def cine(
    patients: int = 24, frames: int = 12, side: int = 48, seed: int = 17, sway: float = 3
) -> Dataset:
    """Beating discs: one clip a patient in which a bright chamber shrinks, grows and drifts beside
    a decoy; every frame with its outline.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images, masks, lines = [], [], []
    for p in range(patients):
        cy, cx = side / 2 + rng.uniform(-4, 4, 2)
        size = rng.uniform(7, 10)
        beat = rng.uniform(0.2, 0.35)
        phase = rng.uniform(0, 6.28)
        drift = rng.uniform(-sway, sway, 2)
        decoy = rng.uniform(8, side - 8, 2)
        texture = gaussian_filter(rng.normal(0, 1, (side, side)), 2) * 0.25
        for k in range(frames):
            turn = 2 * np.pi * k / frames + phase
            r = size * (1 - beat * (0.5 - 0.5 * np.cos(turn)))
            my, mx = cy + drift[0] * np.sin(turn), cx + drift[1] * np.sin(turn)
            mask = np.hypot((y - my) / 1.15, x - mx) < r
            wall = (np.hypot((y - my) / 1.15, x - mx) < r + 3) & ~mask
            image = (
                0.35
                + texture
                + 0.4 * mask
                - 0.2 * wall
                + 0.35 * (np.hypot(y - decoy[0], x - decoy[1]) < 4)
            )
            image = gaussian_filter(image, 0.8) + rng.normal(0, 0.04, image.shape)
            images.append(np.clip(image, 0, 1)[None])
            masks.append(mask)
            lines.append(
                {
                    "file": f"P{p:02d}_{k:02d}.png",
                    "patient": f"P{p:02d}",
                    "clip": f"P{p:02d}",
                    "frame": k,
                    "outlined": True,
                }
            )
    table, roles, rule = add_split(
        pd.DataFrame(lines),
        {"file": "file", "group": "patient", "sequence": "clip", "time": "frame"},
    )
    card = generated_card(
        "Made-up beating chambers: clips of twelve frames, each with its mask.",
        rule,
        spacing_mm=[1.5, 1.5],
    )
    return _with_masks("cine", images, masks, table, roles, card)


def stacks(n: int = 40, depth: int = 12, side: int = 24, seed: int = 23) -> Dataset:
    """Small volumes [n,1,12,24,24]: an egg with a darker core, in every other one a bright ball of
    known place; the outermost slices are empty.
    """
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, k) for k in (depth, side, side)), indexing="ij")
    volumes, masks, lines = [], [], []
    for i in range(n):
        a, b, turn = rng.uniform(0.7, 0.9), rng.uniform(0.6, 0.8), rng.uniform(-0.3, 0.3)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        egg = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (z / 0.95) ** 2)
        core = np.sqrt((u / 0.3) ** 2 + (v / 0.35) ** 2 + (z / 0.5) ** 2)
        image = np.where(egg < 1, 0.6, 0.0) - 0.3 * (core < 1)
        mask = np.zeros(image.shape, bool)
        if i % 2:
            middle = np.array(
                [rng.uniform(-0.4, 0.4), *(rng.choice([-1, 1], 2) * rng.uniform(0.25, 0.4, 2))]
            )
            mask = (
                np.sqrt(((z - middle[0]) / 0.35) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2)
                < 0.22
            )
            image = np.where(mask, 0.95, image)
        image = np.clip(image + (egg < 1) * rng.normal(0, 0.03, image.shape), 0, 1)
        image[[0, -1]] = 0
        volumes.append(image[None])
        masks.append(mask)
        lines.append(
            {
                "file": f"stack{i:02d}.nii",
                "finding": "ball" if i % 2 else "none",
                "scanner": "AB"[i // 2 % 2],
            }
        )
    table, roles, rule = add_split(
        pd.DataFrame(lines), {"file": "file", "label": "finding", "domain": "scanner"}
    )
    card = generated_card("Made-up small volumes, half of them with a bright ball.", rule)
    return _with_masks("stacks", volumes, masks, table, roles, card)


def two_clinics(n: int = 480, seed: int = 19) -> Dataset:
    """Six laboratory markers from two clinics: the same kinds of patients, but the east clinic's
    device scales, mixes and offsets the markers.

    The device acts as x -> x M + m with M symmetric and positive, so that the optimal linear
    transport between the clinics undoes it exactly.
    """
    rng, d = np.random.default_rng(seed), 6
    ill = np.arange(n) // 2 % 2
    x = rng.normal(size=(n, d))
    x[:, 0] += np.where(ill, 1.3, -1.3)
    east = np.arange(n) % 2 == 1
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    device = turn @ np.diag([0.3, 0.5, 0.8, 1.2, 2.0, 3.0]) @ turn.T
    x[east] = x[east] @ device + np.array([3.0, -1.5, 1.0, 0.0, -2.0, 0.5])
    names = [f"marker {j + 1}" for j in range(d)]
    table = pd.DataFrame(x.round(4), columns=names)
    table.insert(0, "clinic", np.where(east, "east", "west"))
    table.insert(0, "state", np.where(ill, "ill", "well"))
    table, roles, rule = add_split(table, {"label": "state", "domain": "clinic"})
    card = generated_card("Made-up markers from two clinics whose devices read differently.", rule)
    return Dataset(
        "two-clinics",
        "table",
        table,
        x.round(4).astype(np.float32),
        roles=roles,
        features=tuple(names),
        card=card,
    )


def _ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float, turn: float) -> np.ndarray:
    """Bool, of the shape of `x` and `y` (offsets from the centre, pixels): inside an ellipse of
    half-axes `a` and `b`, turned by `turn` radians.
    """
    u = x * np.cos(turn) + y * np.sin(turn)
    v = y * np.cos(turn) - x * np.sin(turn)
    return np.hypot(u / a, v / b) < 1


def _with_masks(
    name: str,
    images: list[np.ndarray],
    masks: list[np.ndarray],
    table: pd.DataFrame,
    roles: dict[str, str],
    card: dict[str, Any],
) -> Dataset:
    """Images [c,H,W] or volumes [c,D,H,W] in [0, 1], stored in 8 bits, each with its bool mask
    without the channels.
    """
    return Dataset(
        name,
        "image" if images[0].ndim == 3 else "volume",
        table,
        (np.stack(images) * 255).round().astype(np.uint8),
        np.stack(masks).astype(np.uint8),
        roles,
        input_range=(0, 255),
        card=card,
    )


GENERATED: dict[str, Callable[[], Dataset]] = {
    "two-sites": two_sites,
    "shifted-sites": shifted_sites,
    "nuclei": nuclei,
    "lesions": lesions,
    "beats": beats,
    "notes": notes,
    "genomes": genomes,
    "cine": cine,
    "digit-films": digit_films,
    "two-clinics": two_clinics,
    "stacks": stacks,
    "head-volumes": head_volumes,
}
