"""Frames of scans brought to one size and stacked."""

from __future__ import annotations

import numpy as np

from core.data.readers.image_decoding import choose_common_size, resize


def fit_frame(frame: np.ndarray, size: tuple[int, int], colour: bool) -> np.ndarray:
    """[H,W] or [H,W,3] as float32 [C,*size], aspect kept, padded with the frame's lowest value; C =
    3 with `colour`.
    """
    layers = frame.transpose(2, 0, 1) if frame.ndim == 3 else frame[None]
    if layers.shape[1:] != size:
        low = np.float32(layers.min())
        layers = np.stack(
            [
                resize(np.ascontiguousarray(layer - low, dtype=np.float32), size) + low
                for layer in layers
            ]
        )
    return np.repeat(layers, 3, 0) if colour and len(layers) == 1 else layers


def stack_frames(frames: list[np.ndarray]) -> tuple[np.ndarray, str]:
    """Frames of one size [n,C,H,W] float32 (uint8 where the frames hold bytes), and the rule in
    words.
    """
    size, rule = choose_common_size([f.shape[:2] for f in frames])
    colour = any(f.ndim == 3 for f in frames)
    stacked = np.stack([fit_frame(f, size, colour) for f in frames])
    whole = all(f.min() >= 0 and f.max() <= 255 and (f == np.round(f)).all() for f in frames)
    return convert_to_bytes(stacked, whole), describe_padding(rule)


def convert_to_bytes(samples: np.ndarray, whole: bool) -> np.ndarray:
    """float32 samples as uint8 where they were `whole` numbers from 0 to 255 before they were
    fitted, and lose nothing that can be seen by it.
    """
    return (
        samples.round().astype(np.uint8)
        if whole and (samples.max() > 15 or bool((samples == samples.round()).all()))
        else samples
    )


def describe_padding(rule: str) -> str:
    """Return the rule of `choose_common_size` for frames, padded with their own lowest value."""
    return rule.replace("black padding", "padded with each picture's lowest value")
