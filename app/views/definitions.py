"""A film under two definitions of what is abnormal: the score along it, how each definition suits
each frame, and the frame itself. Definitions may be said anew; nothing is learned for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.components import allowed
from app.state import Context
from core.artifacts import Definitions, Model
from core.artifacts.definitions import split_definitions
from core.data.clips import Clip, all_frames, clips_of, is_film
from core.data.dataset import Dataset
from core.errors import UserError
from core.evaluate import held_out
from core.imaging import render
from core.imaging.palette import ACCENT, AMBER, CIVIDIS, NONE
from core.jobs.run_folder import find_artifact
from core.registry import open_model
from core.workspace import notes

TITLE = "What counts as abnormal"
SIDE = 360  # pixels of the picture
LINES = (("A", AMBER, "solid"), ("B", ACCENT, "dash"))
FAR = 1.0  # strangeness above which a definition is farther than any that was learned


def fits(artifact: Definitions, data: Dataset) -> bool:
    """Frames of films."""
    return is_film(data)


@st.cache_resource(max_entries=4, show_spinner="Opening the model")
def _opened(home: str, run: str) -> Any:
    return open_model(find_artifact(state.workspace(), run, Model))


@st.cache_data(max_entries=8, show_spinner=False)
def _clips(home: str, run: str, slug: str, dataset: str) -> list[Clip]:
    """Clips of the artifact's frames: those held out first; of them those of which a part and not
    all is abnormal by the run's own definitions; of these the longest.
    """
    artifact, data = state.workspace().artifact(run, slug), state.workspace().dataset(dataset)
    assert isinstance(artifact, Definitions)
    rows = set(artifact.rows.tolist())
    apart = set(artifact.rows[held_out(data, artifact.rows)[1]].tolist())
    found = [c for c in clips_of(all_frames(data)) if rows & set(c.rows.tolist())]
    abnormal = dict(zip(artifact.rows.tolist(), np.asarray(artifact.score) > 0.5))

    def in_part(clip: Clip) -> bool:
        return len({abnormal[r] for r in clip.rows.tolist() if r in abnormal}) == 2

    found.sort(key=lambda c: (not apart & set(c.rows.tolist()), not in_part(c), -len(c.rows)))
    return found


@st.cache_data(max_entries=64, show_spinner="Judging the film")
def _judged(
    home: str, run: str, slug: str, dataset: str, clip: int, texts: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(score [T], likeness [T,k]) of one clip under `texts`: one pass of the network."""
    data = all_frames(state.workspace().dataset(dataset))
    rows = _clips(home, run, slug, dataset)[clip].rows
    score, likeness = _opened(home, run).judge(data.of(rows), list(texts))
    return np.asarray(score), np.asarray(likeness)


def show(artifact: Definitions, context: Context) -> None:
    """Draw two text boxes, the curves they give, the strip of one of them, and a frame."""
    if not is_film(context.data):
        st.caption("These definitions are about frames of films, which this data does not hold.")
        return
    where = (str(context.ws.home), context.job.id, artifact.slug, context.data.name)
    clips, key = _clips(*where), context.key(f"film-{artifact.slug}")
    state.kept(key, 0, list(range(len(clips))))
    at = st.selectbox(
        "Film",
        range(len(clips)),
        format_func=lambda i: text.plain(clips[i].name, 60),
        key=f"w-{key}",
        on_change=state.keep,
        args=(key,),
        help="Held-out films first; at the top those of which only a part is abnormal.",
    )
    given = _definition_boxes(artifact, context)
    judged = {
        name: _judged(*where, at, tuple(texts))
        for name, texts in given.items()
        if texts is not None
    }
    if not judged:
        return
    _say_strangeness(_opened(*where[:2]), {n: given[n] or [] for n in judged})
    part = all_frames(context.data).of(clips[at].rows)
    left, right = st.columns([5, 2])
    with right:
        frame = _show_frame(part, judged, context, f"{artifact.slug}-{at}")
    with left:
        event = st.plotly_chart(
            _draw_curves(judged, frame),
            key=context.key(f"curves-{artifact.slug}-{at}"),
            config={"displayModeBar": False},
            on_select="rerun",
            selection_mode="points",
        )
        _take_click(event, context.key(f"at-{artifact.slug}-{at}"))
        for name, (_, likeness) in judged.items():
            st.plotly_chart(
                _draw_strip(likeness, given[name] or [], name, frame),
                key=context.key(f"strip-{artifact.slug}-{name}"),
                config={"displayModeBar": False},
            )
    st.caption(
        "Curve: how sure the model is that a frame is abnormal as defined; above the dotted line it"
        " is more likely than not. Strip: how well each line of a definition suits each frame, from"
        " -1 to 1. It says what fits your words, not whether anyone is ill."
    )


def _take_click(event: Any, key: str) -> None:
    """Show the frame whose point was clicked last, once."""
    points = event["selection"]["points"] if event else []
    clicked = int(points[0]["x"]) if points else None
    if clicked != state.value(f"clicked-{key}"):
        state.set_value(f"clicked-{key}", clicked)
        if clicked is not None:
            state.set_value(key, clicked)
            st.rerun()


def _definition_boxes(artifact: Definitions, context: Context) -> dict[str, list[str] | None]:
    """Return the texts of both boxes; None for one that cannot be read, which then says why."""
    saved = notes.load_definitions(context.ws, context.data.name)
    first = "\n".join(artifact.texts)
    other = next((t for t in artifact.learned if t not in artifact.texts), "")
    defaults = {"A": first, "B": f"{artifact.texts[0]}\n{other}" if other else first}
    given: dict[str, list[str] | None] = {}
    for cell, (name, _, _) in zip(st.columns(2), LINES):
        key = context.key(f"definition-{name}-{artifact.slug}")
        with cell:
            if saved:
                _offer_saved(saved, key, name)
            state.kept(key, defaults[name])
            words = st.text_area(
                f"What counts as abnormal today? ({name})",
                key=f"w-{key}",
                on_change=state.keep,
                args=(key,),
                height=120,
                max_chars=4000,
                help="One definition a line. The first line says what is normal, the others what is"
                " not.",
            )
            given[name] = state.attempt(_readable, words or "")
            if given[name]:
                _offer_saving(context, given[name] or [], key, name)
    return given


def _readable(words: str) -> list[str]:
    """Return the definitions in `words`. UserError where there are none, or they cannot be used."""
    try:
        found = split_definitions(words)
    except ValueError as e:
        said = str(e)
        raise UserError(f"{said[:1].upper()}{said[1:]}.") from None
    if not found:
        raise UserError("Nothing is said; write what is normal, and on the next line what is not.")
    return found


def _offer_saved(saved: dict[str, list[str]], key: str, name: str) -> None:
    """Draw a menu of saved definitions, which go into the box when chosen."""
    with st.popover(f"Saved definitions ({name})", width="stretch"):
        for one, texts in saved.items():
            st.button(
                text.label(one),
                key=f"take-{key}-{one}",
                on_click=state.set_value,
                args=(key, "\n".join(texts)),
                help=text.label("; ".join(texts), 200),
                width="stretch",
            )


def _offer_saving(context: Context, texts: list[str], key: str, name: str) -> None:
    """Draw a field for a name, under which the definitions of the box are kept."""
    with (
        st.popover(f"Save {name}", icon=":material/bookmark:", **allowed.lock("annotate")),
        st.form(f"save-{key}", border=False),
    ):
        called = st.text_input("Name", max_chars=60)
        if st.form_submit_button("Save"):
            state.attempt(notes.save_definitions, context.ws, context.data.name, called, texts)
            st.rerun()


def _say_strangeness(method: Any, given: dict[str, list[str]]) -> None:
    """Say which definitions are far from all that the model has learned from."""
    for texts in given.values():
        for one, (away, unread) in zip(texts[1:], method.strangeness(texts[1:])):
            if unread:
                words = ", ".join(f"“{w}”" for w in unread[:6])
                st.warning(
                    f"“{text.label(one, 80)}” holds words the model has never read"
                    f" ({text.label(words, 120)}): what it says under it means little."
                )
            elif away > FAR:
                st.warning(
                    f"“{text.label(one, 80)}” is farther from every text the model has read than"
                    " these are from one another: what it says under it means little."
                )


def _show_frame(part: Dataset, judged: dict[str, Any], context: Context, name: str) -> int:
    """Return the frame chosen by the slider, which is drawn with its scores."""
    many, key = len(part), context.key(f"at-{name}")
    first = next(iter(judged.values()))[0]
    frame = min(int(state.kept(key, int(first.argmax()) + 1)), many) - 1
    if many > 1:
        frame = -1 + st.slider(
            "Frame",
            1,
            many,
            key=f"w-{key}",
            on_change=state.keep,
            args=(key,),
            help="With the handle in focus, the arrow keys step through the film.",
        )
    picture = render.input_to_rgb(part.inputs(np.array([frame]))[0])
    st.image(render.enlarge(picture, SIDE), width="stretch", alt=f"Frame {frame}")
    for who, (score, _) in judged.items():
        st.markdown(f"{who}: **{text.number(float(score[frame]))}**")
    if part.labels[frame] >= 0:
        st.caption(f"Labelled {text.label(part.classes[part.labels[frame]])}")
    return frame


def _draw_curves(judged: dict[str, Any], frame: int) -> go.Figure:
    """Score along the film under each definition."""
    figure = go.Figure()
    for name, colour, dash in LINES:
        if name in judged:
            score = judged[name][0]
            figure.add_scatter(
                x=np.arange(1, len(score) + 1),
                y=score,
                name=name,
                mode="lines+markers",
                marker={"size": 5},
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate="frame %{x}: %{y:.2f}<extra>" + name + "</extra>",
            )
    figure.add_hline(y=0.5, line={"color": NONE, "dash": "dot", "width": 1})
    figure.add_vline(x=frame + 1, line={"color": NONE, "width": 1})
    figure.update_yaxes(title="abnormal as defined", range=[-0.02, 1.02])
    figure.update_layout(
        height=280,
        margin={"t": 20, "b": 10, "l": 10, "r": 10},
        legend={"orientation": "h", "y": 1.12},
    )
    return figure


def _draw_strip(likeness: np.ndarray, texts: list[str], name: str, frame: int) -> go.Figure:
    """How well each text suits each frame."""
    figure = go.Figure(
        go.Heatmap(
            z=likeness.T,
            x=np.arange(1, len(likeness) + 1),
            y=[f"{i + 1}. {text.chart(t, 28)}" for i, t in enumerate(texts)],
            colorscale=CIVIDIS,
            zmin=-1,
            zmax=1,
            colorbar={"thickness": 10},
            hovertemplate="frame %{x}, %{y}: %{z:.2f}<extra></extra>",
        )
    )
    figure.add_vline(x=frame + 1, line={"color": NONE, "width": 1})
    figure.update_layout(
        height=70 + 28 * len(texts),
        margin={"t": 26, "b": 10, "l": 10, "r": 10},
        title={"text": f"Definition {name}", "font": {"size": 13}},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
    )
    return figure
