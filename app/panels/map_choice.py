"""Which map of a run is drawn: the projection, its dimensions and seed, and cases added later."""

from __future__ import annotations

import hashlib
from typing import Any

import streamlit as st

from app import progress, state, text
from app.components import allowed
from app.state import Context
from core.artifacts import Embedding, Map
from core.errors import UserError
from core.jobs.run_folder import find_artifact
from core.maps import make as maps
from core.maps import out_of_sample
from core.maps.make import count_sampled
from core.maps.projections import (
    AUTOMATIC,
    DIMENSIONS,
    PROJECTIONS,
    describe_comparison,
    find_more_faithful,
)
from core.workspace.catalogue import Job

WAYS = {AUTOMATIC: "Most faithful", **PROJECTIONS}
FEW = 5  # volumes below which a map of them cannot be drawn


def chosen_map(context: Context) -> Map | None:
    """The map the user wants of this run; drawn by a job when it is not there yet (shown live),
    None meanwhile.
    """
    try:
        find_artifact(context.ws, context.job.id, Embedding)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return None
    drawn = _drawn_maps(context) if allowed.why_not("compute") else []
    if drawn and state.value("map-how") is None:
        _open_drawn(drawn[0])
    row = st.columns(
        [2, 4.6, 1.2, 1.6] if offers_slices(context) else [4.6, 1.2, 1.6], vertical_alignment="top"
    )
    left, middle, right = row[-3:]
    what = _points(context, row[0]) if len(row) == 4 else {}
    state.kept("map-how", AUTOMATIC, list(WAYS))
    how = left.segmented_control(
        "Projection",
        list(WAYS),
        format_func=WAYS.__getitem__,
        key="w-map-how",
        on_change=state.keep,
        args=("map-how",),
        required=True,
        help=(
            "Different ways to flatten the same space. None shows true distances between far"
            " groups. The most faithful is measured on some of your cases: UMAP, unless another"
            " keeps clearly more of each case’s nearest cases."
        ),
    )
    state.kept("map-dims", 2, list(DIMENSIONS))
    dims = middle.segmented_control(
        "Dimensions",
        DIMENSIONS,
        key="w-map-dims",
        on_change=state.keep,
        args=("map-dims",),
        required=True,
    )
    seed = right.number_input(
        "Seed",
        0,
        999,
        0,
        key="map-seed",
        help=(
            "Another seed draws another, equally valid map. What changes between seeds means"
            " nothing."
        ),
    )
    spec = {"how": how, "dims": dims, **what}
    job = progress.await_derived("map", spec, context, "map", int(seed))
    if job is None:
        for one in drawn:
            st.button(
                f"Open the map that is there: {_title(one)}",
                key=f"map-drawn-{one.id}",
                on_click=_open_drawn,
                args=(one,),
            )
        return None
    made = context.ws.artifact(job.id, "map")
    assert isinstance(made, Map)
    if how != AUTOMATIC:
        _offer_more_faithful(context, str(how), spec, int(seed))
    return _with_later(context, made, job.id, spec, int(seed))


def _drawn_maps(context: Context) -> list[Job]:
    """The maps of the run that are there, the newest first: all there is for who may draw none."""
    found = context.ws.catalogue.jobs(kind="map", on_run=context.job.id, status="done")
    whole = [j for j in found if j.seed == 0 and set(j.spec) == {"how", "dims"}]
    return sorted(whole, key=lambda j: -j.created)


def _title(job: Job) -> str:
    return f"{WAYS[job.spec['how']]}, {job.spec['dims']} dimensions"


def _open_drawn(job: Job) -> None:
    state.set_value("map-how", job.spec["how"])
    state.set_value("map-dims", job.spec["dims"])


def _offer_more_faithful(context: Context, how: str, spec: dict[str, Any], seed: int) -> None:
    """Where projections of this run were compared and another is clearly more faithful than `how`:
    say so, with the button that draws it.
    """
    spec = spec | {"how": AUTOMATIC}
    job = progress.submit_derived("map", spec, context, seed, start=False)
    if job is None or job.status != "done":
        return
    other = context.ws.artifact(job.id, "map")
    assert isinstance(other, Map)
    better = find_more_faithful(how, other.compared)
    if better is None:
        return
    line = st.container(horizontal=True, vertical_alignment="center")
    said = describe_comparison(other.compared, count_sampled(other))
    line.caption(f":material/info: {said[0].upper()}{said[1:]}.")
    line.button(
        f"Draw with {PROJECTIONS[better]}",
        icon=":material/swap_horiz:",
        key="map-better",
        on_click=state.set_value,
        args=("map-how", better),
    )


def _with_later(context: Context, made: Map, drawn: str, spec: dict[str, Any], seed: int) -> Map:
    """`made`, or once the user asked for it, that map with the cases that came into use after it
    was drawn.
    """
    try:
        rows = out_of_sample.missing(
            context.ws,
            context.job,
            made,
            find_artifact(context.ws, context.job.id, Embedding, spec.get("artifact")),
        )
    except UserError:
        return made
    if not len(rows):
        return made
    spec = spec | {"onto": drawn, "rows": hashlib.sha256(rows.tobytes()).hexdigest()[:16]}
    job = progress.submit_derived("map", spec, context, seed, start=False)
    if job is not None and job.status == "done":
        more = context.ws.artifact(job.id, "map")
        assert isinstance(more, Map)
        return more
    if job is None or job.ended:
        if job is not None and job.error:
            st.caption(f":material/info: {text.label(job.error, 300)}")
        st.button(
            f"Add {text.counted(len(rows), 'case')} to this map",
            icon=":material/add:",
            key="map-later",
            on_click=_add_later,
            args=(spec, context, seed),
            **allowed.lock(
                "compute",
                help="They came into use after this map was drawn. Each gets a place near the"
                " cases it resembles; nothing that is on the map moves.",
            ),
        )
    else:
        progress.live(job.id, key="map-later-job")
    return made


def _add_later(spec: dict[str, Any], context: Context, seed: int) -> None:
    progress.submit_derived("map", spec, context, seed, again=True)


def offers_slices(context: Context) -> bool:
    """Whether the open run, or that it builds upon, took volumes slice by slice."""
    try:
        return context.data.modality == "volume" and bool(maps.of_slices(context.ws, context.job))
    except UserError:
        return False


def _points(context: Context, cell: Any) -> dict[str, Any]:
    """What to add to the map's spec: nothing, or that slices are its points, as the user wants."""
    usual = "Volumes" if len(context.data) >= FEW else "Slices"
    state.kept("map-points", usual, ["Volumes", "Slices"])
    chosen = cell.segmented_control(
        "Each point is one of the",
        ["Volumes", "Slices"],
        key="w-map-points",
        on_change=state.keep,
        args=("map-points",),
        required=True,
        help=(
            "This run learned from the slices of the volumes. A volume’s place is the mean of its"
            " slices’ places."
        ),
    )
    return maps.of_slices(context.ws, context.job) if chosen == "Slices" else {}
