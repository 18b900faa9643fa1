"""One case large, in the viewer: what is sent for it, its heat, the slices beside it, and what the
model is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.components import viewer as component
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.geometry import Geometry, case_geometry
from core.explain.marked_places import Level
from core.imaging import orientation, render, stacks, windowing

HEAT_WORDS = "one scale for the whole run"


def fits(data: Dataset) -> bool:
    """Whether cases of this data are pictures or volumes."""
    return data.modality in ("image", "volume")


@st.cache_data(max_entries=12, show_spinner=False)
def _message(
    home: str,
    name: str,
    hash: str,
    row: int,
    height: int,
    run: str,
    slug: str,
    held: tuple[int, ...],
    place: int | None,
    reading: bool,
    truth: bool,
    level: Level | None,
) -> bytes:
    """`held`: the rows of this view's stack, so that cases kept out of the view stay out of the
    stack.
    """
    data = state.dataset()
    if data is None or data.hash != hash:
        data = state.workspace().dataset(name)
    artifact = state.workspace().artifact(run, slug) if slug else None
    heat = artifact if isinstance(artifact, AnomalyMaps) else None
    return built(data, row, height, heat, place, reading, truth, level)


def opening(
    data: Dataset, row: int, heat: np.ndarray | None, place: int | None
) -> tuple[int, int] | None:
    """(stored axis, slice) at which a volume opens: slice `place` along its stored slice axis, else
    the axial one where its heat [D,H,W] is hottest; None = its middle.
    """
    if place is not None:
        return 0, place
    if heat is None:
        return None
    at = orientation.display_planes(case_geometry(data, row), 3)[0]
    return at.order[0], render.hottest_slice(np.asarray(heat), at)


def built(
    data: Dataset,
    row: int,
    height: int,
    artifact: AnomalyMaps | None = None,
    place: int | None = None,
    reading: bool = False,
    truth: bool = True,
    level: Level | None = None,
) -> bytes:
    """The component's message for row `row`, below its limit of bytes; larger stacks are sent in
    part, larger volumes at every second point (said).

    A volume opens at slice `place` of its stored slice axis; without one where its heat is, else in
    the middle. Without `truth` the outline that a person drew is not sent, nor without `level`, the
    heat above which places are marked, the line at the threshold.
    """
    rows, word = stacks.find_stack(data, row)
    raw = data.of(np.array([row])).raw()[0]
    total, part = len(rows), slice(0, 1)
    has_heat = artifact is not None and _lies_on(artifact, raw)
    flat = data.modality == "image"
    if flat:
        each = _bytes_of_slice(raw, has_heat * (1 + (level is not None)), data.masks is not None)
        part = stacks.crop_stack(rows, row, max(1, component.MOST_BYTES * 9 // 10 // each))
        rows = rows[part]
    pixels = _pixels(data, rows, raw)
    mask = data.of(rows).mask() if data.masks is not None and truth else None
    hot, reach = None, (0.0, 1.0)
    if artifact is not None and has_heat:
        hot, reach = _heat(artifact, rows), artifact.heat_range()
    marked = None
    if artifact is not None and hot is not None and level is not None:
        marked = level.mark(artifact, hot)
    if data.modality == "volume":
        mask = None if mask is None else mask[0]
        hot = None if hot is None else hot[0]
        marked = None if marked is None else marked[0]
    if mask is not None and not mask.any():
        mask = None
    start = opening(data, row, hot, place) if data.modality == "volume" else None
    more: dict[str, Any] = {
        "presets": {
            preset: windowing.in_file_units(
                windowing.find_window(data, preset, raw if len(raw) >= 3 else raw[:1]), data
            )
            for preset in windowing.offered_windows(data)
        },
        "usual": windowing.default_window(data),
        "scale": windowing.file_scale(data),
        "id": f"{data.hash[:12]}-{row}",
        "height": height,
        "title": _title(data, row),
        "heat_range": reach,
        "heat_words": text.plain(f"{artifact.unit}, {HEAT_WORDS}" if artifact else "", 80),
        "colours": None if hot is None else render.colour_ramp(),
        "marked_words": "" if level is None else _words_of(level, artifact),
        "word": word,
        "reading": reading,
    }
    if flat:
        more |= {
            "apart": True,
            "first": int(np.flatnonzero(rows == row)[0]),
            "before": part.start,
            "total": total,
        }
    step = 1
    while True:
        every = slice(None, None, step)
        cut: tuple[Any, ...] = (..., every, every) if flat else (..., every, every, every)
        made = component.message(
            pixels[:, ::step, ::step] if flat else pixels[cut],
            geometry=_coarser(data, row, step),
            heat=None if hot is None else hot[cut],
            mask=None if mask is None else mask[cut],
            marked=None if marked is None else marked[cut],
            note=_note(data, raw, step),
            start=None if start is None else (start[0], start[1] // step),
            **more,
        )
        if len(made) <= component.MOST_BYTES:
            return made
        step += 1


def _words_of(level: Level, artifact: AnomalyMaps | None) -> str:
    """What lies within the line at the threshold."""
    unit = "" if artifact is None else f" {text.plain(artifact.unit, 40)}"
    whose = {
        "cases": "the threshold in use",
        "pixels": "the method’s threshold of pixels",
        "half the scale": "half of the heat scale",
    }[level.of]
    return f"above {text.number(level.value)}{unit}, {whose}"


def _lies_on(artifact: AnomalyMaps, raw: np.ndarray) -> bool:
    """Whether the artifact has heat of the size of a case [C,*spatial]."""
    return artifact.map is not None and artifact.map.shape[1:] == raw.shape[1:]


def _bytes_of_slice(raw: np.ndarray, layers: int, has_mask: bool) -> int:
    """What a slice [C,H,W] takes in the message: its colours or grey levels, `layers` of heat and
    mask.
    """
    colours = 3 if len(raw) >= 3 else min(raw.itemsize, 2)
    return raw.shape[1] * raw.shape[2] * (colours + layers + has_mask)


def _coarser(data: Dataset, row: int, step: int) -> Geometry:
    """Where the case lies in space when every `step`-th point of it is shown."""
    where = case_geometry(data, row)
    mm = where.mm and tuple(v * step for v in where.mm)
    return Geometry(where.axes, mm, where.oblique, where.unit)


def _note(data: Dataset, raw: np.ndarray, step: int) -> str:
    """What is said of the pixels shown: which channel, what levels mean, how many are left out."""
    levels = stored_levels(data)
    if step > 1:
        return f"every {step}. point of the stored picture{f', {levels}' if levels else ''}"
    channel = "" if len(raw) in (1, 3) else f"channel 1 of {len(raw)}"
    return ", ".join(w for w in (channel, levels) if w)


def stored_levels(data: Dataset) -> str:
    """From which value of their files to which deep pictures are stored; "" for others."""
    found = data.card.get("grey range")
    return f"stored in 256 levels from {found[0]:.6g} to {found[1]:.6g}" if found else ""


def _pixels(data: Dataset, rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Stored values of `rows` as the component takes them; colour as 8 bits over the range of the
    data.
    """
    if data.modality == "volume":
        return raw[0]
    stored = data.of(rows).raw()
    if raw.shape[0] < 3:
        return stored[:, 0]
    colour = stored[:, :3].transpose(0, 2, 3, 1)
    if colour.dtype == np.uint8:
        return colour
    return (
        (windowing.apply_window(colour, windowing.window_between(*data.input_range)) * 255)
        .round()
        .astype(np.uint8)
    )


def _heat(artifact: AnomalyMaps, rows: np.ndarray) -> np.ndarray:
    """Heat of `rows`; zero for slices of the stack that the run has no heat of."""
    assert artifact.map is not None
    there = np.isin(rows, artifact.rows)
    out = np.full((len(rows), *artifact.map.shape[1:]), artifact.heat_range()[0], np.float32)
    out[there] = artifact.map[artifact.at(rows[there])]
    return out


def _title(data: Dataset, row: int) -> str:
    return f"{text.plain(data.of(np.array([row])).names()[0], 40)} (row {row})"


def case(
    data: Dataset,
    row: int,
    key: str,
    height: int = 430,
    artifact: AnomalyMaps | None = None,
    run: str = "",
    look_at: Callable[[int], None] = state.look_at,
    place: int | None = None,
    reading: bool = False,
    truth: bool = True,
    level: Level | None = None,
) -> None:
    """The viewer of row `row`, of a volume at slice `place` (see `built`). `look_at` is called with
    another row when the user leafs beyond the slices that were sent. `reading`: see
    `app.components.viewer.message`; `truth` and `level`: see `built`.
    """
    if not fits(data) or row not in data.rows:
        return
    ws = state.workspace()
    rows = stacks.find_stack(data, row)[0]
    heat = artifact is not None and artifact.map is not None and bool(np.isin(row, artifact.rows))
    data_ = _message(
        str(ws.home),
        data.name,
        data.hash,
        row,
        height,
        run if heat else "",
        artifact.slug if heat and artifact else "",
        tuple(rows.tolist()),
        place,
        reading,
        truth,
        level if heat else None,
    )

    def act(event: dict[str, Any]) -> None:
        if "window" in event:
            state.set_window(event["window"], data.name)
        elif "side" in event:
            state.set_side(event["side"])
        elif "slice" in event and 0 <= int(event["slice"]) < len(rows):
            look_at(int(rows[int(event["slice"])]))

    component.viewer(data_, height, key, act)


def browse(data: Dataset) -> None:
    """One case of the data after the other, large, by its place among them; before anything has
    been learned.
    """
    if not fits(data) or not len(data):
        return
    key = f"browse-{data.hash[:8]}"
    at = min(int(state.kept(key, 1)), len(data))
    st.session_state[f"w-{key}"] = at
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    at = left.number_input(
        "Case",
        1,
        len(data),
        key=f"w-{key}",
        on_change=state.keep,
        args=(key,),
        help=f"1 to {len(data):,}, in the order of the table below.",
    )
    row = int(data.rows[at - 1])
    name = data.of(np.array([row])).names()[0]
    where = "" if name == f"row {row}" else f" · row {row}"
    right.markdown(f"**{text.label(name, 60)}**{where}")
    case(
        data,
        row,
        f"viewer-{key}",
        560,
        look_at=lambda r: state.set_value(key, int(np.flatnonzero(data.rows == r)[0]) + 1),
    )


@st.dialog("A closer look", width="large", on_dismiss="rerun")
def closer(
    data: Dataset,
    row: int,
    artifact: AnomalyMaps | None = None,
    run: str = "",
    place: int | None = None,
    level: Level | None = None,
) -> None:
    """The case as large as the screen allows, and what the model is given beside it."""
    left, right = st.columns([3, 1])
    with left:
        case(data, row, f"closer-{data.hash[:8]}", 600, artifact, run, place=place, level=level)
    with right:
        st.markdown("**What the model gets**")
        st.image(given(data, row), width="stretch", alt="The case as the model gets it")
        step, first = windowing.file_scale(data)
        low, high = (step * end + first for end in data.input_range)
        levels = stored_levels(data)
        st.caption(
            f"Values from {text.number(low)} to {text.number(high)} become 0 to"
            f" 1{f' ({levels})' if levels else ''}. The window on the left changes what you see,"
            " never this."
            + (f" The middle one of {data.shape[1]} slices." if data.modality == "volume" else "")
        )
        st.caption(
            "Wheel or arrow keys: slices. Drag: window (sideways width, up and down level). Ctrl"
            " and wheel, + and −: zoom. Shift and drag: move. W: next window. H: heat, hold to"
            " compare. Double click: as at first."
        )


def given(data: Dataset, row: int) -> np.ndarray:
    """The model's input of a row as it hangs, uint8 [h,w,3]; volumes: the middle axial slice."""
    x = data.of(np.array([row])).inputs()[0]
    at = orientation.display_planes(case_geometry(data, row), x.ndim - 1, state.look().side)[0]
    flat = np.take(x, render.middle_slice(data, at), 1 + at.order[0]) if x.ndim == 4 else x
    return render.enlarge(
        orientation.make_pixels_square(orientation.orient(render.input_to_rgb(flat), at), at), 240
    )


def window_choice(data: Dataset) -> None:
    """The one window for all pictures of this data, and from which side they are seen; in the
    top bar.
    """
    if not fits(data):
        return
    look, offered = state.look(), windowing.offered_windows(data)
    word = windowing.choose_window(data, look.window)
    other = ", right at right" if look.side == "neurological" else ""
    with st.popover(
        f"Window: {windowing.WORDS.get(word, 'own numbers')}{other}",
        width="stretch",
        icon=":material/contrast:",
        help=(
            "Which stored values are drawn black and white, in every picture of this data. Never"
            " changes what a model is given."
        ),
    ):
        keys = {name: f"w-window-{name}-{data.hash[:8]}" for name in ("word", "level", "width")}
        st.session_state[keys["word"]] = word if word in offered else "own"
        st.radio(
            "Window",
            [*offered, "own"],
            format_func=lambda w: windowing.WORDS.get(w, "Own numbers"),
            key=keys["word"],
            on_change=_picked,
            args=(data.name, keys),
            captions=[windowing.HELPS[w] for w in offered] + ["Level and width, below"],
        )
        level, width = (float(v) for v in word.split(",")) if "," in word else _numbers(data, word)
        for cell, name, value in zip(st.columns(2), ("level", "width"), (level, width)):
            st.session_state[keys[name]] = value
            cell.number_input(
                name.capitalize(),
                key=keys[name],
                on_change=_typed,
                args=(data.name, keys),
                min_value=1e-6 if name == "width" else None,
                format="%.6g",
            )
        if any(
            orientation.names_each_axis(a, 2) or orientation.names_each_axis(a, 3)
            for a in _axes(data)
        ):
            st.session_state["w-side"] = look.side
            st.radio(
                "Seen from",
                list(windowing.SIDES),
                key="w-side",
                on_change=lambda: state.set_side(st.session_state["w-side"]),
                captions=[
                    "the patient’s right at the left edge",
                    "the patient’s right at the right edge",
                ],
            )


def _axes(data: Dataset) -> list[str]:
    return (
        [a for a in data.table["axes"].dropna().unique()[:20] if isinstance(a, str)]
        if "axes" in data.table
        else []
    )


def _numbers(data: Dataset, word: str) -> tuple[float, float]:
    """Numbers to begin with when the user wants own ones: those of the present window, of the first
    case where they differ by case.
    """
    at = (
        windowing.find_window(data, word, data.of(data.rows[:1]).raw()[0])
        if len(data)
        else windowing.Window(0.5, 1)
    )
    at = windowing.in_file_units(at, data)
    return float(f"{at.level:.6g}"), float(f"{at.width:.6g}")


def _picked(name: str, keys: dict[str, str]) -> None:
    """Trap: a browser sends every widget with each event, one drawn before among them, so the keys
    belong to one dataset and what comes is kept for that one."""
    word = st.session_state[keys["word"]]
    if word == "own":
        _typed(name, keys)
    else:
        state.set_window(word, name)


def _typed(name: str, keys: dict[str, str]) -> None:
    state.set_window(f"{st.session_state[keys['level']]},{st.session_state[keys['width']]}", name)
