"""The memory of a masked autoencoder: how much each slot is used, the patches that attend to it
most and where these lie, and one case through each of the masks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from scipy.ndimage import binary_erosion

from app import state, text
from app.panels import case_stages, heat
from app.state import Context
from core.artifacts import AnomalyMaps, Model
from core.data.dataset import Dataset
from core.errors import UserError
from core.explain import memory_slots
from core.explain.memory_slots import SlotUse
from core.imaging import render
from core.imaging.palette import ACCENT, CIVIDIS, GREY
from core.registry import open_model
from core.sampling import evenly_spaced

TITLE = "Memory slots"
MANY = 400  # cases that are looked at, at most
PAGE, TOP = 5, 6
TILE = 132  # pixels
ORDERS = ("most used", "least used", "number")
FRAME = (230, 159, 0)


def fits(artifact: Model, data: Dataset) -> bool:
    """Models with a memory, of pictures."""
    return data.modality == "image" and memory_slots.count_slots(artifact) > 0


@st.cache_resource(max_entries=2, show_spinner="Opening the model")
def _opened(home: str, run: str, slug: str) -> Any:
    """The fitted method of a run, on the processor."""
    model = state.workspace().artifact(run, slug)
    assert isinstance(model, Model)
    return open_model(model)


@st.cache_resource(max_entries=6, show_spinner=False)
def _kept(home: str, run: str, slug: str, part: str, decided: str) -> dict[str, SlotUse]:
    """What was measured of a run's memory, once it was."""
    return {}


def show(artifact: Model, context: Context) -> None:
    """The slots of one layer, and the case looked at."""
    if not memory_slots.count_slots(artifact):
        st.caption("This model has no memory.")
        return
    try:
        method = _opened(str(context.ws.home), context.job.id, artifact.slug)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    splits = [s for s in ("train", "val", "test") if (context.data.splits == s).any()]
    left, middle, right = st.columns([2, 2, 1.4], vertical_alignment="bottom")
    part = "all"
    if splits:
        part = left.segmented_control(
            "Cases of",
            [*splits, "all"],
            default=splits[0],
            key=context.key("slots-part"),
            required=True,
        )
    use = _measured(artifact, context, method, str(part))
    layers, slots = use.share.shape
    given = use.share.sum(1)
    layer = middle.segmented_control(
        "Layer of the encoder",
        range(layers),
        default=int(given.argmax()),
        key=context.key("slots-layer"),
        required=True,
        format_func=lambda i: str(i + 1),
        help="Each layer has a memory of its own. The one with the most attention comes first.",
    )
    layer = int(layer or 0)
    order = right.selectbox("Slots, first the", ORDERS, key=context.key("slots-order"))
    unused = int(use.unused(layer).sum())
    st.caption(
        f"A slot is a pattern the network has learned and keeps for all pictures. In this layer the"
        f" {slots} slots get {text.percent(given[layer])} of the attention of"
        f" {len(use.rows):,} cases’ patches, the other patches of the picture the rest."
        f" {unused} of {slots} are hardly used (less than a tenth of an even share)."
    )
    if use.is_even(layer):
        st.info(
            "All patches attend to these slots almost alike: no slot of this layer stands for a"
            " kind of patch. The patches below are those that do so a little more than others."
        )
    else:
        st.caption(
            "What a slot stands for is a guess from the patches that attend to it most; whether it"
            " matters for the result is not said by them."
        )
    _bars(use, layer, context)
    ranked = {
        "most used": np.argsort(-use.share[layer], kind="stable"),
        "least used": np.argsort(use.share[layer], kind="stable"),
        "number": np.arange(slots),
    }[str(order)]
    pages = -(-slots // PAGE)
    at = st.pagination(pages, key=context.key("slots-page")) - 1 if pages > 1 else 0
    for slot in ranked[at * PAGE : (at + 1) * PAGE]:
        _slot(use, layer, int(slot), context)
    with st.container(border=True):
        _one_case(method, use, layer, context)


def _measured(artifact: Model, context: Context, method: Any, part: str) -> SlotUse:
    """The use of the slots on at most MANY cases of a part, measured once, with progress."""
    data = context.data
    kept = _kept(
        str(context.ws.home), context.job.id, artifact.slug, part, f"{data.hash}-{len(data)}"
    )
    if "use" not in kept:
        some = data if part == "all" else data.part(part)
        if len(some) > MANY:
            some = some.take(evenly_spaced(len(some), MANY))
        words = f"Asking the memory about {len(some):,} cases"
        bar = st.progress(0.0, text=words)

        def report(share: float) -> None:
            bar.progress(share, text=words)

        kept["use"] = memory_slots.measure_use(method, some, report)
        bar.empty()
    return kept["use"]


def _bars(use: SlotUse, layer: int, context: Context) -> None:
    """Share of attention by slot, the most used first."""
    share = use.share[layer]
    ranked = np.argsort(-share, kind="stable")
    colours = np.where(use.unused(layer), GREY, ACCENT)[ranked]
    figure = go.Figure(
        go.Bar(
            x=[str(s + 1) for s in ranked],
            y=100 * share[ranked],
            marker_color=colours.tolist(),
            customdata=100 * use.first[layer][ranked],
            hovertemplate=(
                "slot %{x}<br>%{y:.2f} % of attention<br>first choice of %{customdata:.1f} % of"
                " patches<extra></extra>"
            ),
        )
    )
    figure.add_hline(y=100 * share.mean(), line_dash="dot", line_color=GREY)
    figure.update_layout(
        height=210,
        margin={"t": 10, "b": 10},
        xaxis={"title": "slot", "type": "category"},
        yaxis_title="% of attention",
    )
    st.plotly_chart(figure, key=context.key("slots-bars"), config={"displayModeBar": False})
    st.caption("Dotted: an even share. Grey: hardly used.")


def _slot(use: SlotUse, layer: int, slot: int, context: Context) -> None:
    """One slot: where it is attended to, and the cases with the patches that do so most."""
    best = use.examples(layer, slot, TOP)
    rows = use.rows[best]
    with st.container(border=True):
        head, button = st.columns([4, 1], vertical_alignment="center")
        hardly = " · hardly used" if use.unused(layer)[slot] else ""
        head.markdown(
            f"**Slot {slot + 1}** · {text.percent(use.share[layer, slot], 1)} of attention"
            f" · first choice of {text.percent(use.first[layer, slot], 1)} of patches{hardly}"
        )
        many = min(20, len(use.rows))
        button.button(
            f"Select {many} cases",
            key=context.key(f"slots-select-{slot}"),
            on_click=state.select,
            args=(
                np.sort(use.rows[use.examples(layer, slot, many)]),
                f"memory slot {slot + 1}, layer {layer + 1}",
            ),
            width="stretch",
            help="Select the cases with the patches that attend to it most, to see where they lie"
            " on the latent map",
        )
        cells = st.columns(TOP + 1)
        where = use.where[layer, slot].reshape(use.side, use.side)
        with cells[0]:
            st.image(
                _where(where, context.data), width="stretch", alt="Where the slot is attended to"
            )
            st.caption(
                f"where: {text.percent(where.min(), 1)} (dark)"
                f" to {text.percent(where.max(), 1)} (bright)"
            )
        names = context.data.of(rows).names()
        inputs = context.data.of(rows).inputs()
        for i, cell in enumerate(cells[1:][: len(rows)]):
            value = float(use.times_usual(layer)[best[i], slot])
            with cell:
                place = int(use.place[best[i], layer, slot])
                st.image(
                    _framed(inputs[i], place, use.side, context.data),
                    width="stretch",
                    alt=text.plain(names[i], 60),
                )
                st.button(
                    f"×{value:.1f}",
                    key=context.key(f"slots-{slot}-{i}"),
                    on_click=state.look_at,
                    args=(int(rows[i]),),
                    type="tertiary",
                    width="stretch",
                    help=f"Look at {text.label(names[i])}: the framed patch gives the slot so many"
                    " times the attention that patches give it in the mean",
                )


def _where(share: np.ndarray, data: Dataset) -> np.ndarray:
    """Mean share by place, [side,side], from the slot's lowest (dark) to its highest (bright)."""
    low, high = float(share.min()), float(share.max())
    grey = (255 * (share - low) / max(high - low, 1e-12)).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, 2)
    return render.enlarge(render.orient_like(picture, data, state.look()), TILE)


def _framed(x: np.ndarray, place: int, side: int, data: Dataset) -> np.ndarray:
    """An input [C,H,W] with a frame around one of side x side places."""
    picture = render.enlarge(render.input_to_rgb(x), TILE)
    rows, columns = (np.arange(n) * side // n for n in picture.shape[:2])
    inside = (rows == place // side)[:, None] & (columns == place % side)
    width = max(1, picture.shape[0] // 66)
    inner = binary_erosion(inside, iterations=width)  # so that no frame lies beyond the edge
    framed = render.draw_outline(picture, inner, FRAME, width)
    return render.orient_like(framed, data, state.look())


@st.fragment
def _one_case(method: Any, use: SlotUse, layer: int, context: Context) -> None:
    """The case looked at: through one mask, and the slot that each of its patches picks out."""
    data, chosen = context.data, state.selection().primary
    row = int(chosen) if chosen is not None and chosen in data.rows else int(data.rows[0])
    name = text.label(data.of(np.array([row])).names()[0], 40)
    st.markdown(f"**One case through the masks: {name}**")
    st.caption("Press the number under a picture above to see that case here.")
    x = data.of(np.array([row])).inputs()
    number = len(method.masks_)
    mask = 1
    if number > 1:
        mask = st.select_slider(
            "Mask",
            range(1, number + 1),
            key=context.key("slots-mask"),
            help="Each mask shows other patches; the result of the run is the mean over all.",
        )
    steps = memory_slots.through_mask(method, x, int(mask) - 1)
    tiles = [(render.draw_case(data, row, case_stages.SIDE, state.look()), "The case", "")]
    scale = _scale(context)
    tiles += [(case_stages.draw(s, x[0], context, scale), s.title, s.note) for s in steps]
    case_stages.show_tiles(tiles, len(tiles))
    if not use.is_even(layer):
        _raised(method, x, use, layer, context)


def _raised(method: Any, x: np.ndarray, use: SlotUse, layer: int, context: Context) -> None:
    """The slot each patch picks out, by its number where there is room for numbers."""
    slots, times = memory_slots.raised_slots(method, x, use)
    slot, value = (
        render.orient_like(a[layer], context.data, state.look()) for a in (slots + 1, times)
    )
    figure = go.Figure(
        go.Heatmap(
            z=value,
            text=slot,
            texttemplate="%{text}" if use.side <= 16 else None,
            colorscale=CIVIDIS,
            colorbar={"thickness": 12, "title": "times"},
            xgap=1,
            ygap=1,
            hovertemplate="slot %{text}: %{z:.2f} times its mean<extra></extra>",
        )
    )
    figure.update_layout(
        height=380,
        margin={"t": 10, "b": 10, "l": 10, "r": 10},
        xaxis={"visible": False, "constrain": "domain"},
        yaxis={"visible": False, "autorange": "reversed", "scaleanchor": "x"},
    )
    st.markdown("**The slot each patch picks out**")
    st.plotly_chart(figure, key=context.key("slots-raised"), config={"displayModeBar": False})
    st.caption(
        f"Each square is a patch of the case, its number the slot of layer {layer + 1} to which it"
        " attends most in comparison with other patches, its colour how many times as much."
    )


def _scale(context: Context) -> tuple[float, float]:
    """The heat scale of the run's anomaly maps, 0 to 1 without these."""
    for slug in context.ws.slugs(context.job.id):
        found = context.ws.artifact(context.job.id, slug)
        if isinstance(found, AnomalyMaps) and found.map is not None:
            return heat.reach(str(context.ws.home), context.job.id, slug)
    return 0.0, 1.0
