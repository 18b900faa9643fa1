"""Gates on skip connections: heat with and without them, where they shut level by level, and what
they cost and gain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels import heat, nearest_normal, threshold
from app.panels.case_stages import SIDE, draw, opened, show_tiles
from app.state import Context
from core.artifacts import AnomalyMaps, Metric, Metrics
from core.errors import UserError
from core.evidence import load_evidence
from core.explain import gates
from core.explain.gates import GateUse
from core.imaging import render
from core.imaging.palette import ACCENT, AMBER, GREY, OKABE_ITO
from core.registry import methods
from core.stages import Stage

RATIO = ", with gates / without"  # how figures of cost and gain end
TIME = "processor time"  # the row of stored evidence that tells the added time
COMPARED = ("case AUROC", "pixel AUROC", "AUPRO (0.3)")


def fits(context: Context) -> bool:
    """Whether the method of the run has gates, and the data are pictures."""
    kind = methods().get(context.job.method)
    return context.data.modality == "image" and gates.has_gates(kind)


def show(artifact: AnomalyMaps, context: Context, row: int) -> None:
    """A switch, and behind it the case `row` with and without gates, and what these do."""
    with st.container(border=True):
        name = text.label(context.data.of(np.array([row])).names()[0], 40)
        on = st.toggle(
            f"Gates: what they change for case {name}, and what they cost and gain",
            key=context.key("gates"),
            help="Gates hold back what the earlier model copies of places it did not hide.",
        )
        if on:
            _show(artifact, context, row)


@st.fragment
def _show(artifact: AnomalyMaps, context: Context, row: int) -> None:
    try:
        method = opened(str(context.ws.home), context.job.id)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    if heat.has_heat(artifact, context.data) and np.isin(row, artifact.rows):
        _with_and_without(artifact, context, row)
    _levels(method, artifact, context, row)
    _cost_and_gain(context)


def earlier_maps(context: Context) -> AnomalyMaps | None:
    """The anomaly maps of the run that this one builds on; None where it is gone or gave none."""
    ws, base = context.ws, _base(context)
    if not base:
        return None
    found = (ws.artifact(base, slug) for slug in ws.slugs(base))
    return next(
        (a for a in found if isinstance(a, AnomalyMaps) and a.shows != "doubt" and a.place is None),
        None,
    )


def _base(context: Context) -> str:
    """The run that this one builds on; "" where it is gone, and for a model applied to other data,
    where the run below is of other cases.
    """
    job = context.job
    there = job.on_run and context.ws.catalogue.job(job.on_run) is not None
    return str(job.on_run) if there and job.kind == "train" else ""


def _with_and_without(artifact: AnomalyMaps, context: Context, row: int) -> None:
    """The case, its heat with or without gates, and what the gates add to it, on one scale."""
    data, before = context.data, earlier_maps(context)
    if before is None or not heat.has_heat(before, data) or not np.isin(row, before.rows):
        st.caption("The earlier run has no heat of this case to compare with.")
        return
    with_gates = st.toggle(
        "With gates", True, key=context.key("gates-on"), help="Off: the earlier run, without them"
    )
    maps = {True: artifact, False: before}
    hot = {on: _heat_of(one, row) for on, one in maps.items()}
    scale = heat.reach(str(context.ws.home), context.job.id, artifact.slug)
    shown = maps[with_gates]
    score = float(shown.score[shown.at(np.array([row]))[0]])
    at = threshold.threshold_of(artifact, context) if with_gates else before.threshold
    over = ""
    if at is not None:
        over = f", {'above' if score > at else 'not above'} its threshold {text.number(at)}"
    added = np.maximum(hot[True] - hot[False], 0)
    tiles = [
        (render.draw_case(data, row, SIDE, state.look()), "The case", ""),
        (
            _laid_over(hot[with_gates], context, row, scale),
            "Heat with gates" if with_gates else "Heat without gates",
            f"score {text.number(score)}{over}",
        ),
        (
            _laid_over(added, context, row, (0.0, scale[1] - scale[0])),
            "What the gates add",
            f"highest {text.number(float(added.max()))}",
        ),
    ]
    show_tiles(tiles, len(tiles))
    st.caption(
        f"Heat from {text.number(scale[0])} to {text.number(scale[1])}"
        f" {text.label(artifact.unit, 40)}, the scale of this run, with and without gates; what"
        f" they add from 0 to {text.number(scale[1] - scale[0])}. Each run has its own threshold."
    )


def _heat_of(maps: AnomalyMaps, row: int) -> np.ndarray:
    assert maps.map is not None
    return np.asarray(maps.map[maps.at(np.array([row]))[0]], dtype=np.float32)


def _laid_over(
    hot: np.ndarray, context: Context, row: int, scale: tuple[float, float]
) -> np.ndarray:
    (picture,) = render.draw_heat_maps(
        context.data, hot[None], np.array([row]), scale, heat.OPACITY, SIDE, look=state.look()
    )
    return picture


# -- level by level --------------------------------------------------------------------------------
@st.cache_resource(max_entries=8, show_spinner="Measuring the gates on normal pictures")
def _usual(home: str, run: str, hash: str, rows: bytes, _context: Context, _method: Any) -> GateUse:
    return gates.measure_gates(_method, _context.data.of(np.frombuffer(rows, np.int64)))


def _levels(method: Any, artifact: AnomalyMaps, context: Context, row: int) -> None:
    """Where the gates shut in this case, and how far they are open beside normal pictures."""
    import torch

    data = context.data
    case = data.of(np.array([row]))
    found = gates.open_gates(method, torch.from_numpy(case.inputs()))
    tiles = []
    for i, gate in enumerate(found):
        shut = 1 - gate[0]
        side = gate.shape[-1]
        stage = Stage(f"Level {i + 1}", "", "heat", shut)
        note = f"{side} × {side} places; shut by {text.percent(shut.mean())} in the mean"
        scale = (0.0, gates.SHUT)
        tiles.append((draw(stage, case.inputs()[0], context, scale), stage.title, note))
    st.markdown("**Where the gates shut**: clear is open, brightest is shut by half or more")
    show_tiles(tiles, len(tiles))
    at = threshold.threshold_of(artifact, context)
    normal, words = nearest_normal.normal_rows(artifact, context, at)
    val = normal[np.isin(normal, data.part("val").rows)]
    normal = (val if len(val) else normal).astype(np.int64)
    own = gates.measure_gates(method, case)
    usual = None
    if len(normal):
        usual = _usual(
            str(context.ws.home), context.job.id, data.hash, normal.tobytes(), context, method
        )
    st.plotly_chart(
        draw_levels(own, usual), key=context.key("gates-levels"), config={"displayModeBar": False}
    )
    if usual is not None:
        held = "validation pictures" if len(val) else "pictures"
        shut = own.shut.mean(), usual.shut.mean()
        st.caption(
            f"Normal: the mean of {usual.n} {held} ({words}). Places that let less than half"
            f" through: {text.percent(shut[0], 1)} in this case,"
            f" {text.percent(shut[1], 1)} in normal ones."
            + (
                " The levels are alike: one gate serves all of them, at the size of each."
                if usual.is_one_gate
                else ""
            )
        )


def draw_levels(own: GateUse, usual: GateUse | None) -> go.Figure:
    """Bars of the mean share let through by level: of the case, and of normal pictures."""
    names = [f"level {i + 1}" for i in range(len(own.side))]
    figure = go.Figure()
    for use, name, colour in ((own, "this case", AMBER), (usual, "normal", ACCENT)):
        if use is not None:
            figure.add_bar(
                x=names,
                y=use.open,
                name=name,
                marker_color=colour,
                text=[f"{v:.2f}" for v in use.open],
                hovertemplate="%{x}: %{y:.3f} let through<extra>%{fullData.name}</extra>",
            )
    figure.update_layout(
        height=230,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        yaxis={"range": [0, 1.05], "title": "share let through"},
        barmode="group",
    )
    return figure


# -- cost and gain ---------------------------------------------------------------------------------
def _metrics(context: Context, run: str) -> list[Metric]:
    """All figures that a run gave."""
    ws = context.ws
    return [
        m
        for slug in ws.slugs(run)
        if isinstance(a := ws.artifact(run, slug), Metrics)
        for m in a
        if m.value is not None
    ]


def _cost_and_gain(context: Context) -> None:
    """How much more errors grow with gates, on normal pictures and where they should; the AUROC of
    both runs; and the time that gates add.
    """
    own = _metrics(context, context.job.id)
    ratios = [m for m in own if m.name.endswith(RATIO)]
    if not ratios:
        return
    st.markdown("**What the gates cost and gain** in this run, on validation pictures")
    st.plotly_chart(
        draw_ratios(ratios), key=context.key("gates-ratios"), config={"displayModeBar": False}
    )
    cost, gain = (
        max((m.value or 1.0 for m in ratios if m.higher_is_better is kind), default=1.0)
        for kind in (False, True)
    )
    st.caption(
        "Gates are worth it where errors grow far more at parts that were not hidden than on normal"
        f" pictures: here by {100 * (gain - 1):+.0f} % and {100 * (cost - 1):+.0f} %."
    )
    base = _base(context)
    earlier = _metrics(context, base) if base else []
    lines = []
    for name in COMPARED:
        pair = [_of(name, found) for found in (earlier, own)]
        if pair[0] is not None and pair[1] is not None:
            words = " | ".join(text.label(text.measured(m, n=True)) for m in pair if m is not None)
            lines.append(f"| {name} | {words} |")
    if lines:
        table = "\n".join(lines)
        st.markdown(f"| | Without gates | With gates |\n|---|---|---|\n{table}")
    st.caption(
        "On held-out cases; in brackets 95 % intervals. Where they overlap, a gain is not sure."
        if lines
        else "Nothing was measured of both runs on held-out cases, so the gain in AUROC is unknown."
    )
    if added := describe_added_time(context.job.method):
        st.caption(added)


def _of(name: str, found: list[Metric]) -> Metric | None:
    """The test figure of a name, of all cases."""
    return next((m for m in found if m.name == name and m.split == "test"), None)


def draw_ratios(ratios: list[Metric]) -> go.Figure:
    """Bars of how many per cent errors grow by with gates, what is wanted in green, costs in
    orange.
    """
    ratios = sorted(ratios, key=lambda m: m.higher_is_better is not True)
    value = [100 * ((m.value or 1.0) - 1) for m in ratios]
    figure = go.Figure(
        go.Bar(
            x=value,
            y=[text.chart(m.name.removesuffix(RATIO), 60) for m in ratios],
            orientation="h",
            marker_color=[OKABE_ITO[2] if m.higher_is_better else AMBER for m in ratios],
            text=[f"{v:+.1f} %" for v in value],
            hovertemplate="%{y}: %{x:+.1f} %<extra></extra>",
        )
    )
    figure.add_vline(0, line_color=GREY)
    figure.update_layout(
        height=90 + 36 * len(ratios),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "% more than without gates (green: gain, orange: cost)"},
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return figure


def describe_added_time(method: str) -> str:
    """What stored benchmarks of the method say of the time that gates add; "" where nothing."""
    found = [
        (table, row)
        for table in (load_evidence(method) or {"tables": []})["tables"]
        for row in table["rows"]
        if row["name"] == TIME and row["value"] is not None
    ]
    if not found:
        return ""
    said = "; ".join(
        f"{100 * row['value']:+.0f} % ({text.label(table['title'].partition(':')[0], 40)},"
        f" n = {table['n']})"
        for table, row in found
    )
    return f"Time of a picture beside that without gates, in stored benchmarks: {said}."
