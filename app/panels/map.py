"""The latent map on a page: see it drawn, lasso, and what the selection is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from app import sets, state, text
from app.components import download
from app.components import latent_map as component
from app.panels import more_like, set_difference
from app.panels.gallery import gallery
from app.panels.map_figure import (
    HEIGHT,
    draw_in_3d,
    draw_with_plotly,
    encode_column,
    name_points,
    scale_points,
)
from app.panels.map_neighbours import true_neighbours
from app.panels.map_sprites import sprites
from app.panels.paired_chart import paired_chart
from app.state import Context
from core.artifacts import Map
from core.columns import Column, fingerprint_columns, map_points, slice_columns
from core.explain.group_differences import Difference, find_differences
from core.maps.make import count_sampled
from core.maps.projections import PROJECTIONS, describe_comparison
from core.row_rules import LETTERS, find_by_rule
from core.words import q_value
from core.workspace import searches

LINES = 200  # of the table of a selection: more would be sent to the browser at every lasso


def column_of(context: Context, made: Map, name: str) -> Column:
    """What the map is coloured by: the column chosen in the top bar, or on a map of slices what is
    known of each slice, if the user wants that.
    """
    if made.place is None:
        return context.columns[name]
    own = slice_columns(context.ws, context.data, context.job, made)
    first = f"as its volume: {text.plain(name, 30)}"
    told_apart = len(set(context.columns[name].values.tolist())) > 1
    usual = first if told_apart else next(iter(own), first)  # one colour for all says nothing
    state.kept("map-slices-by", usual, [first, *own])
    chosen = st.segmented_control(
        "Colour of a slice",
        [first, *own],
        key="w-map-slices-by",
        on_change=state.keep,
        args=("map-slices-by",),
        required=True,
    )
    return own.get(str(chosen), context.columns[name])


def explain(made: Map) -> str:
    """How the map is read with the mouse; and, where projections were compared before it was drawn,
    what share of the nearest cases each keeps.
    """
    said = ""
    if made.compared:
        compared = describe_comparison(made.compared, count_sampled(made))
        said = f"Drawn by {PROJECTIONS[made.how]}: {compared}. "
    return (
        f"{said}Lines from the point under the mouse lead to the cases nearest to it in the latent"
        " space itself: long ones are neighbours the map has torn apart."
    )


def reading(made: Map, seed: int = 0) -> str:
    """How far the map may be believed, in words and numbers, as markdown."""
    trust, recall = made.scores["trustworthiness"], made.scores["knn_recall"]
    if trust >= 0.95:
        words = "Neighbours on it are mostly true neighbours"
    elif trust >= 0.88:
        words = "Some neighbours on it are false"
    else:
        words = "Many neighbours on it are false"
    among = (
        ""
        if made.beside is None
        else (
            f" Grey: the {len(made.beside):,} cases the model learned from, among which these were"
            " placed."
        )
    )
    return text.explain(
        f"{words} (trustworthiness {trust:.2f}, continuity {made.scores['continuity']:.2f};"
        f" {text.percent(recall)} of the 15 nearest kept). Distances between far groups mean"
        " nothing."
        f" {len(made.rows):,} of {made.total or len(made.rows):,}"
        f" {'cases' if made.place is None else 'slices'} shown{made.how_placed}.{among}"
    )


def draw(
    made: Map,
    context: Context,
    column: Column,
    key: str,
    height: int = HEIGHT,
    linked: bool = False,
    click: Callable[[int], None] | None = None,
) -> None:
    """The map in the browser; lassos and clicks change the shared selection. Of two `linked` maps
    each rings the case that is under the mouse on the other. `click` is called with the row id of a
    case that is clicked, in place of putting it into the inspector.
    """
    if made.xy.shape[1] == 3:
        draw_in_3d(made, context, column, key)
        return
    at = map_points(column, context.data, made)
    code, names, palette, kind = encode_column(column, at)
    chosen = np.isin(made.rows, state.selection().rows)
    xy, under = scale_points(made)
    if not component.available():
        draw_with_plotly(made, xy, under, code, names, palette, kind, chosen, key)
        return
    doubt = np.asarray(made.trust) < 0.8 if made.trust is not None else np.zeros(len(xy), bool)
    came = np.zeros(len(xy), bool) if made.added is None else np.asarray(made.added)
    words = None
    if len(xy) <= component.WORDS_MOST:
        label = column.values[at]
        # a slice's number
        whole = (
            column.kind == "amount"
            and column.source == "slice"
            and bool((label == np.round(label)).all())
        )
        if column.kind == "category":
            shown = [text.plain(v, 30) for v in label]
        else:
            shown = [str(int(v)) if whole else text.plain(text.number(v), 30) for v in label]
        words = [
            f"{n}\n{text.plain(column.name, 20)}: {s}"
            + ("\nits place on the map is doubtful" if d else "")
            + ("\nadded after the map was drawn" if c else "")
            for n, s, d, c in zip(name_points(made, context.data), shown, doubt, came)
        ]
    place = f"map-{key}"
    message = component.message(
        xy,
        code,
        kind=kind,
        names=[text.plain(n, 28) for n in names],
        palette=palette,
        key=place,
        height=height,
        title=text.plain(column.name, 28),
        words=words,
        sprite=(
            sprites(context.data, made.rows, made.place) if len(xy) <= component.COMPACT else None
        ),
        trust=None if made.trust is None else np.asarray(made.trust),
        backdrop=None if under is None else component.draw_backdrop(under),
        ids=np.asarray(made.rows),
        linked=linked,
        near=true_neighbours(made),
    )
    stamp = (
        f"{key}-{column.name}-{len(state.selection())}-{made.how}"
        f"-{made.place is None}-{len(made.rows)}"
    )
    component.latent_map(
        message,
        component.selection_message(chosen, place, stamp, _looked_at(made)),
        height,
        place,
        lambda event: _act(event, made, xy, code, names, click),
        {name: np.isin(made.rows, rows) for name, rows in sets.kept().items()},
    )


def _looked_at(made: Map) -> int:
    """Position on the map of the case, or slice, that the page looks at; -1 = none."""
    chosen = state.selection()
    if chosen.primary is None or (made.place is not None and chosen.place is None):
        return -1
    there = np.asarray(made.rows) == chosen.primary
    if made.place is not None:
        there &= np.asarray(made.place) == chosen.place
    return int(there.argmax()) if there.any() else -1


def _act(
    event: dict[str, Any],
    made: Map,
    xy: np.ndarray,
    code: np.ndarray,
    names: list[str],
    click: Callable[[int], None] | None = None,
) -> None:
    rows, of = np.asarray(made.rows), "" if made.place is None else "volumes with slices in the "
    mode = str(event.get("mode", "set"))
    if event["kind"] == "lasso":
        inside = component.inside(xy, event["polygon"])
        state.select(np.unique(rows[inside]), f"{of}outline on the map", mode)
    elif event["kind"] == "click" and 0 <= int(event["index"]) < len(rows):
        at = int(event["index"])
        if click is not None:
            click(int(rows[at]))
            return
        state.look_at(int(rows[at]), None if made.place is None else int(made.place[at]))
    elif event["kind"] == "category" and 0 <= int(event["code"]) < len(names):
        state.select(
            np.unique(rows[code == int(event["code"])]),
            f"{'volumes with slices ' if of else 'all '}of {names[int(event['code'])]}",
            mode,
        )
    elif event["kind"] == "bar" and not names:
        held = component.bar_of(code) == int(event["bar"])
        state.select(np.unique(rows[held]), f"{of}range of the colours’ column", mode)
    elif event["kind"] == "invert":
        others = np.setdiff1d(rows, state.selection().rows)
        state.select(others, "all that was not selected on the map")
    elif event["kind"] == "clear":
        state.clear()
    elif event["kind"] == "keep" and event.get("set") in sets.NAMES:
        sets.keep(str(event["set"]), state.selection().rows)


def panels(context: Context, key: str = "selection") -> None:
    """What the selected cases are: why this group, pictures, table, figures, export."""
    chosen = state.selection()
    if not len(chosen):
        st.caption(
            "Nothing is selected. Draw a loop around points on the map, click a class in its"
            " legend, or select by rule."
        )
        by_rule(context, key)
        if more_like.fits(context) and searches.load_searches(context.ws, context.data.name):
            with st.container(border=True):
                more_like.show(context, key)
        if sets.kept():
            with st.container(border=True):
                set_difference.show(context, key)
        return
    shown: dict[str, Callable[[], None]] = {
        "Pictures": lambda: gallery(
            context, chosen.rows, f"{key}-gallery", across=10, page_size=30
        ),
        "Why this group": lambda: why(context),
        "A against B": lambda: set_difference.show(context, key),
        "Table": lambda: _table(context, key),
        "Numbers": lambda: _numbers(context, key),
        "Find more like these": lambda: more_like.show(context, key),
        "Select by rule": lambda: by_rule(context, key),
    }
    if not more_like.fits(context):
        del shown["Find more like these"]
    if context.data.modality == "table":  # its cases are their values, not pictures with a name
        del shown["Pictures"]
        shown = {"Table": shown.pop("Table"), **shown}
    for tab, draw_ in zip(
        st.tabs(list(shown), key=f"{key}-tabs", on_change="rerun"), shown.values()
    ):
        if tab.open:  # only what is looked at is computed
            with tab:
                draw_()


@st.cache_data(max_entries=64, show_spinner="Comparing with the rest")
def _differences(
    hash: str, fingerprint: str, rows: np.ndarray, _columns: list[Column], _over: np.ndarray
) -> list[Difference]:
    """Worked out once for a dataset, its columns and a selection; a page asks at every drawing."""
    return find_differences(_columns, np.isin(_over, rows))


def why(context: Context) -> None:
    """The fields in which the selection differs most from the rest, in sentences."""
    columns = list(context.columns.values())
    found = _differences(
        context.data.hash,
        fingerprint_columns(columns),
        state.selection().rows,
        columns,
        context.data.rows,
    )
    if not found:
        st.markdown(
            "No field sets these cases apart from the rest beyond chance (or fewer than 3 are"
            " selected)."
        )
        return
    st.markdown(
        f"These {len(state.selection()):,} cases differ from the rest most in"
        f" **{text.label(found[0].name)}**, which {text.label(found[0].words, 200)}."
    )
    for d in found:
        st.markdown(
            f"- **{text.label(d.name)}** {text.label(d.words, 200)}  \n  effect"
            f" {d.effect:+.2f}, {q_value(d.q)}"
        )
    st.caption(
        "Effect: rank-biserial correlation for numbers, Cramér’s V for categories. q: share of"
        " false findings to expect among these (Benjamini–Hochberg)."
    )


def _table(context: Context, key: str) -> None:
    from core.export import SAFE, row_table, safe_csv

    rows = state.selection().rows
    frame = row_table(context.ws, context.data, context.job, rows[:LINES])
    st.dataframe(frame, hide_index=True, width="stretch", height=300)
    if len(rows) > LINES:
        st.caption(f"The first {LINES:,} of {len(rows):,} cases; the export has all of them.")
    download.button(
        st,
        "Export as CSV",
        # made when it is asked for
        lambda: safe_csv(row_table(context.ws, context.data, context.job, rows)),
        "selection.csv",
        "text/csv",
        key=f"{key}-csv",
        icon=":material/download:",
        help=f"With the original file names. {SAFE}",
        what=f"run {context.job.id}: {len(rows)} cases",
    )


def _numbers(context: Context, key: str) -> None:
    rows, chosen = context.data.rows, state.selection().rows
    names = list(context.columns)
    picked = st.selectbox("Field", names, format_func=text.plain, key=f"{key}-field")
    sides = {"selected": chosen, "rest": np.setdiff1d(rows, chosen)}
    st.plotly_chart(
        paired_chart(context.columns[picked], rows, sides, 260),
        key=f"{key}-numbers",
        config={"displayModeBar": False},
    )


def by_rule(context: Context, key: str) -> None:
    """Select without a mouse: a field and a range or some of its values, or a rule in words."""
    picked = st.selectbox("Field", list(context.columns), format_func=text.plain, key=f"{key}-rule")
    column = context.columns[picked]
    if column.kind == "amount":
        there = column.values[np.isfinite(column.values)]
        if not len(there):
            return
        left, right = st.columns(2)
        low = left.number_input("From", value=float(there.min()), key=f"{key}-low", format="%.5g")
        high = right.number_input("To", value=float(there.max()), key=f"{key}-high", format="%.5g")
        rows = context.data.rows[(column.values >= low) & (column.values <= high)]
    else:
        words = column.codes()[1]
        some = st.multiselect("Is one of", words, format_func=text.plain, key=f"{key}-words")
        rows = context.data.rows[np.isin(column.values.astype(str), some)]
    st.button(
        f"Select these {len(rows):,}",
        on_click=state.select,
        args=(rows, f"rule on {text.plain(picked, 24)}"),
        disabled=not len(rows),
        key=f"{key}-by-rule",
    )
    with st.form(f"{key}-rule-form", border=False):
        rule = st.text_input(
            "Or write a rule",
            placeholder="age > 60 and sex = F",
            max_chars=LETTERS,
            help="With and, or, not, brackets, =, !=, <, >, in (A, B), between 3 and 5.",
        )
        if st.form_submit_button("Select by this rule") and rule:
            held = state.attempt(find_by_rule, context.columns, rule)
            if held is not None:
                state.select(context.data.rows[held], f"rule {text.plain(rule, 60)}")
                st.rerun()
