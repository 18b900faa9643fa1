"""From the files brought to the cases used: the flow of a cohort, counted and drawn (CLAIM items 33 and 34)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.data.dataset import SPLITS
from core.report.figures import _figure, _png, words
from core.store import review

if TYPE_CHECKING:
    from core.store.workspace import Workspace


@dataclass(frozen=True)
class Step:
    """One box of the flow: `what` in words, how many, and `lost`: why how many do not go on to the next box."""

    what: str
    n: int
    lost: dict[str, int] = field(default_factory=dict)


def flow(ws: Workspace, name: str) -> tuple[list[Step], dict[str, dict[str, int]]]:
    """The boxes in order, and of each part the number of cases by class ("" where there are no classes).

    Files are counted by the reader; cases not used are those excluded, by reason, and those held back until a person has looked.
    """
    whole, used = ws.dataset(name, whole=True), ws.dataset(name)
    files = {str(k): int(v) for k, v in whole.card.get("cohort", {}).items()}
    first = next(iter(files.items()), None)
    steps = [] if first is None else [Step(*first)]
    lost: Counter[str] = Counter(review.excluded(ws, name).values())
    waiting = review.held(ws, name)
    if waiting:
        lost["held back until a person has looked"] = len(waiting)
    steps += [Step("cases imported", len(whole.table), dict(lost)), Step("cases used", len(used))]
    parts = {}
    for part in SPLITS:
        inside = used.part(part)
        if len(inside):
            known = {c: int((inside.labels == i).sum()) for i, c in enumerate(used.classes)} if 0 < len(used.classes) <= 12 else {}
            parts[part] = {**{c: k for c, k in known.items() if k}, **({"no label": k} if (k := len(inside) - sum(known.values())) and known else {})} or {"": len(inside)}
    return steps, parts


def drawn(ws: Workspace, name: str) -> bytes:
    """The flow as PNG bytes: boxes downwards, what is left out to the right, the parts below."""
    steps, parts = flow(ws, name)
    height = 1.1 * len(steps) + 1.5 + 0.16 * max((len(p) for p in parts.values()), default=0)
    figure = _figure(9, height)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 9), ylim=(height, 0))
    axes.axis("off")

    def box(x: float, y: float, said: str, weight: str = "normal", dashed: bool = False) -> None:
        axes.text(x, y, said, ha="center", va="center", fontsize=11, weight=weight,
                  bbox={"boxstyle": "round,pad=0.5", "facecolor": "#f5f5f5", "edgecolor": "#777777", "linestyle": "--" if dashed else "-"})  # fmt: skip

    def arrow(x: float, y: float, x2: float, y2: float) -> None:
        axes.annotate("", (x2, y2), (x, y), arrowprops={"arrowstyle": "->", "color": "#777777", "shrinkA": 14, "shrinkB": 14})

    for i, step in enumerate(steps):
        y = 0.5 + 1.1 * i
        if i:
            arrow(3, y - 1.1, 3, y)
        box(3, y, f"{step.n:,} {words(step.what, 40)}", "bold")
        if step.lost:
            arrow(3, y + 0.55, 6.6, y + 0.55)
            box(6.6, y + 0.55, "\n".join(f"{k:,} {words(why, 44)}" for why, k in list(step.lost.items())[:5]), dashed=True)
    y = 0.5 + 1.1 * (len(steps) - 1)
    for j, (part, classes) in enumerate(parts.items()):
        x = 3 + 2.4 * (j - (len(parts) - 1) / 2)
        low = y + 1.2 + 0.08 * len(classes)
        arrow(3, y, x, low)
        lines = [f"{sum(classes.values()):,} {part}", *(f"{words(c, 18)}: {k:,}" for c, k in classes.items() if c)]
        box(x, low, "\n".join(lines))
    return _png(figure)
