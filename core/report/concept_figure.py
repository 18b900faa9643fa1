"""The static picture of what a concept does to the outputs of a model, for stories and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.imaging.palette import FAINT, OKABE_ITO
from core.report.figures import _new_figure, _png, draw_words

if TYPE_CHECKING:
    from core.artifacts import ConceptTest

BARS = 15


def concept_figure(made: ConceptTest) -> bytes:
    """Return the effect on each output beside that of 95 % of the random concepts, and how well the
    layer tells the concept; where it cannot be read, no effects, since nothing is concluded.
    """
    read = made.readable
    results = sorted(made.results, key=lambda r: -abs(r["effect"]))[:BARS] if read["ok"] else []
    figure = _new_figure(10, 1.6 + 0.4 * max(len(results), 1))
    axes = figure.add_subplot()
    for i, r in enumerate(results):
        half = 1.96 * r["random_effect"]
        axes.barh(i, 2 * half, 0.8, -half, color=FAINT, linewidth=0)
        sure = r["significant"]
        colour = OKABE_ITO[7] if not sure else OKABE_ITO[0 if r["effect"] > 0 else 4]
        axes.plot(r["effect"], i, "o", color=colour, ms=9, fillstyle="full" if sure else "none")
    axes.axvline(0, color="black", lw=0.8)
    names = [
        "anomaly score" if r["output"] == "score" else r["output"].removeprefix("class ")
        for r in results
    ]
    axes.set(yticks=range(len(results)), ylim=(len(results) - 0.4, -0.6))
    axes.set_yticklabels([draw_words(name) for name in names])
    bounds = "" if read["low"] is None else f" [{read['low']:.2f}, {read['high']:.2f}]"
    axes.set_xlabel(
        "change when a case gets the concept (log-odds); band: 95 % of"
        f" {made.random} random concepts;\nfilled: significant. Read on {read['by']} with AUROC"
        f" {read['auroc']:.2f}{bounds}, n = {read['n']}",
        fontsize=9,
    )
    if not results:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing can be concluded", ha="center", transform=axes.transAxes)
    axes.set_title(draw_words(f"concept “{made.concept}”, {made.layer}", 90), fontsize=11)
    return _png(figure)
