"""The hottest places of one case beside the normal patches that its model finds most like them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.panels import heat, nearest_normal, threshold
from app.panels.case_stages import opened
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.errors import UserError
from core.explain import feature_patches
from core.explain.feature_patches import NearPatches, PatchBank
from core.imaging import render
from core.registry import methods

PLACES, NEAR = 3, 4
TILE = 132  # pixels
AROUND = 1  # places shown on each side of a patch


@dataclass(frozen=True)
class Hot:
    """A hot place of the case, the patches nearest to it, and the case's heat there."""

    place: int
    heat: float
    near: NearPatches


def fits(context: Context) -> bool:
    """Whether the method of the run compares features place by place, of pictures."""
    kind = methods().get(context.job.method)
    return context.data.modality == "image" and feature_patches.has_features(kind)


@st.cache_resource(max_entries=2, show_spinner=False)
def _kept(home: str, run: str, hash: str, normal: str) -> dict[str, PatchBank]:
    """The patches of the normal pictures, once they are described."""
    return {}


@st.cache_data(max_entries=256, show_spinner=False)
def _found(
    home: str, run: str, slug: str, hash: str, normal: str, row: int, _bank: PatchBank
) -> list[Hot]:
    import torch

    context = state.context_of(run)
    artifact = context.ws.artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    assert artifact.map is not None
    hot = np.asarray(artifact.map[artifact.at(np.array([row]))[0]], dtype=np.float32)
    case = context.data.of(np.array([row]))
    method = opened(home, run)
    z = feature_patches.describe_places(method, torch.from_numpy(case.inputs()))[0]
    groups = context.data.of(_bank.rows).groups
    group = None if case.groups is None else case.groups[0]
    found = []
    for place in feature_patches.hottest_places(hot, _bank.side, PLACES):
        near = feature_patches.find_near_patches(_bank, z[place], row, group, groups, NEAR)
        found.append(Hot(place, _mean_at(hot, place, _bank.side), near))
    return found


def _mean_at(heat: np.ndarray, place: int, side: int) -> float:
    """Mean of a map [H,W] in one of side x side places."""
    (top, bottom), (left, right) = (
        (at * n // side, (at + 1) * n // side) for at, n in zip(divmod(place, side), heat.shape)
    )
    return float(heat[top:bottom, left:right].mean())


def show(artifact: AnomalyMaps, context: Context, row: int) -> None:
    """A switch, and behind it the hottest places of the case `row` and what they are like."""
    with st.container(border=True):
        name = text.label(context.data.of(np.array([row])).names()[0], 40)
        on = st.toggle(
            f"Nearest normal patches: what the hottest places of case {name} are like",
            key=context.key("patches"),
            help="Where the model finds nothing like a place among normal pictures, the place is"
            " new to it; where it does, look whether both show the same.",
        )
        if on:
            _show(artifact, context, row)


def _show(artifact: AnomalyMaps, context: Context, row: int) -> None:
    data, home, run = context.data, str(context.ws.home), context.job.id
    if not heat.has_heat(artifact, data) or not np.isin(row, artifact.rows):
        st.caption("The run has no heat of this case.")
        return
    at = threshold.threshold_of(artifact, context)
    normal, words = nearest_normal.normal_rows(artifact, context, at)
    train = normal[np.isin(normal, data.part("train").rows)]
    normal = train if len(train) >= 2 else normal
    if len(normal) < 2:
        st.caption("There are no normal pictures to look among.")
        return
    try:
        method = opened(home, run)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    of = hashlib.sha256(normal.tobytes()).hexdigest()
    bank = _bank(method, data.of(normal), context, of)
    hot = _found(home, run, artifact.slug, data.hash, of, row, bank)
    x = data.of(np.array([row])).inputs()[0]
    for number, one in enumerate(hot):
        _place(one, number, x, bank, context)
    part = "training pictures" if len(train) >= 2 else "pictures"
    whole = f"{len(bank.rows):,} of {len(normal):,}" if len(bank.rows) < len(normal) else ""
    others = ", none of the same patient" if data.groups is not None else ""
    st.caption(
        f"Sought among {whole or f'{len(normal):,}'} normal {part} ({words}){others}. The patch is"
        " framed, with its surroundings; of each picture the best patch counts. The figure is the"
        " distance of what the model’s encoder says of both (0 = the same), in brackets how many"
        " times as far that is as normal patches usually lie from their own nearest one."
    )


def _bank(method: Any, normal: Dataset, context: Context, of: str) -> PatchBank:
    """The patches of the normal pictures, described once, with progress."""
    kept = _kept(str(context.ws.home), context.job.id, context.data.hash, of)
    if "bank" not in kept:
        words = "Describing the patches of normal pictures"
        bar = st.progress(0.0, text=words)

        def report(share: float) -> None:
            bar.progress(share, text=words)

        kept["bank"] = feature_patches.make_bank(method, normal, report)
        bar.empty()
    return kept["bank"]


def _place(one: Hot, number: int, x: np.ndarray, bank: PatchBank, context: Context) -> None:
    """One hot place in a row: the case, its patch, and the nearest normal ones."""
    data = context.data
    cells = st.columns([1, 1, *[1] * NEAR])
    cells[0].image(
        framed(render.input_to_rgb(x), one.place, bank.side, data),
        width="stretch",
        alt=f"The case, place {number + 1} framed",
    )
    cells[0].caption(f"place {number + 1} · heat {text.number(one.heat)}")
    cells[1].image(
        crop(x, one.place, bank.side, data), width="stretch", alt=f"Patch at place {number + 1}"
    )
    cells[1].caption("of the case")
    if not len(one.near.rows):
        cells[2].caption("No normal picture of another patient.")
        return
    some = data.of(one.near.rows)
    names, inputs = some.names(), some.inputs()
    for i, cell in enumerate(cells[2:][: len(one.near.rows)]):
        distance = float(one.near.distance[i])
        times = f" ({distance / bank.usual:.1f}×)" if bank.usual > 0 else ""
        with cell:
            st.image(
                crop(inputs[i], int(one.near.place[i]), bank.side, data),
                width="stretch",
                alt=f"A normal patch of {text.plain(names[i], 60)}",
            )
            st.button(
                f"{distance:.2g}{times}",
                key=context.key(f"patch-{number}-{i}"),
                on_click=state.look_at,
                args=(int(one.near.rows[i]),),
                type="tertiary",
                width="stretch",
                help=f"Look at {text.label(names[i])}",
            )


def framed(picture: np.ndarray, place: int, side: int, data: Dataset) -> np.ndarray:
    """A picture uint8 [h,w,3], enlarged and hung, with a frame around one of side x side places."""
    picture = render.enlarge(picture, 2 * TILE)
    width = max(1, picture.shape[0] // 100)
    rows, columns = (np.arange(n) * side // n for n in picture.shape[:2])
    inside = (rows == place // side)[:, None] & (columns == place % side)
    drawn = render.draw_outline(picture, inside, render.ORANGE, width)
    return render.orient_like(drawn, data, state.look())


def crop(x: np.ndarray, place: int, side: int, data: Dataset) -> np.ndarray:
    """A patch of an input [C,H,W] with what lies around it, framed, enlarged and hung; black beyond
    the edge.
    """
    picture = render.input_to_rgb(x)
    high, wide = (-(-n // side) for n in picture.shape[:2])
    top, left = (at * n // side for at, n in zip(divmod(place, side), picture.shape[:2]))
    padded = np.pad(picture, ((AROUND * high,) * 2, (AROUND * wide,) * 2, (0, 0)))
    across = 2 * AROUND + 1
    cut = padded[top : top + across * high, left : left + across * wide]
    factor = max(1, TILE // max(cut.shape[:2]))
    large = cut.repeat(factor, 0).repeat(factor, 1)
    inside = np.zeros(large.shape[:2], bool)
    y, x_ = AROUND * high * factor, AROUND * wide * factor
    inside[y : y + high * factor, x_ : x_ + wide * factor] = True
    drawn = render.draw_outline(large, inside, render.ORANGE, max(1, large.shape[0] // 66))
    return render.orient_like(drawn, data, state.look())
