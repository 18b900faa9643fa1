"""The story as a PDF: one wide page a pin, with its caption, notes and stamp."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from core import __version__, limits
from core.errors import UserError
from core.report import story
from core.workspace.workspace import Workspace

WIDTH, HEIGHT = 13.33, 7.5  # inches: 16 to 9
LETTERS = {20: 88, 11: 170, 8: 230}  # of a line, by size of the letters in points


def story_pdf(ws: Workspace) -> bytes:
    """Return the pinned views as a PDF. UserError when nothing is pinned or the file would pass
    25 MB.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    pins = story.load_pins(ws)
    if not pins:
        raise UserError("Nothing is pinned yet; press “Pin this view” under a picture.")
    out = io.BytesIO()
    about = {"Title": "Lightbox story", "Creator": f"Lightbox {__version__}"}
    with PdfPages(out, metadata=about) as pdf:
        for i, pin in enumerate(pins, 1):
            warning = f" · {story.OUTDATED}" if story.is_outdated(ws, pin) else ""
            foot = f"{i} of {len(pins)} · {pin.stamp}{warning} · Research use, not for diagnosis"
            png = story.picture_path(ws, pin.id).read_bytes()
            pdf.savefig(_page(pin, png, foot))
    made = out.getvalue()
    if len(made) > limits.REPORT_BYTES:
        raise UserError(
            f"The file would be {len(made) >> 20} MB, more than {limits.REPORT_BYTES >> 20}; pin"
            " less."
        )
    return made


def _page(pin: story.Pin, png: bytes, foot: str) -> Any:
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image

    page = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
    top = _write(page, pin.caption, 20, 0.96, 2)
    low = 0.03 + 0.02 * min(3, len(textwrap.wrap(foot, LETTERS[8])))
    _write(page, foot, 8, low, 3)
    if pin.notes:
        lines = min(6, sum(len(textwrap.wrap(n, LETTERS[11])) or 1 for n in pin.notes.split("\n")))
        low += 0.027 * lines + 0.01
        _write(page, pin.notes, 11, low, 6)
    place = page.add_axes((0.03, low + 0.02, 0.94, max(0.1, top - low - 0.04)))
    place.imshow(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), interpolation="none")
    place.set_axis_off()
    return page


def _write(page: Any, words: str, size: int, top: float, most: int) -> float:
    """Write `words` in at most `most` lines from `top` down; gives where they end."""
    lines = [part for line in words.split("\n") for part in textwrap.wrap(line, LETTERS[size])]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: LETTERS[size] - 1] + "…"]
    page.text(
        0.03,
        top,
        "\n".join(lines),
        size=size,
        va="top",
        color="black",
        parse_math=False,
        linespacing=1.2,
    )
    return top - len(lines) * size * 1.2 / 72 / HEIGHT
