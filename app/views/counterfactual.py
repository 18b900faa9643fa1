"""One case before and after the smallest change that flips the model's answer, and the change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import state, text
from app.panels.gallery import thumbs
from app.state import Context
from app.views.traversal import gauge
from core.artifacts import Counterfactual
from core.explain.counterfactual import PLAUSIBLE
from core.imaging import changes, render
from core.imaging.windowing import DisplaySettings

TITLE = "Counterfactual"
SIDE = 240  # pixels


def fits(artifact: Counterfactual, data: object) -> bool:
    """Whether the counterfactual is of data of this shape."""
    return tuple(np.asarray(artifact.before).shape) == tuple(getattr(data, "shape", ()))


def show(artifact: Counterfactual, context: Context) -> None:
    """What was found in a sentence, the pictures or the columns that change, and the figures."""
    warn = not artifact.found or artifact.way == "nearest case"
    (st.warning if warn else st.markdown)(text.label(artifact.said, 500))
    if not artifact.found:
        _real(artifact, context)
        return
    if context.data.modality == "table":
        _columns(artifact, context)
    else:
        _pictures(artifact, context)
    _figures(artifact)


def _pictures(artifact: Counterfactual, context: Context) -> None:
    """The case, before, after, difference, and a real case that has the answer, side by side."""
    look = DisplaySettings("range", state.look().side)
    drawn = changes.draw_change(artifact, context.data, SIDE, look)
    row = int(artifact.rows[0])
    case = render.draw_case(context.data, row, SIDE, look)
    if artifact.way == "latent":
        tiles = [
            ("The case", case),
            ("Before: the model’s picture of it", drawn["before"]),
            ("After", drawn["after"]),
        ]
    else:
        after = "A real case instead" if artifact.way == "nearest case" else "After"
        tiles = [("Before: the case", case), (after, drawn["after"])]
    if "difference" in drawn:
        tiles.append(("Difference", drawn["difference"]))
    if artifact.near >= 0 and artifact.way != "nearest case":
        near = render.draw_case(context.data, artifact.near, SIDE, look)
        tiles.append(("Nearest real case so answered", near))
    cells = st.columns(len(tiles))
    for cell, (title, picture) in zip(cells, tiles):
        cell.image(picture, width="stretch", alt=title)
        cell.caption(title)
    if artifact.near >= 0:
        cells[-1].button(
            text.label(context.data.of(np.array([artifact.near])).names()[0], 24),
            key=context.key(f"flip-near-{artifact.near}"),
            on_click=state.look_at,
            args=(artifact.near,),
            type="tertiary",
        )
    if "difference" in drawn:
        st.caption(
            "All pictures are on one scale of grey. Difference: orange is brighter after, blue"
            f" darker; full colour at ±{changes.full_colour(artifact):.2f} of that scale."
        )


def _columns(artifact: Counterfactual, context: Context) -> None:
    """Of a table: the columns that change, and no others."""
    table = pd.DataFrame(artifact.fields).rename(columns={"field": "column"})
    st.dataframe(table, hide_index=True, width="content")
    st.caption(
        "The values are those of real training cases. “After” is nobody’s record (GENERATED): no"
        " patient was so. Fewest columns found by the search, which does not try every combination."
    )
    _real(artifact, context)


def _real(artifact: Counterfactual, context: Context) -> None:
    """The nearest real case that has the wanted answer."""
    if artifact.near < 0:
        st.caption(f"No real case of which the model says {text.label(artifact.wanted)} was found.")
        return
    name = context.data.of(np.array([artifact.near])).names()[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        if render.is_drawable(context.data):
            st.image(thumbs(context.data, np.array([artifact.near]), 96)[0], width=96, alt="")
        st.caption(f"Nearest real case of which the model says {text.label(artifact.wanted)}:")
        st.button(
            text.label(name, 24),
            key=context.key(f"flip-real-{artifact.near}"),
            on_click=state.look_at,
            args=(artifact.near,),
            type="tertiary",
        )


def _figures(artifact: Counterfactual) -> None:
    """What the model says before and after, how large the change is, whether it is plausible."""
    before, after = artifact.answer
    if artifact.target == "score":
        told = {
            "Anomaly score": f"{text.figures(before)} → {text.figures(after)}",
            "Threshold": text.figures(artifact.boundary or 0.0),
        }
    else:
        told = {
            f"Share of {text.label(artifact.wanted, 24)}": (
                f"{text.percent(before)} → {text.percent(after)}"
            ),
            "The model says": " → ".join(text.label(o, 20) for o in artifact.others),
        }
    if artifact.fields:
        told["Size of the change"] = f"{artifact.moved:.2f} standard deviations, all columns added"
    else:
        told["Change of the input"] = (
            f"{artifact.changed_mean:.3f} on average,"
            f" {text.percent(artifact.changed_share, 1)} of places by more than 5 %"
        )
        moved = artifact.moved or 0.0
        told["Length in latent space"] = (
            f"{moved:.2f} standard deviations" if moved >= 0.005 else "none: all is beside it"
        )
    for cell, (title, value) in zip(st.columns(len(told)), told.items()):
        cell.caption(title)
        cell.markdown(f"**{value}**")
    if artifact.distance:
        far = artifact.distance[-1]
        if far < PLAUSIBLE:
            st.badge("Plausible", icon=":material/check:", color="green")
        else:
            st.badge("Not plausible", icon=":material/warning:", color="orange")
        gauge(far)
        if far >= PLAUSIBLE:
            st.caption("The case itself is as far from the training cases, so it was shown.")
