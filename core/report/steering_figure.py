"""The static picture of what a steered feature changes, for stories and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.imaging.palette import FAINT, GREY, OKABE_ITO
from core.report.figures import MARKERS, _new_figure, _png, draw_words

if TYPE_CHECKING:
    from core.artifacts import Steering

BARS, LINES = 12, 6


def steering_figure(made: Steering) -> bytes:
    """Return the shift of each class beside those of the controls, and its course by strength."""
    results = sorted(made.results, key=lambda r: -abs(r["shift"]))[:BARS]
    figure = _new_figure(12, 1.8 + 0.35 * max(len(results), 5))
    left, right = figure.subplots(1, 2)
    for i, r in enumerate(results):
        for control, colour, high in (("feature", FAINT, 0.7), ("direction", GREY, 0.3)):
            if f"{control}_low" in r:
                low, up = r[f"{control}_low"], r[f"{control}_high"]
                left.barh(i, up - low, high, low, color=colour, linewidth=0)
        if r["low"] is not None:
            left.plot([r["low"], r["high"]], [i, i], color=OKABE_ITO[4], lw=2)
        fill = "full" if r["stands_out"] else "none"
        left.plot(r["shift"], i, "o", color=OKABE_ITO[0], ms=8, fillstyle=fill)
    left.axvline(0, color="black", lw=0.8)
    left.set(yticks=range(len(results)), ylim=(len(results) - 0.4, -0.6))
    left.set_yticklabels([draw_words(r["class"], 22) for r in results])
    left.set_xlabel(
        "mean shift of probability; bands: middle 95 % of steps of equal length\nalong other"
        " features (wide) and random directions (narrow)",
        fontsize=8,
    )
    order = [made.classes.index(r["class"]) for r in results[:LINES]]
    for i, c in enumerate(order):
        right.plot(
            [s * (made.strength or 1.0) for s in made.curve["strength"]],
            [line[c] for line in made.curve["share"]],
            marker=MARKERS[i % len(MARKERS)],
            color=OKABE_ITO[i % len(OKABE_ITO)],
            label=draw_words(made.classes[c], 20),
        )
    right.set_ylim(-0.02, 1.02)
    right.set_ylabel("mean probability")
    right.set_xlabel("share taken out" if made.off else "strength")
    if order:
        right.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{draw_words(made.title, 60)} · {len(made.rows)} held-out cases", fontsize=11)
    return _png(figure)
