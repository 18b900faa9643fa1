"""The flow of cases from the files to the parts a model is trained and tested on: counted, and
drawn as boxes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.data.dataset import SPLITS
from core.imaging.palette import BLUE, DARK, INK, OCHRE
from core.report.figures import _new_figure, _png, draw_words
from core.words import count_groups
from core.workspace import decisions, review
from core.workspace.workspace import Workspace

MOST = 10  # reasons or classes written out; the rest is summed up


@dataclass(frozen=True)
class FlowPart:
    """One part: its rows, rows by class ("no label" for those without one), and number of different
    patients or groups (None = not known).
    """

    name: str
    n: int
    classes: dict[str, int] = field(default_factory=dict)
    patients: int | None = None


@dataclass(frozen=True)
class Flow:
    """Counts of rows. `read` is what the reader told about the files, `left_out` what it left
    (names, or numbers with words); imported = held back + excluded + in use; in use = the sum of
    the parts.
    """

    read: dict[str, int]
    left_out: list[str]
    imported: int
    held: dict[str, int]
    excluded: dict[str, int]
    used: int
    parts: list[FlowPart]


def count_flow(ws: Workspace, name: str) -> Flow:
    """Return the flow of the dataset called `name` as it stands. A row both held back and excluded
    counts as excluded, under the first reason given.
    """
    data = ws.dataset(name)
    groups = data.groups
    parts = []
    for part in SPLITS:
        at = np.flatnonzero(data.splits == part)
        if not len(at) and part != "train":
            continue
        labels = data.labels[at]
        classes = {
            c: int(k)
            for c, k in zip(
                data.classes, np.bincount(labels[labels >= 0], minlength=len(data.classes))
            )
            if k
        }
        if data.classes and (labels < 0).any():
            classes["no label"] = int((labels < 0).sum())
        parts.append(
            FlowPart(
                part,
                len(at),
                classes,
                None if groups is None else count_groups(groups[at]) or None,
            )
        )
    return Flow(
        {str(k): int(v) for k, v in data.card.get("cohort", {}).items()},
        list(data.card.get("left out", [])),
        decisions.count_stored_rows(ws.dataset_folder(name)),
        dict(Counter(review.held_rows(ws, name).values()).most_common()),
        dict(Counter(review.excluded_rows(ws, name).values()).most_common()),
        len(data),
        parts,
    )


def _some(names: list[str], most: int = 4) -> list[str]:
    return [draw_words(n, 36) for n in names[:most]] + (
        [f"and {len(names) - most} more"] if len(names) > most else []
    )


def flow_lines(counts: dict[str, int], most: int = MOST) -> list[str]:
    """“ill: 1,204” for each; beyond `most` the rest in one line."""
    shown = [f"{draw_words(name, 36)}: {k:,}" for name, k in list(counts.items())[:most]]
    rest = list(counts.values())[most:]
    return shown + ([f"{len(rest)} more: {sum(rest):,}"] if rest else [])


def describe_flow(f: Flow) -> str:
    """Return the whole flow in one sentence, for those who cannot see the picture."""
    said = f"{f.imported:,} cases imported"
    for what, counts in (("hidden pending review", f.held), ("excluded", f.excluded)):
        if counts:
            said += f"; {sum(counts.values()):,} {what} ({', '.join(flow_lines(counts))})"
    return said + f"; {f.used:,} in use: " + ", ".join(f"{p.n:,} {p.name}" for p in f.parts) + "."


def flow_figure(f: Flow) -> bytes:
    """Return the flow as PNG: boxes down the middle, what left on the right, the parts in a row at
    the bottom.
    """
    trunk: list[tuple[str, list[str], list[tuple[str, list[str], str]]]] = []
    if f.read or f.left_out:
        left: list[tuple[str, list[str], str]] = (
            [("Not read", _some(f.left_out), DARK)] if f.left_out else []
        )
        trunk.append(("Files", [f"{k}: {v:,}" for k, v in f.read.items()], left))
    out = [
        (f"{title}: {sum(c.values()):,}", flow_lines(c), colour)
        for title, c, colour in (
            ("Held back", f.held, OCHRE),
            ("Excluded", f.excluded, DARK),
        )
        if c
    ]
    trunk += [(f"Imported: {f.imported:,}", [], out), (f"In use: {f.used:,}", [], [])]
    tall = [
        0.42 + 0.2 * len(lines) + sum(0.6 + 0.2 * len(more) for _, more, _ in aside)
        for _, lines, aside in trunk
    ]
    said = [
        [
            f"{p.name}: {p.n:,}",
            *([count_patients(p.patients)] if p.patients is not None else []),
            *flow_lines(p.classes),
        ]
        for p in f.parts
    ]
    foot = 0.35 + 0.2 * max(len(s) for s in said)
    height = sum(tall) + 0.34 * len(tall) + foot + 0.1
    figure = _new_figure(8.6, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, 8.6), ylim=(0, height))
    axes.axis("off")
    y, middle, before = height - 0.05, 2.6, None
    for (title, lines, asides), room in zip(trunk, tall):
        own = 0.42 + 0.2 * len(lines)
        _draw_box(axes, 0.9, y - own, 3.4, own, [title, *lines], BLUE)
        if before is not None:
            _draw_arrow(axes, (middle, before), (middle, y))
        at = y - own - 0.12
        for gone, more, colour in asides:
            size = 0.42 + 0.2 * len(more)
            _draw_box(axes, 5.0, at - size, 3.4, size, [gone, *more], colour)
            _draw_arrow(axes, (middle, at - 0.21), (5.0, at - 0.21))
            at -= size + 0.18
        before, y = y - own, y - room - 0.34
    wide = 8.2 / len(said)
    for i, lines in enumerate(said):
        _draw_box(axes, 0.2 + i * wide, 0.05, wide - 0.2, foot - 0.05, lines, BLUE)
        _draw_arrow(axes, (middle, before or 0), (0.2 + i * wide + (wide - 0.2) / 2, foot))
    return _png(figure)


def _draw_box(
    axes: Any, x: float, y: float, wide: float, high: float, lines: list[str], colour: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            wide,
            high,
            boxstyle="round,pad=0,rounding_size=0.07",
            fc="white",
            ec=colour,
            lw=1.4,
            zorder=2,
        )
    )
    for i, line in enumerate(lines):
        axes.text(
            x + 0.12,
            y + high - 0.23 - 0.2 * i,
            line,
            fontsize=11 if i == 0 else 9,
            fontweight="bold" if i == 0 else "normal",
            va="center",
            zorder=3,
            color=INK,
        )


def _draw_arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "-|>", "color": DARK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
        zorder=1,
    )


def count_patients(n: int) -> str:
    """“1 patient or group”, “12 patients or groups”."""
    return "1 patient or group" if n == 1 else f"{n:,} patients or groups"
