"""The page's own style sheets: less empty space around, pictures kept sharp, figures that can be
read in both themes; the bare stage of a presentation. Components, since raw HTML is forbidden here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from core.imaging.palette import (
    DARK,
    FAINT,
    GREY,
    INK,
    NONE,
    PAGES,
    category_colours,
    readable,
    rgb,
)

GRAPHIC, WRITING = 3.0, 4.5  # least contrast with the page (WCAG 2.2, 1.4.11 and 1.4.3)
DEFAULT_WORDS = "rgb(128, 132, 149)"  # Streamlit's, on the light page, where it is 3.6
DARK_WORDS = "rgb(68, 68, 68)"  # plotly's own, on light cells and bars
DEFAULT_LINE = "rgb(0, 0, 0)"  # plotly's own, of shapes


@cache
def _sheet(name: str) -> Any:
    import streamlit as st

    css = (Path(__file__).parent / f"{name}.css").read_text()
    css += figure_rules() if name == "page" else ""
    return st.components.v2.component(
        f"lightbox_style_{name}", html="<span></span>", css=css, isolate_styles=False
    )


def figure_rules() -> str:
    """Rules for Plotly figures, which are drawn once for both themes: a change of the theme reaches
    them in the browser alone, where Streamlit changes the page behind them, not their own colours.

    Writing beside the data has the page's colour, and each colour of the palette that would fade in
    a theme is darker or lighter there. Colours of cells and surfaces stay.
    """
    figure = ".js-plotly-plot"
    beside = ".xtick, .ytick, .g-xtitle, .g-ytitle, .g-gtitle, .legend, .infolayer g[class^=cb]"
    rules = [
        f"{figure} :is({beside}) text, {figure} text:is(.xtitle, .ytitle, .gtitle)"
        " { fill: currentColor !important; }",
        f'{figure} .shapelayer path[style*="stroke: {DEFAULT_LINE}"]'
        " { stroke: currentColor !important; }",
        f'{figure} text[style*="fill: {DEFAULT_WORDS}"] {{ fill: currentColor !important; }}',
        f'{figure} :is(.heatmap-label text, .bartext)[style*="fill: {DARK_WORDS}"]'
        f" {{ fill: {INK} !important; }}",
    ]
    for theme, behind in PAGES.items():
        within = f'[data-lightbox="{theme}"] {figure}'
        for colour in dict.fromkeys((*category_colours(24), NONE, DARK, GREY, FAINT)):
            drawn = "rgb({}, {}, {})".format(*rgb(colour))
            seen, read = (readable(colour, behind, least) for least in (GRAPHIC, WRITING))
            if seen != colour:
                rules += [  # a style where plotly drew it, an attribute in the hatching of bars
                    f'{within} :is(:not(text)[style*="{part}: {drawn}"], [{part}="{drawn}"])'
                    f" {{ {part}: {seen} !important; }}"
                    for part in ("fill", "stroke")
                ]
            if read != colour:
                rules.append(
                    f'{within} .annotation-text[style*="fill: {drawn}"]'
                    f" {{ fill: {read} !important; }}"
                )
    return "\n".join(rules)


def apply(name: str = "page") -> None:
    """Add the sheet `name` to the page for this run; draws nothing. "page" is everyone's, "stage"
    leaves only the slide.
    """
    _sheet(name)(key=f"{name}-style", height=0)
