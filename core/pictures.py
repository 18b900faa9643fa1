"""Pictures of rows: uint8 arrays and PNG bytes. Grey stays grey; heat is laid over it with one scale and full transparency at zero. Series are drawn as traces."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from core import traces

if TYPE_CHECKING:
    from core.data.dataset import Dataset

Array = np.ndarray
HEAT = "inferno"  # perceptually even, readable in grey


def drawable(data: Dataset) -> bool:
    """Whether rows of this data can be drawn as pictures."""
    return data.modality in ("image", "volume", "series")


def flat(image: Array) -> Array:
    """A model input [C,H,W] or [C,D,H,W] in [0,1] (volumes: the middle slice) as uint8 [H,W,3]; two channels show the first. Series [C,T]: a trace on its own scale."""
    if image.ndim == 2:
        return traces.drawn(image, traces.look(image))
    if image.ndim == 4:
        image = image[:, image.shape[1] // 2]
    shown = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    return (np.clip(shown, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def picture(data: Dataset, row: int, side: int = 0) -> Array:
    """Row `row` as uint8 [H,W,3], enlarged to at least `side` pixels without smoothing when it is small; series are drawn at that width."""
    if data.modality == "series":
        return traces.drawn(data.of(np.array([row])).inputs()[0], traces.look(data), side or 240)
    return enlarge(flat(data.of(np.array([row])).inputs()[0]), side)


def enlarge(image: Array, side: int) -> Array:
    """Whole-number enlargement so that the longer side reaches `side`; pixels stay sharp."""
    factor = max(1, -(-side // max(image.shape[:2]))) if side else 1
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def thumbs(data: Dataset, rows: Array, tile: int = 64) -> Array:
    """Small pictures uint8 [n,tile,tile,3] of `rows`, fitted into squares on black. Cost: one read and one resize each."""
    from PIL import Image

    if data.modality == "series":
        at = traces.look(data)
        return np.stack([traces.drawn(x, at, tile, tile) for x in data.of(np.asarray(rows)).inputs()]) if len(rows) else np.zeros((0, tile, tile, 3), np.uint8)
    out = np.zeros((len(rows), tile, tile, 3), np.uint8)
    for start in range(0, len(rows), 512):
        for i, image in enumerate(data.of(np.asarray(rows[start : start + 512])).inputs()):
            made = Image.fromarray(flat(image))
            made.thumbnail((tile, tile)) if max(made.size) > tile else None
            grown = np.asarray(made)
            factor = max(1, tile // max(grown.shape[:2]))
            grown = grown.repeat(factor, axis=0).repeat(factor, axis=1)
            y, x = (tile - grown.shape[0]) // 2, (tile - grown.shape[1]) // 2
            out[start + i, y : y + grown.shape[0], x : x + grown.shape[1]] = grown
    return out


def wall(tiles: Array, across: int, gap: int = 6, grey: int = 34) -> Array:
    """Tiles uint8 [n,t,t,3] as one picture, `across` in a line with a gap between; empty places stay background."""
    n, t = tiles.shape[:2]
    lines = -(-n // across)
    padded = np.full((lines * across, t + gap, t + gap, 3), grey, np.uint8)
    padded[:n, :t, :t] = tiles
    return padded.reshape(lines, across, t + gap, t + gap, 3).transpose(0, 2, 1, 3, 4).reshape(lines * (t + gap), across * (t + gap), 3)


def overlay(image: Array, heat: Array, low: float, high: float, opacity: float = 0.7, colours: str = HEAT) -> Array:
    """`heat` [H,W] over `image` uint8 [H,W,3]: invisible at `low`, full `opacity` at `high`; the scale is the caller's, never per image."""
    share = np.clip((heat - low) / max(high - low, 1e-12), 0, 1)[..., None]
    colour = _map(colours)((share[..., 0] * 255).astype(np.uint8))[..., :3] * 255
    alpha = opacity * np.minimum(1.0, share * 2)
    return (image * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def heated(data: Dataset, heat: Array, rows: Array, scale: tuple[float, float], opacity: float, side: int, truth: bool = True) -> list[Array]:
    """Pictures of `rows` with their heat [n,H,W] on the given scale, at least `side` pixels; `truth` outlines the mask where there is one."""
    part = data.of(rows)
    masks = part.mask() if truth and data.masks is not None else None
    out = []
    for i, x in enumerate(part.inputs()):
        made = flat(x)
        if opacity > 0:
            made = overlay(made, np.asarray(heat[i]), *scale, opacity)
        made = enlarge(made, side)
        if masks is not None and masks[i].any():
            made = outline(made, masks[i], width=max(1, made.shape[0] // 100))
        out.append(made)
    return out


def signed(image: Array, value: Array, reach: float, opacity: float = 0.75) -> Array:
    """A signed map [H,W] over `image`: blue lowers, orange raises, nothing at zero; full colour at ±`reach`."""
    share = np.clip(value / max(reach, 1e-12), -1, 1)[..., None]
    colour = np.where(share > 0, np.array([230, 159, 0]), np.array([86, 180, 233]))
    alpha = opacity * np.abs(share)
    return (image * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def _map(name: str) -> Any:
    from matplotlib import colormaps

    return colormaps[name]


def table_picture(data: Dataset, rows: int = 60) -> Array:
    """A table as uint8 [rows, columns, 3]: evenly taken rows in order of their class, each column from its 2 % to its 98 % point in cividis; missing is grey."""
    x, order = data.inputs(), np.argsort(data.labels, kind="stable")
    low, high = np.nanquantile(x, [0.02, 0.98], axis=0)
    x = x[order[np.linspace(0, len(x) - 1, min(rows, len(x))).astype(int)]]
    share = np.clip((x - low) / np.maximum(high - low, 1e-12), 0, 1)
    colour = (_map("cividis")(np.nan_to_num(share))[..., :3] * 255).round().astype(np.uint8)
    colour[np.isnan(x)] = 107
    return colour


def outline(image: Array, mask: Array, colour: tuple[int, int, int] = (86, 180, 233), width: int = 1, opacity: float = 1.0) -> Array:
    """`image` with a line of `width` pixels in `colour` around bool `mask` [h,w], which is enlarged to the picture first; the inside stays untouched."""
    from scipy.ndimage import binary_dilation

    factor = image.shape[0] // mask.shape[0]
    mask = mask.repeat(factor, 0).repeat(factor, 1)
    edge = binary_dilation(mask, iterations=width) & ~mask
    out = image.copy()
    out[edge] = (1 - opacity) * image[edge] + opacity * np.array(colour)
    return out


def generated(image: Array, side: int = 240) -> Array:
    """A made picture uint8 [H,W,3] enlarged to `side`, with the words GENERATED written into its pixels."""
    from PIL import Image, ImageDraw

    made = Image.fromarray(enlarge(image, side))
    draw = ImageDraw.Draw(made)
    size = max(10, made.size[0] // 16)
    draw.rectangle((0, made.size[1] - size - 6, made.size[0], made.size[1]), fill=(17, 17, 17))
    draw.text((4, made.size[1] - size - 4), "GENERATED", fill=(230, 159, 0), font_size=size)
    return np.asarray(made)


def made(frame: Array, data: Dataset, side: int = 240, before: Array | None = None) -> Array:
    """What a model made, [*input], drawn `side` pixels wide and marked GENERATED; series on the scale of their dataset, `before` [C,T] in grey behind."""
    if data.modality != "series":
        return generated(flat(frame), side)
    trace = traces.drawn(frame, traces.look(data), side, before=before)
    room = np.full((max(10, side // 16) + 6, trace.shape[1], 3), traces.GROUND, np.uint8)
    return generated(np.concatenate([trace, room]), 0)


def explained(x: Array, value: Array, reach: float, data: Dataset, side: int) -> Array:
    """A case with a signed map over it, [H,W] for pictures, [T] for series; full colour at ±`reach`."""
    if data.modality == "series":
        return traces.drawn(x, traces.look(data), side, tint=value / max(reach, 1e-12))
    return enlarge(signed(flat(x) * 0.6, value, reach), side)


def gif(frames: list[Array], seconds: float = 0.25, back: bool = True) -> bytes:
    """Frames uint8 [H,W,3] of one size as an endless GIF, there and (unless `back` is False) back, `seconds` each."""
    from PIL import Image

    made = [Image.fromarray(f).quantize(128) for f in [*frames, *(frames[-2:0:-1] if back else [])]]
    out = io.BytesIO()
    made[0].save(out, "GIF", save_all=True, append_images=made[1:], duration=int(seconds * 1000), loop=0)
    return out.getvalue()


def png(image: Array) -> bytes:
    """uint8 [H,W,3] as PNG bytes without any metadata."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()
