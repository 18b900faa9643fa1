"""Pictures of rows: uint8 arrays and PNG bytes. Grey stays grey; heat is laid over it with one
scale and full transparency at zero. Series are drawn as traces.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.geometry import case_geometry
from core.imaging import orientation, signals, windowing
from core.imaging.contours import draw_contours
from core.imaging.orientation import DisplayPlane
from core.imaging.windowing import DisplaySettings, Window, in_file_units
from core.sampling import evenly_spaced

if TYPE_CHECKING:
    from core.data.dataset import Dataset

Array = np.ndarray
PLAIN = DisplaySettings()
# pixels of the longer side; smaller pictures are enlarged by whole numbers, with sharp pixels
SMOOTH_FROM = 96
HEAT = "inferno"  # perceptually even, readable in grey
BLUE, ORANGE = (86, 180, 233), (230, 159, 0)  # of outlines: the truth, and what is marked


def is_drawable(data: Dataset) -> bool:
    """Whether rows of this data can be drawn as pictures."""
    return data.modality in ("image", "volume", "series")


def input_to_rgb(image: Array) -> Array:
    """Return a model input [C,H,W] or [C,D,H,W] in [0,1] (volumes: the middle slice) as uint8
    [H,W,3]; two channels show the first. Series [C,T]: a trace on its own scale.
    """
    if image.ndim == 2:
        return signals.draw_signal(image, signals.signal_style(image))
    if image.ndim == 4:
        image = image[:, image.shape[1] // 2]
    shown = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    return (np.clip(shown, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def draw_case(data: Dataset, row: int, side: int = 0, look: DisplaySettings = PLAIN) -> Array:
    """Row `row` as uint8 [H,W,3], windowed and hung, enlarged to at least `side` pixels without
    smoothing when it is small; series at that width.
    """
    if data.modality == "series":
        return signals.draw_signal(
            data.of(np.array([row])).inputs()[0], signals.signal_style(data), side or 240
        )
    return enlarge(draw_oriented(data, row, data.of(np.array([row])).raw()[0], look), side)


def middle_slice(data: Dataset, at: DisplayPlane) -> int:
    """Return the middle slice of a volume in this plane."""
    return data.shape[1:][at.order[0]] // 2


def window_to_rgb(raw: Array, window: Window) -> Array:
    """Return stored values [C,H,W] as uint8 [H,W,3] through a window; two channels show the first.
    Not turned.
    """
    shown = (
        (windowing.apply_window(raw[:3] if raw.shape[0] >= 3 else raw[:1], window) * 255)
        .round()
        .astype(np.uint8)
    )
    return (shown if len(shown) == 3 else np.repeat(shown, 3, axis=0)).transpose(1, 2, 0)


def find_plane_and_window(
    data: Dataset, row: int, raw: Array, look: DisplaySettings
) -> tuple[DisplayPlane, Window]:
    """How the stored sample `raw` [C,*spatial] of row `row` is hung (volumes: axially), and through
    which window it is seen.
    """
    at = orientation.display_planes(case_geometry(data, row), raw.ndim - 1, look.side)[0]
    return at, windowing.find_window(data, look.window, raw[:1] if raw.shape[0] < 3 else raw)


def draw_oriented(
    data: Dataset, row: int, raw: Array, look: DisplaySettings, index: int | None = None
) -> Array:
    """Return the stored sample `raw` of row `row` as it hangs, pixels made square: uint8 [h,w,3].
    Volumes: axial slice `index`, by default the middle one.
    """
    at, window = find_plane_and_window(data, row, raw, look)
    return orientation.make_pixels_square(
        orientation.orient(_draw_slice(data, raw, window, at, index), at), at
    )


def _draw_slice(
    data: Dataset, raw: Array, window: Window, at: DisplayPlane, index: int | None
) -> Array:
    if raw.ndim == 4:
        raw = np.take(raw, middle_slice(data, at) if index is None else index, axis=1 + at.order[0])
    return window_to_rgb(raw, window)


def enlarge(image: Array, side: int) -> Array:
    """Whole-number enlargement so that the longer side reaches `side`; pixels stay sharp."""
    factor = max(1, -(-side // max(image.shape[:2]))) if side else 1
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def draw_thumbnails(
    data: Dataset, rows: Array, tile: int = 64, look: DisplaySettings = PLAIN
) -> Array:
    """Small pictures uint8 [n,tile,tile,3] of `rows`, windowed and hung, fitted into squares on
    black. Cost: one read and one resize each.
    """
    from PIL import Image

    if data.modality == "series":
        at = signals.signal_style(data)
        return (
            np.stack(
                [
                    signals.draw_signal(x, at, tile, tile, axes=False)
                    for x in data.of(np.asarray(rows)).inputs()
                ]
            )
            if len(rows)
            else np.zeros((0, tile, tile, 3), np.uint8)
        )
    out = np.zeros((len(rows), tile, tile, 3), np.uint8)
    for start in range(0, len(rows), 512):
        part = np.asarray(rows[start : start + 512])
        for i, (row, raw) in enumerate(zip(part, data.of(part).raw())):
            made = Image.fromarray(np.ascontiguousarray(draw_oriented(data, int(row), raw, look)))
            most = max(made.size)
            if most > tile or most >= SMOOTH_FROM:
                made = made.resize(
                    [max(1, round(s * tile / most)) for s in made.size],
                    Image.Resampling.BOX if most > tile else Image.Resampling.BILINEAR,
                )
            grown = np.asarray(made)
            factor = max(1, tile // max(grown.shape[:2]))
            grown = grown.repeat(factor, axis=0).repeat(factor, axis=1)
            y, x = (tile - grown.shape[0]) // 2, (tile - grown.shape[1]) // 2
            out[start + i, y : y + grown.shape[0], x : x + grown.shape[1]] = grown
    return out


def fit_into_square(image: Array, tile: int, smooth: bool = False) -> Array:
    """Return a picture uint8 [h,w,3], shrunk where it is larger, in the middle of a black square
    uint8 [tile,tile,3]; `smooth`: linear, else cubic.
    """
    from PIL import Image

    fitted = Image.fromarray(np.ascontiguousarray(image))
    fitted.thumbnail(
        (tile, tile), Image.Resampling.BILINEAR if smooth else Image.Resampling.BICUBIC
    )
    shown, out = np.asarray(fitted), np.zeros((tile, tile, 3), np.uint8)
    y, x = (tile - shown.shape[0]) // 2, (tile - shown.shape[1]) // 2
    out[y : y + shown.shape[0], x : x + shown.shape[1]] = shown
    return out


def draw_grid(tiles: Array, across: int, gap: int = 6, grey: int = 34) -> Array:
    """Tiles uint8 [n,t,t,3] as one picture, `across` in a line with a gap between; empty places
    stay background.
    """
    n, t = tiles.shape[:2]
    lines = -(-n // across)
    padded = np.full((lines * across, t + gap, t + gap, 3), grey, np.uint8)
    padded[:n, :t, :t] = tiles
    return (
        padded.reshape(lines, across, t + gap, t + gap, 3)
        .transpose(0, 2, 1, 3, 4)
        .reshape(lines * (t + gap), across * (t + gap), 3)
    )


def overlay_heat(
    image: Array, heat: Array, low: float, high: float, opacity: float = 0.4, colours: str = HEAT
) -> Array:
    """`heat` [H,W] over `image` uint8 [H,W,3]: invisible at `low`, full `opacity` at `high`; the
    scale is the caller's, never per image.
    """
    share = np.clip((heat - low) / max(high - low, 1e-12), 0, 1)[..., None]
    colour = _colour_map(colours)((share[..., 0] * 255).astype(np.uint8))[..., :3] * 255
    alpha = opacity * np.minimum(1.0, share * 2)
    return (image * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def hottest_slice(heat: Array, at: DisplayPlane) -> int:
    """Return the slice of a volume's heat [D,H,W] in the plane `at` whose hottest hundredth of
    pixels is hottest: a small lesion counts more than a large brain.
    """
    flat = np.moveaxis(heat, at.order[0], 0).reshape(heat.shape[at.order[0]], -1)
    k = max(1, flat.shape[1] // 100)
    return int(np.partition(flat, -k, axis=1)[:, -k:].mean(1).argmax())


def draw_heat_maps(
    data: Dataset,
    heat: Array,
    rows: Array,
    scale: tuple[float, float],
    opacity: float,
    side: int,
    truth: bool = True,
    look: DisplaySettings = PLAIN,
    words: bool = False,
    contour: bool = False,
    marked: Array | None = None,
) -> list[Array]:
    """Pictures of `rows` with their heat [n,H,W] ([n,D,H,W]: the hottest slice) on the given scale,
    at least `side` pixels.

    `truth` outlines the mask where there is one; `words` prints letters, window, scale bar and
    slice into the pixels; `contour` draws heat as lines (`core.imaging.contours`) unless `opacity`
    is 0. `marked` bool like `heat`: places with one orange line around them, in place of the heat.
    """
    part = data.of(rows)
    masks = part.mask() if truth and data.masks is not None else None
    out = []
    for i, (row, raw) in enumerate(zip(rows, part.raw())):
        at, window = find_plane_and_window(data, int(row), raw, look)
        hot = np.asarray(heat[i], dtype=np.float32)
        index = hottest_slice(hot, at) if raw.ndim == 4 else None
        place = None if index is None else (index + 1, data.shape[1:][at.order[0]])
        mask, spot = (None if many is None else many[i] for many in (masks, marked))
        if index is not None:
            hot = np.take(hot, index, at.order[0])
            mask, spot = (
                None if whole is None else np.take(whole, index, at.order[0])
                for whole in (mask, spot)
            )
        made = _draw_slice(data, raw, window, at, index)
        if opacity > 0 and not contour and spot is None:
            made = overlay_heat(made, hot, *scale, opacity)
        made = enlarge(orientation.orient(made, at), side)
        if opacity > 0 and contour and spot is None:
            made = draw_contours(made, orientation.orient(hot, at), *scale, colour_ramp())
        made = _outlined(made, spot, at, ORANGE, 120)
        made = _outlined(made, mask, at, BLUE, 100)
        grown = made.shape[0] / data.shape[1:][at.order[-2]]
        made = orientation.make_pixels_square(made, at)
        out.append(
            annotate(made, at, in_file_units(window, data), grown, look, place) if words else made
        )
    return out


def _outlined(
    image: Array, mask: Array | None, at: DisplayPlane, colour: tuple[int, int, int], share: int
) -> Array:
    """Return an enlarged picture with a line around `mask`, a `share`-th of its height wide; as it
    is where nothing is marked.
    """
    if mask is None or not mask.any():
        return image
    return draw_outline(
        image, orientation.orient(mask, at), colour, max(1, image.shape[0] // share)
    )


def draw_for_report(
    data: Dataset, row: int, side: int = 240, look: DisplaySettings = PLAIN
) -> Array:
    """As `draw_case`, with letters, window, scale bar and slice number printed into the pixels; a
    report shows nothing else beside it.
    """
    if data.modality == "series":
        return draw_case(data, row, side)
    raw = data.of(np.array([row])).raw()[0]
    at, window = find_plane_and_window(data, row, raw, look)
    made = enlarge(orientation.orient(_draw_slice(data, raw, window, at, None), at), side)
    grown = made.shape[0] / data.shape[1:][at.order[-2]]
    return annotate(
        orientation.make_pixels_square(made, at),
        at,
        in_file_units(window, data),
        grown,
        look,
        (middle_slice(data, at) + 1, data.shape[1:][at.order[0]]) if raw.ndim == 4 else None,
    )


def _writing(w: int, h: int) -> tuple[dict[str, Any], int]:
    """How words are written into a picture of this size, and how high they are in pixels."""
    size = max(12, min(w, h) // 13)
    white = {"fill": (255, 255, 255), "stroke_fill": (0, 0, 0)}
    return {**white, "font_size": size, "stroke_width": max(1, size // 8)}, size


def draw_edges(image: Array, at: DisplayPlane) -> Array:
    """`image` uint8 [h,w,3] with the letters of the sides of the body at its edges, if known."""
    from PIL import Image, ImageDraw

    made = Image.fromarray(np.ascontiguousarray(image))
    w, h = made.size
    places = {
        "left": (3, h / 2, "lm"),
        "right": (w - 3, h / 2, "rm"),
        "top": (w / 2, 3, "mt"),
        "bottom": (w / 2, h - 3, "mb"),
    }
    for edge, letter in at.edges.items():
        x, y, anchor = places[edge]
        ImageDraw.Draw(made).text((x, y), letter, anchor=anchor, **_writing(w, h)[0])
    return np.asarray(made)


def annotate(
    image: Array,
    at: DisplayPlane,
    window: Window,
    grown: float,
    look: DisplaySettings,
    slice: tuple[int, int] | None = None,
) -> Array:
    """`image` uint8 [h,w,3] with what must travel with it written into its pixels: letters at the
    edges, W and L, a scale bar, slice n/N.

    `grown`: picture pixels a stored pixel before pixels were made square. Unknown axes and scales
    print nothing here: `unknown` says so in words.
    """
    from PIL import Image, ImageDraw

    made = Image.fromarray(draw_edges(image, at))
    draw = ImageDraw.Draw(made)
    w, h = made.size
    look_, size = _writing(w, h)
    # clear of the letter at the bottom
    up = 1.3 * size if draw.textlength(window.words, font_size=size) > w / 2 - size else 0
    draw.text((3, h - 3 - up), window.words, anchor="lb", **look_)
    if slice is not None:
        draw.text((3, 3), f"{slice[0]}/{slice[1]}", anchor="lt", **look_)
    if at.mm is not None:
        fine = min(at.mm[-2:]) / grown
        long, words = orientation.scale_bar(fine, w)
        y = h - 3 - size // 2
        draw.rectangle((w - 5 - long / fine, y - 1, w - 3, y + 2), fill=(0, 0, 0))
        draw.line((w - 4 - long / fine, y, w - 4, y), fill=(255, 255, 255), width=2)
        draw.text((w - 4, y - 3), words, anchor="rb", **look_)
    return np.asarray(made)


def describe_orientation(data: Dataset, row: int, look: DisplaySettings) -> str:
    """How pictures like this row are hung, in words for a report: the side of display, or what is
    not known.
    """
    at = orientation.display_planes(case_geometry(data, row), len(data.shape) - 1, look.side)[0]
    side = f"{look.side} display" if at.known else "orientation unknown"
    return side + ("" if at.mm is not None else ", scale unknown")


def overlay_signed(image: Array, value: Array, reach: float, opacity: float = 0.75) -> Array:
    """Return a signed map [H,W] over `image`: blue lowers, orange raises, nothing at zero; full
    colour at ±`reach`.
    """
    share = np.clip(value / max(reach, 1e-12), -1, 1)[..., None]
    colour = np.where(share > 0, np.array([230, 159, 0]), np.array([86, 180, 233]))
    alpha = opacity * np.abs(share)
    return (image * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def colour_ramp(colours: str = HEAT) -> Array:
    """Return the 256 colours of heat, uint8 [256,3]."""
    return (_colour_map(colours)(np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def _colour_map(name: str) -> Any:
    from matplotlib import colormaps

    return colormaps[name]


def draw_table(data: Dataset, rows: int = 60) -> Array:
    """Return a table as uint8 [rows, columns, 3]: evenly taken rows in order of their class, each
    column from its 2 % to its 98 % point in cividis; missing is grey.
    """
    x, order = data.inputs(), np.argsort(data.labels, kind="stable")
    low, high = np.nanquantile(x, [0.02, 0.98], axis=0)
    x = x[order[evenly_spaced(len(x), rows)]]
    share = np.clip((x - low) / np.maximum(high - low, 1e-12), 0, 1)
    colour = (_colour_map("cividis")(np.nan_to_num(share))[..., :3] * 255).round().astype(np.uint8)
    colour[np.isnan(x)] = 107
    return colour


def draw_outline(
    image: Array,
    mask: Array,
    colour: tuple[int, int, int] = BLUE,
    width: int = 1,
    opacity: float = 1.0,
) -> Array:
    """`image` with a line of `width` pixels in `colour` around bool `mask` [h,w], which is enlarged
    to the picture first; the inside stays untouched.
    """
    from scipy.ndimage import binary_dilation

    factor = image.shape[0] // mask.shape[0]
    mask = mask.repeat(factor, 0).repeat(factor, 1)
    edge = binary_dilation(mask, iterations=width) & ~mask
    out = image.copy()
    out[edge] = (1 - opacity) * image[edge] + opacity * np.array(colour)
    return out


def mark_generated(image: Array, side: int = 240) -> Array:
    """Return a made picture uint8 [H,W,3] enlarged to `side`, with the words GENERATED written into
    its pixels.
    """
    made = enlarge(image, side)
    words = _generated_words(made.shape[1])
    made = made.copy() if np.shares_memory(made, image) else made
    many = min(len(words), len(made))
    made[len(made) - many :] = words[len(words) - many :]
    return made


@cache
def _generated_words(wide: int) -> Array:
    """Return the word GENERATED as the lowest lines of a picture, uint8 [h,wide,3]."""
    from PIL import Image, ImageDraw

    size = max(10, wide // 16)
    made = Image.new("RGB", (wide, size + 6), (17, 17, 17))
    ImageDraw.Draw(made).text((4, 2), "GENERATED", fill=(230, 159, 0), font_size=size)
    return np.asarray(made)


def orient_like(picture: Array, data: Dataset, look: DisplaySettings = PLAIN) -> Array:
    """Return a picture [h,w] or [h,w,3] that is no row of the data but made in its shape (of
    volumes: a slice along the first axis), hung as its rows are; as it is where these lie
    differently.
    """
    at = orientation.common_plane(data, look.side)
    return picture if at is None else orientation.orient(picture, at)


def draw_generated(
    frame: Array,
    data: Dataset,
    side: int = 240,
    before: Array | None = None,
    look: DisplaySettings = PLAIN,
) -> Array:
    """Return what a model made, [*input], drawn `side` pixels wide and marked GENERATED; series on
    the scale of their dataset, `before` [C,T] in grey behind.

    Values as the model is given them: of `look` only the side counts.
    """
    if data.modality != "series":
        return mark_generated(orient_like(input_to_rgb(frame), data, look), side)
    trace = signals.draw_signal(frame, signals.signal_style(data), side, before=before)
    room = np.full((max(10, side // 16) + 6, trace.shape[1], 3), signals.GROUND, np.uint8)
    return mark_generated(np.concatenate([trace, room]), 0)


def draw_attribution(
    x: Array, value: Array, reach: float, data: Dataset, side: int, look: DisplaySettings = PLAIN
) -> Array:
    """Return a case with a signed map over it, [H,W] for pictures, [T] for series; full colour at
    ±`reach`.
    """
    if data.modality == "series":
        return signals.draw_signal(
            x, signals.signal_style(data), side, tint=value / max(reach, 1e-12)
        )
    return enlarge(
        orient_like(overlay_signed(input_to_rgb(x) * 0.6, value, reach), data, look), side
    )


def encode_gif(frames: list[Array], seconds: float = 0.25, back: bool = True) -> bytes:
    """Frames uint8 [H,W,3] of one size as an endless GIF, there and (unless `back` is False) back,
    `seconds` each.
    """
    from PIL import Image

    made = [Image.fromarray(f).quantize(128) for f in [*frames, *(frames[-2:0:-1] if back else [])]]
    out = io.BytesIO()
    made[0].save(
        out, "GIF", save_all=True, append_images=made[1:], duration=int(seconds * 1000), loop=0
    )
    return out.getvalue()


def encode_png(image: Array) -> bytes:
    """uint8 [H,W,3] as PNG bytes without any metadata."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()
