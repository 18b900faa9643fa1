"""Effects one below the other, each beside what controls do: which stand out, and which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.imaging.palette import ACCENT, AMBER, GREY

LINE = 26  # pixels of an effect


@dataclass(frozen=True)
class Effect:
    """`value` of what is called `name`; `sign`: 1 or -1 where it stands out that way, 0 where it
    does no more than the controls. `low`, `high`: its interval, None where there is none.
    """

    name: str
    value: float
    sign: int
    low: float | None = None
    high: float | None = None


def add_controls(
    figure: go.Figure,
    words: str,
    bands: Sequence[tuple[str, float, float]],
    colour: str,
    opacity: float,
    width: float,
) -> None:
    """Draw how far controls go: of each effect its name and the ends of the band."""
    if bands:
        figure.add_bar(
            x=[high - low for _, low, high in bands],
            base=[low for _, low, _ in bands],
            y=[name for name, _, _ in bands],
            orientation="h",
            name=words,
            marker={"color": colour, "opacity": opacity},
            width=width,
            hoverinfo="skip",
        )


def draw_effects(
    figure: go.Figure, effects: Sequence[Effect], words: tuple[str, str, str], axis: str, top: int
) -> None:
    """Draw `effects` over their controls. `words`: what stands out upwards, downwards, and what
    does not; `axis` is the title of theirs, `top` what the figure is higher than its lines, pixels.
    """
    looks = ((1, AMBER, "triangle-right"), (-1, ACCENT, "triangle-left"), (0, GREY, "circle-open"))
    for said, (sign, colour, symbol) in zip(words, looks):
        some = [e for e in effects if e.sign == sign]
        sure = [(e.low, e.high) for e in some if e.low is not None and e.high is not None]
        error = None
        if sure and len(sure) == len(some):
            error = {
                "type": "data",
                "symmetric": False,
                "array": [high - e.value for e, (_, high) in zip(some, sure)],
                "arrayminus": [e.value - low for e, (low, _) in zip(some, sure)],
            }
        if some:
            figure.add_scatter(
                x=[e.value for e in some],
                y=[e.name for e in some],
                mode="markers",
                name=said,
                error_x=error,
                marker={"color": colour, "size": 13, "symbol": symbol},
            )
    figure.update_layout(
        barmode="overlay",
        height=top + LINE * len(effects),
        margin={"t": 10, "b": 10, "l": 10, "r": 10},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
        xaxis={"title": axis, "zeroline": True},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"},
    )
