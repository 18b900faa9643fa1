"""Lesions a model proposes, one by one, with their sizes; a person accepts or rejects each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels import case_stages, lesion_scan
from app.state import Context
from core.artifacts import AnomalyMaps, Images, Lesions
from core.data.dataset import Dataset
from core.data.geometry import case_geometry
from core.imaging import orientation, palette, render, windowing
from core.imaging.palette import rgb
from core.workspace import left_out, notes

TITLE = "Lesions"
TILE = 384
# of outlines: orange and blue fill say brighter and darker
BLUE, PINK = rgb(palette.ACCENT), rgb(palette.OKABE_ITO[6])
Line = dict[str, Any]


def show(artifact: Lesions, context: Context) -> None:
    """The table of proposed lesions, the largest first, and the chosen one in its slice."""
    if not any(artifact.table):
        st.caption("Nothing departs enough from what is healthy to be proposed as a lesion.")
        return
    data, ws = context.data, context.ws
    parts = [s for s in ("test", "val", "train") if (data.splits == s).any()]
    options = [*parts, "all"]
    part = st.segmented_control(
        "Cases of",
        options,
        format_func=text.part,
        default=options[0],
        key=context.key("lesions-part"),
        required=True,
        help="test: never seen in training",
    )
    shown = data.rows if part == "all" else data.part(str(part)).rows
    lines = [
        line | {"row": int(row)}
        for row in shown[np.isin(shown, artifact.rows)]
        for line in artifact.table[artifact.at(np.array([row]))[0]]
    ]
    if not lines:
        st.caption("No lesion is proposed in these cases.")
        return
    lines.sort(key=lambda line: (-(line["ml"] or 0.0), -line["pixels"]))
    status = _status(artifact, context)
    if lesion_scan.scan_of(lines[0], context) is None:
        left, right = st.container(), st.container()
    else:
        left, right = st.columns([3, 2], gap="medium")
    with left:
        line = lines[_choose(artifact, data, lines, status, context)]
        name = text.label(data.of(np.array([line["row"]])).names()[0], 40)
        st.markdown(f"**Lesion {line['number']} of {name}** · is it one?")
        _decide(line, status[line["row"], line["number"]], context)
        scan = lesion_scan.scan_of(line, context)
        asked = lesion_scan.ask_region(artifact, line, scan, context)
    with right:
        if scan is not None:
            lesion_scan.show_projection(artifact, line, scan, status, asked, context)
    swapped = _is_swapped(context) if _twin(artifact, line, context) is not None else False
    _picture(artifact, line, context, swapped, asked)
    slug = "anomalymaps"
    if case_stages.fits(context) and slug in ws.slugs(context.job.id):
        maps = ws.artifact(context.job.id, slug)
        assert isinstance(maps, AnomalyMaps)
        case_stages.show(maps, context, line["row"], line["place"])


def _status(artifact: Lesions, context: Context) -> dict[tuple[int, int], str]:
    """What holds of each lesion of the run, by row and number, see `left_out.decide`."""
    decided = notes.load_lesion_decisions(context.ws, context.job.id)
    regions = left_out.load_left_out(context.ws, context.job.id)
    return {
        (int(row), int(line["number"])): left_out.decide(line, int(row), decided, regions)
        for row, found in zip(artifact.rows, artifact.table)
        for line in found
    }


def _choose(
    artifact: Lesions,
    data: Dataset,
    lines: list[Line],
    status: dict[tuple[int, int], str],
    context: Context,
) -> int:
    """Draw the table; the line that is chosen, the first unless one is pressed."""
    names = data.of(np.array([line["row"] for line in lines])).names()
    known = [status[line["row"], line["number"]] for line in lines]
    frame = pd.DataFrame(
        {
            "case": [text.plain(name, 24) for name in names],
            "lesion": [line["number"] for line in lines],
            "decision": known,
            "volume (ml)": [line["ml"] for line in lines],
            "highest heat": [line["largest"] for line in lines],
            f"residual ({text.plain(artifact.residual_unit, 20)})": [
                line["residual"] for line in lines
            ],
            "slices": [line["slices"] for line in lines],
            "pixels": [line["pixels"] for line in lines],
            "place": [", ".join(map(str, line["place"])) for line in lines],
        }
    )
    if frame["volume (ml)"].isna().all():
        frame = frame.drop(columns="volume (ml)")
    event = st.dataframe(
        frame.round(3),
        hide_index=True,
        height=38 + 35 * min(len(lines), 5),
        on_select="rerun",
        selection_mode="single-row",
        key=context.key("lesions-table"),
    )
    counts = ", ".join(f"{known.count(w):,} {w}" for w in ("accepted", "rejected", "left out"))
    st.caption(
        f"{len(lines):,} proposed, {counts}. Heat in {text.label(artifact.unit)}. Place: "
        + ("slice, row, column" if len(lines[0]["place"]) == 3 else "row, column")
        + ", counted from 0."
    )
    rows = event["selection"]["rows"] if event else []
    return int(rows[0]) if rows and rows[0] < len(lines) else 0


def _decide(line: Line, now: str, context: Context) -> None:
    """Buttons to accept or reject the chosen lesion, or to take that back, one in each cell."""
    choices: tuple[tuple[str, bool | None, tuple[str, ...]], ...] = (
        ("Accept", True, ("accepted",)),
        ("Reject", False, ("rejected",)),
        ("Undo", None, ("", "left out")),
    )
    for cell, (word, value, done) in zip(st.columns(3), choices):
        cell.button(
            word,
            key=context.key(f"lesions-{word}"),
            on_click=state.attempt,
            args=(
                notes.decide_lesion,
                context.ws,
                context.job.id,
                line["row"],
                line["number"],
                value,
            ),
            **allowed.lock("annotate", now in done),
            width="stretch",
        )


def _picture(
    artifact: Lesions, line: Line, context: Context, swapped: bool, asked: lesion_scan.Asked
) -> None:
    """The slice, the same with the lesion's outline and that of the region asked for, and how it
    differs from what the run made of it as healthy; that in place of the slice where they are
    `swapped`.
    """
    data, row = context.data, int(line["row"])
    raw = data.of(np.array([row])).raw()[0]
    number = np.asarray(artifact.mask[artifact.at(np.array([row]))[0]]) == line["number"]
    plane = orientation.display_planes(case_geometry(data, row), raw.ndim - 1, state.look().side)
    at, window = plane[0], windowing.find_window(data, state.look().window, _channels(raw))
    if number.shape != raw.shape[1:]:
        st.caption("This case has another size than the outline, so it is not drawn.")
        return
    if len(line["place"]) == 3:
        k = int(line["place"][0])
        number, raw = number[k], raw[:, k]
    region = asked.of_slice(number.shape)
    twin = _twin(artifact, line, context)
    first = twin if twin is not None and swapped else raw

    def drawn(picture: np.ndarray, outlined: bool = True, change: np.ndarray | None = None) -> Any:
        image = orientation.orient(render.window_to_rgb(picture, window), at)
        if change is not None:
            image = render.overlay_signed(image // 2, orientation.orient(change, at), reach)
        image = render.enlarge(image, TILE)
        if outlined:
            mask = orientation.orient(number, at)
            width = max(1, image.shape[0] // 192)
            image = render.draw_outline(image, mask, BLUE, width)
            image = render.draw_outline(image, orientation.orient(region, at), PINK, width)
        return render.fit_into_square(orientation.make_pixels_square(image, at), TILE)

    cells = st.columns(3 if twin is not None else 2)
    name = "as it is, without the outline" if first is raw else "healthy twin, made by the model"
    cells[0].image(drawn(first, False), caption=name, width="stretch", alt=name)
    cells[1].image(drawn(raw), caption="the proposed lesion", width="stretch", alt="The lesion")
    if twin is None:
        return
    change = (raw - twin)[: len(_channels(raw))].mean(0)
    reach = float(np.abs(change).max())
    unit = text.label(artifact.residual_unit, 20)
    cells[2].image(
        drawn(raw, True, change),
        caption=f"orange: brighter than the healthy twin, blue: darker, full colour at"
        f" {text.number(reach)} {unit}",
        alt="The difference from the healthy twin",
        width="stretch",
    )


def _is_swapped(context: Context) -> bool:
    """Draw the button that swaps the first picture and its healthy twin; whether they are swapped.
    Pressed again and again, what differs flickers.
    """
    key = context.key("lesions-swap")
    now = bool(state.value(key, False))
    st.button(
        "Show as it is" if now else "Show as if healthy",
        key=f"{key}-button",
        icon=":material/compare:",
        shortcut="b",
        on_click=state.set_value,
        args=(key, not now),
        help="Press B again and again: what the model would expect otherwise flickers in the"
        " first picture.",
    )
    return now


def _channels(raw: np.ndarray) -> np.ndarray:
    """The channels of a picture that are shown."""
    return raw[:1] if raw.shape[0] < 3 else raw


def _twin(artifact: Lesions, line: Line, context: Context) -> np.ndarray | None:
    """The slice of the lesion [C,H,W] as the run's model makes it where healthy, in stored values;
    None without one.
    """
    slug = f"images-{artifact.twin}"
    if not artifact.twin or slug not in context.ws.slugs(context.job.id):
        return None
    made = context.ws.artifact(context.job.id, slug)
    at = made.at(np.array([line["row"]]))
    if not isinstance(made, Images) or not len(at):
        return None
    low, high = context.data.input_range
    found = np.asarray(made.image[at[0]]) * np.float32(high - low) + np.float32(low)
    return found[:, int(line["place"][0])] if len(line["place"]) == 3 else found
