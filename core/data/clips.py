"""Films: clips of frames in the order of time, two ways to follow an outline without learning
anything, and how far off an outline is.

Scores are those of the TrackRAD2025 challenge: the frame whose outline was given and frames with
nothing outlined do not count; where a tracker produces no outline, Dice is 0 and every distance the
longer side of the frame. Mean over the frames of a clip first, then over clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.stats.tracking import centroids, dice, relative_d98, surface_distances

if TYPE_CHECKING:
    from core.data.dataset import Dataset

BASELINES = ("first outline copied", "phase correlation")


@dataclass(frozen=True)
class Clip:
    """`rows` int64 ids in the order of time; `outlined` bool, frames whose mask is the truth and
    not empty.
    """

    name: str
    rows: np.ndarray
    outlined: np.ndarray

    @property
    def start(self) -> int:
        """Position of the first outlined frame, the one whose outline is given; -1 = there is
        none.
        """
        return int(self.outlined.argmax()) if self.outlined.any() else -1

    @property
    def scored(self) -> np.ndarray:
        """bool: frames that count, those outlined after the given one."""
        return self.outlined & (np.arange(len(self.rows)) > self.start)


def is_film(data: Dataset) -> bool:
    """Whether the rows are frames of films: columns say of which clip and when."""
    return (
        data.modality == "image"
        and data.roles.get("sequence") is not None
        and data.roles.get("time") is not None
    )


def clip_names(data: Dataset) -> np.ndarray:
    """Return the clip each row is of, in words, the patient first where the clip's own name does
    not say it.
    """
    names, groups = data.column("sequence"), data.groups
    assert names is not None
    owners = [""] * len(names) if groups is None else groups
    return np.array(
        [str(n) if g is None or str(g) in str(n) else f"{g} · {n}" for n, g in zip(names, owners)],
        dtype=object,
    )


def clips_of(data: Dataset) -> list[Clip]:
    """Return the clips of these rows by the roles `sequence` (and `group`) and `time`, in the order
    of their names. Reads every mask once.
    """
    times = data.column("time")
    assert times is not None
    called = clip_names(data)
    marked = data.outlined.copy()
    if data.masks is not None:
        for i in range(0, len(data), 256):
            marked[i : i + 256] &= data.mask(np.arange(i, min(i + 256, len(data)))).any((1, 2))
    order = np.lexsort(
        (data.rows, np.array([float("inf") if t is None else float(t) for t in times]))
    )
    clip = called[order]
    return [
        Clip(str(name), data.rows[order[clip == name]], marked[order[clip == name]])
        for name in sorted(set(called))
    ]


def tracking_window(mask: np.ndarray, factor: float) -> tuple[float, float, float]:
    """(y, x, half side in pixels) of the square looked at: `factor` times as wide as a disc of the
    mask's area or as its longer side.
    """
    ys, xs = np.nonzero(mask)
    wide = max(2 * np.sqrt(len(ys) / np.pi), np.ptp(ys) + 1, np.ptp(xs) + 1)
    half = float(np.clip(factor * wide / 2, 0.12 * min(mask.shape), max(mask.shape) / 2))
    return float(ys.mean()), float(xs.mean()), half


# -- following without learning --------------------------------------------------------------------
def repeat_outline(given: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the given outline [H,W] in every one of `frames` [T,C,H,W]: bool [T,H,W]."""
    return np.repeat(given[None], len(frames), 0)


def shift_outline(
    given: np.ndarray, frames: np.ndarray, start: int, factor: float = 3.0
) -> np.ndarray:
    """Return the given outline moved by whole pixels as the window around it moves since frame
    `start`, by phase correlation under a Hann window.
    """
    y, x, half = tracking_window(given, factor)
    (h, w), half = given.shape, max(half, 4.0)
    top, left = max(0, int(y - half)), max(0, int(x - half))
    part = frames[:, :, top : min(h, int(y + half) + 1), left : min(w, int(x + half) + 1)].mean(1)
    part = part - part.mean((1, 2), keepdims=True)
    waves = np.fft.fft2(part * np.hanning(part.shape[1])[:, None] * np.hanning(part.shape[2])[None])
    cross = waves * waves[start].conj()
    found = np.fft.ifft2(cross / np.maximum(np.abs(cross), 1e-9)).real
    out = np.zeros((len(frames), h, w), bool)
    for t, peak in enumerate(found.reshape(len(found), -1).argmax(1)):
        dy, dx = (
            (int(p) + n // 2) % n - n // 2
            for p, n in zip(np.unravel_index(peak, found.shape[1:]), found.shape[1:])
        )
        out[t] = translate_mask(given, dy, dx)
    return out


def translate_mask(mask: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """`mask` [H,W] moved by whole pixels; what leaves the frame is lost."""
    out = np.zeros_like(mask)
    h, w = mask.shape
    out[max(0, dy) : h + min(0, dy), max(0, dx) : w + min(0, dx)] = mask[
        max(0, -dy) : h - max(0, dy), max(0, -dx) : w - max(0, dx)
    ]
    return out


def baseline_outlines(data: Dataset, clip: Clip) -> dict[str, np.ndarray]:
    """Outlines bool [T,H,W] of `clip` by the two rivals, from its first outline alone; none for a
    clip without an outline.
    """
    if clip.start < 0:
        return {}
    frames = data.of(clip.rows).inputs()
    given = data.of(clip.rows[clip.start : clip.start + 1]).mask()[0]
    return dict(
        zip(BASELINES, (repeat_outline(given, frames), shift_outline(given, frames, clip.start)))
    )


# -- how far off -----------------------------------------------------------------------------------


def clip_scores(
    said: np.ndarray, truth: np.ndarray, clip: Clip, mm: float = 1.0
) -> dict[str, float]:
    """Return the scores of HIGHER of one clip: masks said and true [T,H,W], distances times `mm`;
    {} when no frame counts.
    """
    at = np.flatnonzero(clip.scored)
    if not len(at):
        return {}
    far = float(max(truth.shape[1:]))
    error = centroids(said[at]) - centroids(truth[at])
    there = np.atleast_1d(said[at].any((1, 2)))
    away = np.where(there, np.hypot(*error.T), far)
    surface = np.array(
        [surface_distances(said[t], truth[t]) if ok else (far, far) for t, ok in zip(at, there)]
    )
    lost = np.where(np.isfinite(error), error, far)  # a beam that follows nothing misses
    return {
        "Dice": float(dice(said[at], truth[at]).mean()),
        "centroid error": mm * float(away.mean()),
        "95 % surface distance": mm * float(surface[:, 0].mean()),
        "mean surface distance": mm * float(surface[:, 1].mean()),
        "relative D98": relative_d98(truth[clip.start], lost),
    }


def pixel_spacing(data: Dataset, clip: Clip) -> float | None:
    """Side of a pixel of this clip: the column `pixel_mm`, else the card's spacing; None where
    neither is known.
    """
    if "pixel_mm" in data.table:
        value = data.table["pixel_mm"].to_numpy(dtype=float)[clip.rows[0]]
        return float(value) if value > 0 else None
    spacing = data.card.get("spacing_mm")
    return float(spacing[-1]) if isinstance(spacing, (list, tuple)) and len(spacing) else None


def compare_trackers(
    data: Dataset, clips: list[Clip], said: dict[str, np.ndarray]
) -> tuple[list[dict[str, dict[str, float]]], str]:
    """For each clip, tracker -> scores (the tracked outlines bool [T,H,W] in `said` by clip name,
    as tracker "tracked", and both rivals'), and the unit of the distances: mm where every clip's
    pixel size is known, else px.
    """
    sizes = [pixel_spacing(data, c) for c in clips]
    known = bool(clips) and all(s is not None for s in sizes)
    found = []
    for clip, size in zip(clips, sizes):
        truth = data.of(clip.rows).mask()
        mm = size if known and size is not None else 1.0
        found.append(
            {
                who: clip_scores(made, truth, clip, mm)
                for who, made in {
                    "tracked": said[clip.name],
                    **baseline_outlines(data, clip),
                }.items()
            }
        )
    return found, "mm" if known else "px"


def all_frames(data: Dataset) -> Dataset:
    """All rows in use: a clip is followed through all its frames, asked for or not."""
    return data.every
