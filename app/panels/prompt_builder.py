"""Try another prompt: how much of each kind, from which normal picture; made at once, nothing is
stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.panels.case_stages import ask_settings, opened, show_tiles
from app.state import Context
from core.artifacts import Pairs
from core.errors import UserError
from core.imaging import render
from core.registry import methods
from core.stages import Stage

ACROSS, SIDE = 4, 224
DRAWS = 20  # draws of noise offered


def show(artifact: Pairs, context: Context) -> None:
    """A switch, the prompt, and what comes of it; nothing for methods that take no prompts."""
    kind = methods().get(context.job.method)
    if kind is None or not hasattr(kind, "generate"):
        return
    with st.container(border=True):
        on = st.toggle(
            "Try another prompt: mix the kinds and see each step",
            key=context.key("prompt-on"),
            help="Made by the trained model at once and not stored, so not to be approved.",
        )
        if on:
            _builder(artifact, context)


@st.fragment
def _builder(artifact: Pairs, context: Context) -> None:
    """The sliders and the steps, drawn again alone when one is moved."""
    try:
        method = opened(str(context.ws.home), context.job.id)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    mix = {}
    for cell, kind in zip(st.columns(max(3, len(artifact.kinds))), artifact.kinds):
        first = kind == artifact.kinds[0]
        mix[kind] = cell.slider(
            text.label(kind, 40),
            0.0,
            1.0,
            1.0 if first else 0.0,
            0.05,
            key=context.key(f"prompt-mix-{kind}"),
            help="How much the tokens of this kind count; all at 0 asks for a normal picture.",
        )
    controls = method.prompts()
    cells = st.columns(2 + len(controls))
    settings = ask_settings(controls, cells, context, "prompt")
    starts = _starts(artifact, context)
    row = cells[-2].selectbox(
        "Normal picture it begins from",
        starts,
        format_func=lambda r: text.plain(context.data.of(np.array([r])).names()[0], 30),
        key=context.key("prompt-row"),
    )
    draw = cells[-1].select_slider(
        "Draw", list(range(1, DRAWS + 1)), 1, key=context.key("prompt-draw"), help="Of the noise"
    )
    _steps(method, int(row), mix, int(draw), settings, context)


def _starts(artifact: Pairs, context: Context) -> list[int]:
    """Normal training pictures to begin from: those that pairs are most like, then others."""
    data = context.data
    near = [r for r in dict.fromkeys(np.asarray(artifact.nearest).tolist()) if r in data.rows]
    rows = data.of(np.array(near, np.int64)) if near else data.part("train")
    clear = rows if rows.masks is None else rows.take(np.flatnonzero(~rows.mask().any((1, 2))))
    return [int(r) for r in clear.rows[:50]]


def _steps(
    method: Any, row: int, mix: dict[str, float], draw: int, settings: dict[str, Any], context: Any
) -> None:
    """The pictures from start to mask and attention."""
    import torch

    x = torch.from_numpy(context.data.of(np.array([row])).inputs())
    with torch.no_grad():
        stages: list[Stage] = method.generate(x, mix, draw, **settings)
    made = next(s.image for s in stages if s.drawn == "generated")
    show_tiles([(_drawn(s, made, context), s.title, s.note) for s in stages], ACROSS)
    st.caption("Generated: not patient data. Tried here alone, nothing is stored.")


def _drawn(stage: Stage, made: np.ndarray, context: Context) -> np.ndarray:
    """A step as a picture uint8 [h,w,3]; a mask outlined on the picture `made` [C,S,S]."""
    look, data = state.look(), context.data
    if stage.drawn == "input":
        picture = render.orient_like(render.input_to_rgb(stage.image), data, look)
        return render.enlarge(picture, SIDE)
    if stage.drawn == "places":
        picture = render.enlarge(render.orient_like(render.input_to_rgb(made), data, look), SIDE)
        mask = render.orient_like(stage.image > 0, data, look)
        return render.mark_generated(render.draw_outline(picture, mask, width=2), 0)
    image = stage.image if stage.drawn == "generated" else stage.image[None]
    return render.draw_generated(image, data, SIDE, look=look)
