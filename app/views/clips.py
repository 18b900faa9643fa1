"""A film player: the outline that was followed against the truth, frame by frame and playing, and
how far off it is over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from app import state, text
from app.state import Context
from core.artifacts import Predictions
from core.data.clips import (
    BASELINES,
    Clip,
    all_frames,
    baseline_outlines,
    clip_scores,
    clips_of,
    is_film,
    pixel_spacing,
)
from core.data.dataset import Dataset
from core.evaluate import held_out
from core.imaging import render
from core.imaging.palette import ACCENT, AMBER, NONE
from core.stats.tracking import centroids, dice

TITLE = "Film"
SIDE, TRAIL = 600, 4  # pixels of the picture; earlier outlines shown behind the present one
PREDICTED, TRUTH = (230, 159, 0), (86, 180, 233)
MOST = 60  # clips ranked by their Dice; ranking more would read too much


@dataclass(frozen=True)
class Film:
    """One clip: pictures uint8 [T,H,W,3], times [T], masks bool [T,H,W] by who made them
    ("tracked", the baselines), and the truth where it is known.
    """

    clip: Clip
    shown: np.ndarray
    times: np.ndarray
    said: dict[str, np.ndarray]
    truth: np.ndarray
    mm: float | None

    @property
    def known(self) -> np.ndarray:
        return self.clip.outlined


def fits(artifact: Predictions, data: Dataset) -> bool:
    """Outlines of the frames of films."""
    return (
        artifact.prob is not None
        and artifact.prob.ndim == 4
        and is_film(data)
        and artifact.prob.shape[2:] == data.shape[1:]
    )


def _load_predictions(run: str, slug: str) -> Predictions:
    artifact = state.workspace().artifact(run, slug)
    assert isinstance(artifact, Predictions)
    return artifact


@st.cache_data(max_entries=8, show_spinner=False)
def _load_clips(
    home: str, run: str, slug: str, dataset: str
) -> tuple[list[Clip], dict[str, float]]:
    """The clips that were looked at, those held out first, and the mean Dice of the held-out ones
    (the first MOST of them).
    """
    artifact, data = _load_predictions(run, slug), state.workspace().dataset(dataset)
    rows = set(artifact.rows.tolist())
    score: dict[str, float] = {}
    found = [c for c in clips_of(all_frames(data)) if rows & set(c.rows.tolist())]
    apart = set(artifact.rows[held_out(data, artifact.rows)[1]].tolist())
    # the longest of those held out is the one to look at first
    found.sort(key=lambda c: (not apart & set(c.rows.tolist()), -len(c.rows)))
    for clip in [c for c in found if apart & set(c.rows.tolist()) and c.scored.any()][:MOST]:
        at = clip.rows[clip.scored]
        score[clip.name] = float(dice(artifact.marked(at), all_frames(data).of(at).mask()).mean())
    return found, score


@st.cache_data(max_entries=16, show_spinner="Reading the film")
def _load_film(home: str, run: str, slug: str, dataset: str, at: int) -> Film:
    artifact, data = _load_predictions(run, slug), all_frames(state.workspace().dataset(dataset))
    clip = _load_clips(home, run, slug, dataset)[0][at]
    part = data.of(clip.rows)
    times = np.array([float(t) for t in part.column("time")])  # type: ignore[union-attr]
    truth = (
        part.mask() if data.masks is not None else np.zeros((len(clip.rows), *data.shape[1:]), bool)
    )
    shown = np.stack([render.input_to_rgb(x) for x in part.inputs()])
    return Film(
        clip,
        shown,
        times,
        {"tracked": artifact.marked(clip.rows), **baseline_outlines(data, clip)},
        truth,
        pixel_spacing(data, clip),
    )


@st.cache_data(max_entries=8, show_spinner="Making the film")
def _make_gif(
    home: str, run: str, slug: str, dataset: str, at: int, trail: bool, truth: bool, seconds: float
) -> bytes:
    film = _load_film(home, run, slug, dataset, at)
    return render.encode_gif(
        [draw_frame(film, t, trail, truth, 420) for t in range(len(film.shown))],
        seconds,
        back=False,
    )


def draw_frame(film: Film, t: int, trail: bool, truth: bool, side: int = SIDE) -> np.ndarray:
    """Frame `t` with its outline in amber, the truth in blue where it is known, and fainter amber
    lines for the frames before.
    """
    made = render.enlarge(film.shown[t], side)
    width = max(1, made.shape[0] // 250)
    for k in range(max(0, t - TRAIL), t) if trail else ():
        made = render.draw_outline(
            made, film.said["tracked"][k], PREDICTED, 1, 0.75 - 0.15 * (t - k)
        )
    if truth and film.known[t]:
        made = render.draw_outline(made, film.truth[t], TRUTH, width)
    return render.draw_outline(made, film.said["tracked"][t], PREDICTED, width)


def show(artifact: Predictions, context: Context) -> None:
    """Choice of clip, the picture with its controls, and the curves over time."""
    if not fits(artifact, context.data):
        st.caption("These predictions are no segmentations of films.")
        return
    where = (str(context.ws.home), context.job.id, artifact.slug, context.data.name)
    clips, score = _load_clips(*where)
    order, key = _order_clips(clips, score, context), context.key(f"clip-{artifact.slug}")
    names = {}
    for i in order:
        name = clips[i].name
        dice_of = f" · Dice {text.number(score[name])}" if name in score else ""
        names[i] = text.plain(name, 50) + dice_of
    state.kept(key, order[0], order)
    at = st.selectbox(
        "Clip",
        order,
        format_func=names.__getitem__,
        key=f"w-{key}",
        on_change=state.keep,
        args=(key,),
    )
    film = _load_film(*where, at)
    if film.clip.start < 0:
        st.info(
            "No frame of this clip is outlined, so there was nothing to follow and there is nothing"
            " to compare with."
        )
    left, right = st.columns([5, 3])
    with right:
        t, play, trail, truth, pace = _show_controls(film, context, f"{artifact.slug}-{at}")
    with left:
        if play:
            st.image(
                _make_gif(*where, at, trail, truth, pace), width="stretch", alt="The film, outlined"
            )
        else:
            st.image(
                draw_frame(film, t, trail, truth), width="stretch", alt=f"Frame {t + 1}, outlined"
            )
        st.caption(
            "Amber: the outline followed. Blue: the truth drawn by hand."
            + (" Faint lines: the frames before." if trail else "")
        )
    with right:
        if not play:
            _show_frame_facts(film, t)
    if film.clip.scored.any():
        st.plotly_chart(
            _draw_curves(film, t, context),
            key=context.key(f"curves-{artifact.slug}"),
            config={"displayModeBar": False},
        )
        with st.expander("The figures of this clip"):
            st.dataframe(_make_table(film), hide_index=True, width="stretch")
            st.caption(
                f"Mean over the {int(film.clip.scored.sum())} frames with a truth after the given"
                " one. Neither baseline learns anything: one leaves the first outline where it was,"
                " the other moves it with the picture around it."
            )


def _order_clips(clips: list[Clip], score: dict[str, float], context: Context) -> list[int]:
    """Positions of the clips in the order offered."""
    order = list(range(len(clips)))
    if len(score) > 1 and st.toggle(
        "Worst clip first",
        key=context.key("worst-clip"),
        help="Held-out clips by their mean Dice, the lowest first.",
    ):
        order.sort(key=lambda i: score.get(clips[i].name, 2.0))
    return order


def _show_controls(film: Film, context: Context, name: str) -> tuple[int, bool, bool, bool, float]:
    """(frame, playing, trail, truth, seconds a frame) from the widgets beside the picture."""
    many, key = len(film.shown), context.key(f"frame-{name}")
    t = min(int(state.kept(key, max(0, film.clip.start) + 1)), many) - 1  # people count from 1
    if many > 1:
        t = -1 + st.slider(
            "Frame",
            1,
            many,
            help="With the handle in focus, the arrow keys step through the film.",
            key=f"w-{key}",
            on_change=state.keep,
            args=(key,),
        )

    def jump(place: Any, label: str, to: int, able: bool, **more: Any) -> None:
        place.button(
            label,
            disabled=not able,
            on_click=state.set_value,
            args=(key, to + 1),
            key=f"{label}-{key}",
            width="stretch",
            **more,
        )

    cells = st.columns(3)
    jump(cells[0], "Back", t - 1, t > 0, icon=":material/chevron_left:")
    jump(cells[1], "Next", t + 1, t < many - 1, icon=":material/chevron_right:")
    scored = np.flatnonzero(film.clip.scored)
    worst = (
        int(scored[dice(film.said["tracked"][scored], film.truth[scored]).argmin()])
        if len(scored)
        else 0
    )
    jump(
        cells[2],
        "Worst",
        worst,
        len(scored) > 0,
        help="Jump to the frame with the lowest Dice of this clip.",
    )
    first, second, third = st.columns([4, 5, 4])
    play = first.toggle("Play", key=context.key("play"), disabled=many < 2)
    trail = second.toggle(
        "Trail", True, key=context.key("trail"), help=f"The outlines of the {TRAIL} frames before."
    )
    truth = third.toggle("Truth", True, key=context.key("truth"))
    pace = (
        st.select_slider(
            "Seconds a frame", [0.05, 0.1, 0.2, 0.4, 0.8], 0.2, key=context.key("pace")
        )
        if play
        else 0.2
    )
    return t, play, trail, truth, float(pace)


def _show_frame_facts(film: Film, t: int) -> None:
    """What is to be said about frame `t`."""
    st.markdown(f"**Frame {t + 1} of {len(film.shown)}** · time {film.times[t]:g}")
    if t == film.clip.start:
        st.caption("The outline of this frame was given; it does not count.")
    elif not film.said["tracked"][t].any():
        st.caption(
            "Before the given outline; nothing was followed backwards."
            if t < film.clip.start
            else "Nothing is outlined here."
        )
    if film.clip.scored[t]:
        error = np.hypot(
            *(centroids(film.said["tracked"][t : t + 1]) - centroids(film.truth[t : t + 1]))[0]
        )
        lines = [
            f"- {'this outline' if who == 'tracked' else who}:"
            f" **{text.number(float(dice(film.said[who][t : t + 1], film.truth[t : t + 1])[0]))}**"
            for who in film.said
        ]
        st.markdown(
            "Dice\n"
            + "\n".join(lines)
            + f"\n\nCentre off by {text.number(float(error) * (film.mm or 1), 1)}"
            f" {'mm' if film.mm else 'px'}"
        )
    elif t != film.clip.start:
        st.caption("Nobody has outlined this frame, so there is nothing to compare with.")


def _draw_curves(film: Film, t: int, context: Context) -> go.Figure:
    """Dice, area and the way of the centre over time; dots where the truth is known."""
    unit, mm = ("mm", film.mm) if film.mm else ("px", 1.0)
    figure = make_subplots(3, 1, shared_xaxes=True, vertical_spacing=0.06)
    x, at = film.times, np.flatnonzero(film.clip.scored)
    looks: dict[str, tuple[str, str, str]] = {
        "tracked": (AMBER, "solid", "circle"),
        BASELINES[0]: (NONE, "dash", "square"),
        BASELINES[1]: (NONE, "dot", "diamond"),
    }
    for who, (colour, dash, symbol) in looks.items():
        figure.add_scatter(
            x=x[at],
            y=dice(film.said[who][at], film.truth[at]),
            name="this outline" if who == "tracked" else who,
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            marker={"symbol": symbol, "size": 7},
            row=1,
            col=1,
        )
    every, known = np.arange(len(x)), np.flatnonzero(film.known)
    begin = centroids(film.truth[known[:1]])[0] if len(known) else np.zeros(2)
    for masks, points, colour, name, mode in (
        (film.said["tracked"], every, AMBER, "this outline", "lines"),
        (film.truth, known, ACCENT, "truth", "markers"),
    ):
        # before the given frame nothing was looked for: no area, not none
        looked = (points >= film.clip.start) | masks[points].any((1, 2))
        look = {"name": name, "mode": mode, "line": {"color": colour}, "marker": {"color": colour}}
        figure.add_scatter(
            x=x[points],
            y=np.where(looked, masks[points].sum((1, 2)) * mm**2, np.nan),
            showlegend=name == "truth",
            row=2,
            col=1,
            **look,
        )
        way: Any = np.hypot(*(centroids(masks[points]) - begin).T) * mm
        figure.add_scatter(x=x[points], y=way, showlegend=False, row=3, col=1, **look)
    figure.add_vline(x=x[t], line={"color": ACCENT, "width": 1, "dash": "dot"})
    for row, title in enumerate(("Dice", f"area ({unit}²)", f"centre moved ({unit})"), 1):
        figure.update_yaxes(
            title=title,
            row=row,
            col=1,
            **({"range": [0, 1.02]} if row == 1 else {"rangemode": "tozero"}),
        )
    figure.update_xaxes(title=text.chart(context.data.roles["time"], 40), row=3, col=1)
    figure.update_layout(
        height=520,
        margin={"t": 30, "b": 10, "l": 10, "r": 10},
        legend={"orientation": "h", "y": 1.08},
    )
    return figure


def _make_table(film: Film) -> list[dict[str, str]]:
    """The scores of this clip, one line a tracker."""
    unit, mm = ("mm", film.mm) if film.mm else ("px", 1.0)
    lines = []
    for who, masks in film.said.items():
        scores = clip_scores(masks, film.truth, film.clip, mm)
        named = {
            f"{k} ({unit})" if "distance" in k or "error" in k else k: text.number(v)
            for k, v in scores.items()
        }
        lines.append({"followed by": "this outline" if who == "tracked" else who, **named})
    return lines
