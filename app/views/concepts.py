"""A concept and what it does to the outputs of a model, against random concepts, with the cases at
both ends.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.panels.effects import Effect, add_controls, draw_effects
from app.panels.gallery import strip
from app.state import Context
from core.artifacts import ConceptTest
from core.imaging.palette import GREY

TITLE = "Concept"
SHOWN = 8  # cases a row
BARS = 20  # outputs drawn, largest effect first


def show(artifact: ConceptTest, context: Context) -> None:
    """What the test says, how sure it is, and the cases the concept is strongest and weakest in."""
    read = artifact.readable
    st.markdown(f"**{text.label(artifact.concept)}**: {text.label(artifact.says, 400)}")
    st.caption(
        f"Learned from {artifact.inside:,} training cases with it, in the"
        f" {text.label(artifact.layer)}; read on {text.label(read['by'])} with AUROC"
        f" {text.interval(read['auroc'], read['low'], read['high'], read['n'])}, of which"
        f" {read['inside']:,} have it."
    )
    if read["ok"]:
        _effects(artifact, context)
    st.markdown("**Cases it was found in**", help="Held-out cases, by how much of it they hold.")
    amount = np.asarray(artifact.amount)
    order = np.argsort(-amount, kind="stable")
    _row(artifact, context, "Most of it", order[:SHOWN], amount, "most")
    _row(artifact, context, "Least of it", order[::-1][:SHOWN], amount, "least")
    if read["ok"]:
        _slopes(artifact, context)


def name_output(output: str) -> str:
    """An output for people: a class by its name."""
    return "anomaly score" if output == "score" else output.removeprefix("class ")


def _small(q: float) -> str:
    """A q-value for reading."""
    return "< 0.0001" if q < 1e-4 else f"{q:.2g}"


def _effects(artifact: ConceptTest, context: Context) -> None:
    results = sorted(artifact.results, key=lambda r: -abs(r["effect"]))
    drawn = results[:BARS]
    names = [text.chart(name_output(r["output"]), 30) for r in drawn]
    figure = go.Figure()
    spread = [1.96 * r["random_effect"] for r in drawn]
    bands = [(n, -half, half) for n, half in zip(names, spread)]
    add_controls(figure, f"95 % of {artifact.random} random concepts", bands, GREY, 0.45, 0.8)
    effects = [
        Effect(n, r["effect"], int(np.sign(r["effect"])) if r["significant"] else 0)
        for r, n in zip(drawn, names)
    ]
    kinds = ("speaks for it", "speaks against it", "not significant")
    axis = "change when a case gets the concept (log-odds)"
    draw_effects(figure, effects, kinds, axis, 110)
    st.plotly_chart(
        figure,
        key=context.key(f"concept-{artifact.slug}-{artifact.concept}"),
        config={"displayModeBar": False},
    )
    if len(results) > BARS:
        st.caption(f"The {BARS} largest of {len(results)} outputs are drawn; the table has all.")
    with st.expander("Table"):
        st.dataframe(
            pd.DataFrame(
                {
                    "output": [text.plain(name_output(r["output"])) for r in results],
                    "effect": [text.number(r["effect"]) for r in results],
                    "random (sd)": [text.number(r["random_effect"]) for r in results],
                    "q": [_small(r["q"]) for r in results],
                    "TCAV score": [
                        text.interval(r["share"], r["low"], r["high"], r["n"]) for r in results
                    ],
                    "random scores": [
                        f"{r['random_low']:.2f}–{r['random_high']:.2f}" for r in results
                    ],
                }
            ),
            hide_index=True,
        )
        st.caption(
            "TCAV score: share of held-out cases of the class in which its log-odds rise along the"
            " concept, with its 95 % interval over patients. Right before the answer all cases have"
            " one sign, so random concepts often have 0 or 1 as well; what is tested is the mean"
            " change. q: share of false findings to expect (Benjamini–Hochberg)."
        )
    if "latent space" not in artifact.layer:
        st.caption(
            ":material/warning: In a layer before the latent space a concept may seem to matter"
            " that later layers cancel; trust the latent space first."
        )
    st.caption(
        "A significant concept is one the output changes with, alone or together with what goes"
        " with it in this data; it is no proof of a cause."
    )


def _slopes(artifact: ConceptTest, context: Context) -> None:
    """The cases whose output would rise and fall most."""
    slope = np.asarray(artifact.slope)
    order = sorted(range(len(artifact.outputs)), key=lambda t: -abs(artifact.results[t]["effect"]))
    spread = [t for t in order if np.ptp(slope[:, t]) > 1e-6]
    if not spread:
        st.caption("The outputs change by the same amount in every case.")
        return
    chosen = st.selectbox(
        "Cases in which the concept would change most",
        spread,
        format_func=lambda t: text.plain(name_output(artifact.outputs[t])),
        key=context.key(f"concept-output-{artifact.slug}"),
    )
    by = np.argsort(-slope[:, chosen], kind="stable")
    _row(artifact, context, "Rises most", by[:SHOWN], slope[:, chosen], "up")
    _row(artifact, context, "Rises least, or falls", by[::-1][:SHOWN], slope[:, chosen], "down")


def _row(
    artifact: ConceptTest,
    context: Context,
    words: str,
    at: np.ndarray,
    value: np.ndarray,
    key: str,
) -> None:
    """Cases side by side with their number, each to be looked at."""
    st.caption(words)
    strip(
        context,
        np.asarray(artifact.rows)[at],
        [f"{v:+.2f}" for v in value[at]],
        f"concept-{artifact.slug}-{key}",
        SHOWN,
    )
