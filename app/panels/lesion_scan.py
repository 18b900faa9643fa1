"""The scan of a proposed lesion as a maximum-intensity projection with all its lesions outlined,
and regions of it that a person leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels import painted_region
from app.state import Context
from core.artifacts import AnomalyMaps, Lesions
from core.data.geometry import OPPOSITE, case_geometry
from core.imaging import projections, render
from core.imaging.palette import ACCENT, AMBER, GREY, OKABE_ITO, rgb
from core.imaging.projections import Scan
from core.workspace import left_out

SIDE = 384  # pixels
WORDS = ("slice", "row", "column")  # of the last axes of a mask
BODY = dict(zip("RLAPHF", ("right", "left", "front", "back", "head", "feet")))
SHOWN, CHOSEN, GONE, ASKED = rgb(ACCENT), rgb(AMBER), rgb(GREY), rgb(OKABE_ITO[6])
Line = dict[str, Any]
Box = list[tuple[int, int]]


def scan_of(line: Line, context: Context) -> Scan | None:
    """Return the scan that the lesion of `line` lies in; None for a picture alone."""
    return projections.find_scan(context.data, int(line["row"]), state.look().side)


@dataclass(frozen=True)
class Asked:
    """A region that is being set: first and last index of each axis, () while none is, and what of
    each of its slices was drawn around, bool of the size of a slice, None = all within the ends.
    """

    box: tuple[tuple[int, int], ...] = ()
    painted: np.ndarray | None = None

    def of_slice(self, shape: tuple[int, ...]) -> np.ndarray:
        """Where the region lies in a slice, bool of `shape` [h,w]."""
        out = np.zeros(shape, bool)
        if self.box:
            ends = tuple(slice(first, last + 1) for first, last in self.box[-2:])
            out[ends] = True if self.painted is None else self.painted[ends]
        return out


def ask_region(artifact: Lesions, line: Line, scan: Scan | None, context: Context) -> Asked:
    """The form that leaves a region out, and those left out of this scan; the region asked for."""
    asked = _ask_region(artifact, line, scan, context)
    _list_regions(line, scan, context)
    return asked


def numbers_of(artifact: Lesions, scan: Scan) -> np.ndarray:
    """Numbers of the lesions of a scan, int32 [D,H,W]."""
    return scan.volume(np.asarray(artifact.mask[artifact.at(scan.rows)]))


# -- the projection --------------------------------------------------------------------------------
def show_projection(
    artifact: Lesions,
    line: Line,
    scan: Scan,
    status: dict[tuple[int, int], str],
    asked: Asked,
    context: Context,
) -> None:
    """The choice of plane and values, and the picture, with the region asked for. `status`: what
    holds of each lesion, by row and number.
    """
    if numbers_of(artifact, scan).shape != _size(scan, context):
        st.caption("This scan has another size than the outlines, so it is not drawn.")
        return
    planes = {at.plane: at for at in scan.planes}
    name = st.segmented_control(
        "Projection",
        list(planes),
        default=list(planes)[min(1, len(planes) - 1)],
        key=context.key("lesions-plane"),
        required=True,
        help="The highest value along each line through the scan: one picture of all of it.",
    )
    heat = "" if not _has_heat(artifact, scan, context) else "anomalymaps"
    what = (
        st.segmented_control(
            "Of",
            ["the scan", "the heat"],
            default="the scan",
            key=context.key("lesions-of"),
            required=True,
            label_visibility="collapsed",
        )
        if heat
        else "the scan"
    )
    at = planes[str(name)]
    flat = _projected(
        str(context.ws.home),
        context.job.id,
        context.data.hash,
        tuple(scan.rows.tolist()),
        scan.planes.index(at),
        heat if what == "the heat" else "",
        state.look().side,
    )
    outlines = _outlines(artifact, line, scan, status, asked, context)
    colours = render.colour_ramp() if what == "the heat" else None
    made = projections.draw_projection(flat, at, SIDE, outlines, colours)
    words = f"Maximum-intensity projection, {at.plane}"
    st.image(made, alt=words, width="stretch")
    top = "" if at.edges.get("top") or not at.edges else " First slice at the top."
    st.caption(
        f"{text.counted(_size(scan, context)[0], 'slice')} in one picture.{top} Orange: the"
        " chosen lesion; blue: others; grey: rejected or left out."
        + (" Pink: the region you set." if asked.box else "")
    )


def _size(scan: Scan, context: Context) -> tuple[int, ...]:
    shape = tuple(context.data.shape[1:])
    return shape if len(shape) == 3 else (len(scan.rows), *shape)


def _has_heat(artifact: Lesions, scan: Scan, context: Context) -> bool:
    """Whether the run has a heat map, in the unit of the lesions, of every slice of the scan."""
    if "anomalymaps" not in context.ws.slugs(context.job.id):
        return False
    heat = context.ws.artifact(context.job.id, "anomalymaps")
    return (
        isinstance(heat, AnomalyMaps)
        and heat.map is not None
        and heat.unit == artifact.unit
        and heat.map.shape[1:] == context.data.shape[1:]
        and bool(np.isin(scan.rows, heat.rows).all())
    )


@st.cache_data(max_entries=64, show_spinner="Projecting the scan")
def _projected(
    home: str, run: str, hash: str, rows: tuple[int, ...], plane: int, heat: str, side: str
) -> np.ndarray:
    """Return the projection of a scan's first channel, or of its `heat`, float32 [h,w]."""
    context = state.context_of(run)
    scan = projections.find_scan(context.data, rows[0], side)
    assert scan is not None
    if heat:
        maps = context.ws.artifact(run, heat)
        assert isinstance(maps, AnomalyMaps)
        assert maps.map is not None
        values = np.asarray(maps.map[maps.at(scan.rows)])
    else:
        values = context.data.of(scan.rows).raw()[:, 0]
    return projections.project(scan.volume(values), scan.planes[plane]).astype(np.float32)


def _outlines(
    artifact: Lesions,
    line: Line,
    scan: Scan,
    status: dict[tuple[int, int], str],
    asked: Asked,
    context: Context,
) -> list[tuple[np.ndarray, tuple[int, int, int], int]]:
    """What is drawn over the projection: regions left out, lesions, the chosen one, and the region
    asked for.
    """
    numbers = numbers_of(artifact, scan)
    gone = [
        n
        for (row, n), what in status.items()
        if row in scan.rows and what in ("rejected", "left out")
    ]
    regions = left_out.load_left_out(context.ws, context.job.id).values()
    inside = np.zeros(numbers.shape, bool)
    for one in regions:
        inside |= _in_scan(one["rows"], one["box"], left_out.painted(one), scan, numbers.shape)
    others = (numbers > 0) & ~np.isin(numbers, gone) & (numbers != line["number"])
    found = [
        (inside, GONE, 1),
        (np.isin(numbers, gone) & (numbers != line["number"]), GONE, 2),
        (others, SHOWN, 2),
        (numbers == line["number"], CHOSEN, 3),
    ]
    if asked.box:
        rows, ends = _stored(asked.box, scan, line)
        shown = asked.of_slice(numbers.shape[1:])[
            tuple(slice(first, last + 1) for first, last in ends[-2:])
        ]
        found.append((_in_scan(rows, ends, shown, scan, numbers.shape), ASKED, 2))
    return found


def _in_scan(
    rows: list[int], box: list[Any], painted: np.ndarray, scan: Scan, shape: tuple[int, ...]
) -> np.ndarray:
    """Where a region lies in the scan, bool [D,H,W]; `painted`: what of the last two axes of its
    box it takes.
    """
    out = np.zeros(shape, bool)
    *depth, down, across = (slice(first, last + 1) for first, last in box)
    here = np.isin(scan.rows, rows)
    if not depth:
        out[here, down, across] = painted
    elif here.any():
        out[depth[0], down, across] = painted
    return out


# -- regions ---------------------------------------------------------------------------------------
def _stored(box: Sequence[tuple[int, int]], scan: Scan | None, line: Line) -> tuple[list[int], Box]:
    """A box as it is kept, (row ids, the ends of the last axes of their masks); of slices that are
    rows its first axis are rows.
    """
    if scan is None or len(line["place"]) == len(box):
        return [int(line["row"])], list(box)
    first, last = box[0]
    return [int(row) for row in scan.rows[first : last + 1]], list(box[1:])


def _ask_region(artifact: Lesions, line: Line, scan: Scan | None, context: Context) -> Asked:
    """The switch, and the ends or the drawing of a region to leave out."""
    on = st.toggle(
        "Leave a region out",
        key=context.key("lesions-region"),
        help="For what is bright without being ill: bladder, brain, heart. Every lesion whose"
        " highest heat lies in it is left out, unless you accept it yourself.",
    )
    if not on:
        return Asked()
    drawn = context.key("lesions-region-shape")
    shape = st.segmented_control(
        "Region",
        ["box", "drawn around"],
        default="box",
        key=drawn,
        required=True,
        label_visibility="collapsed",
    )
    painted = _ask_drawing(artifact, line, context) if shape == "drawn around" else None
    if scan is None:
        numbers = np.asarray(artifact.mask[artifact.at(np.array([line["row"]]))[0]])
    else:
        numbers = numbers_of(artifact, scan)
    places = np.argwhere(numbers == line["number"])
    axes = case_geometry(context.data, int(line["row"])).axes
    words = WORDS[-numbers.ndim :]
    letters = ["", *axes] if len(axes) == numbers.ndim - 1 else list(axes or "   ")
    box: list[tuple[int, int]] = []
    for axis, (word, letter) in enumerate(zip(words, letters)):
        if painted is not None and axis >= numbers.ndim - 2:
            box.append(_ends(np.asarray(painted.any(axis=numbers.ndim - 1 - axis))))
            continue
        most = numbers.shape[axis] - 1
        ends = (max(0, int(places[:, axis].min()) - 1), min(most, int(places[:, axis].max()) + 1))
        key = context.key(f"lesions-region-{line['row']}-{line['number']}-{axis}")
        label = f"{word.capitalize()}s"
        if letter.strip():
            label += f", from {BODY[OPPOSITE[letter]]} to {BODY[letter]}"
        box.append(tuple(st.slider(label, 0, max(1, most), ends, key=key)))
    cells = st.columns([2, 1], vertical_alignment="bottom")
    name = cells[0].text_input(
        "What it is", "normal here", key=context.key("lesions-region-name"), max_chars=40
    )
    rows, ends_ = _stored(box, scan, line)
    if (
        len(rows) == 1
        and len(artifact.rows) > 1
        and st.checkbox(
            f"In all {text.counted(len(artifact.rows), 'case')}",
            key=context.key("lesions-region-all"),
            help="Only where the cases lie alike, so that the same place is the same organ.",
        )
    ):
        rows = np.asarray(artifact.rows).tolist()
    cells[1].button(
        "Leave out",
        key=context.key("lesions-region-keep"),
        on_click=_leave_out,
        args=(context, name, rows, ends_, painted),
        width="stretch",
        type="primary",
        **allowed.lock("annotate", painted is not None and not painted.any()),
    )
    return Asked(() if painted is not None and not painted.any() else tuple(box), painted)


def _ask_drawing(artifact: Lesions, line: Line, context: Context) -> np.ndarray:
    """The lesion's slice to draw around a region; what lies within, bool [h,w] as stored."""
    row = int(line["row"])
    number = np.asarray(artifact.mask[artifact.at(np.array([row]))[0]]) == line["number"]
    index = int(line["place"][0]) if len(line["place"]) == 3 else None
    key = context.key(f"lesions-region-drawing-{row}-{line['number']}")
    return painted_region.ask(row, index, number if index is None else number[index], context, key)


def _ends(on: np.ndarray) -> tuple[int, int]:
    """First and last place where `on` is true; 0, 0 where nowhere."""
    places = np.flatnonzero(on)
    return (int(places[0]), int(places[-1])) if len(places) else (0, 0)


def _leave_out(
    context: Context, name: str, rows: list[int], box: Box, painted: np.ndarray | None
) -> None:
    """Keep the region, and put its form away."""
    if state.attempt(left_out.leave_out, context.ws, context.job.id, name, rows, box, painted):
        st.session_state[context.key("lesions-region")] = False


def _list_regions(line: Line, scan: Scan | None, context: Context) -> None:
    """The regions left out of this scan, each with a button that lets it count again."""
    regions = left_out.load_left_out(context.ws, context.job.id)
    here = {int(line["row"])} if scan is None else set(scan.rows.tolist())
    for id, one in regions.items():
        if not here & set(one["rows"]):
            continue
        cells = st.columns([3, 1], vertical_alignment="center")
        ends = [f"{word} {a}–{b}" for word, (a, b) in zip(WORDS[-len(one["box"]) :], one["box"])]
        if "painted" in one:
            ends = [f"{text.counted(int(left_out.painted(one).sum()), 'pixel')} drawn around"]
        if len(one["rows"]) > 1:
            slices = scan is not None and len(one["box"]) < 3
            ends.insert(0, text.counted(len(one["rows"]), "slice" if slices else "case"))
        cells[0].caption(f"Left out: **{text.label(one['name'], 40)}** ({', '.join(ends)})")
        cells[1].button(
            "Take back",
            key=context.key(f"lesions-region-back-{id}"),
            on_click=state.attempt,
            args=(left_out.take_in, context.ws, context.job.id, id),
            **allowed.lock("annotate"),
            width="stretch",
        )
    others = sum(not here & set(one["rows"]) for one in regions.values())
    if others:
        st.caption(f"{text.counted(others, 'region')} left out of other cases.")
