"""Cases that two runs, or two thresholds of one, decide differently: counts from class to class,
whether one is right more often, and each case with what both saw in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import navigation, progress, state, text
from app.components import allowed, download
from app.panels import heat, threshold
from app.panels.gallery import gallery, thumbs
from app.state import Context
from app.views.attributions import draw_maps
from core.artifacts import AnomalyMaps, Attributions, Embedding, Predictions
from core.errors import UserError
from core.explain.decision_flips import (
    ALARM,
    Accuracies,
    Flips,
    compare_accuracy,
    decide_by_class,
    decide_by_threshold,
    find_flips,
)
from core.explain.neighbour_changes import measure_neighbour_change
from core.imaging import render
from core.jobs.run_folder import find_artifact

CLASS, FLAG = "predicted class", "flagged as unusual"
PAGE = 8
TILE = 160  # pixels of each picture of a case
Decided = Predictions | AnomalyMaps


def decisions_of(context: Context) -> dict[str, Decided]:
    """What a run decided about whole cases: its predicted classes, and its anomaly scores."""
    found: dict[str, Decided] = {}
    for slug in context.ws.slugs(context.job.id):
        artifact = context.ws.artifact(context.job.id, slug)
        if artifact.place is not None:
            continue
        if (
            isinstance(artifact, Predictions)
            and artifact.prob is not None
            and artifact.prob.ndim == 2
        ):
            found.setdefault(CLASS, artifact)
        elif isinstance(artifact, AnomalyMaps) and artifact.shows != "doubt":
            found.setdefault(FLAG, artifact)
    return found


def show(left: Context, right: Context) -> None:
    """The flips from `left` to `right`, for a tab of the page that compares two runs."""
    mine, others = decisions_of(left), decisions_of(right)
    if FLAG in mine and st.toggle(
        "Compare two thresholds of the first run instead",
        key=left.key("flips-thresholds"),
        help="Which of its cases are flagged at the one threshold and not at the other.",
    ):
        right, mine, others = left, {FLAG: mine[FLAG]}, {FLAG: mine[FLAG]}
    both = [what for what in mine if what in others]
    if not both:
        st.caption(
            "The two runs decide nothing that can be set side by side: both must predict classes,"
            " or both give anomaly scores."
        )
        return
    what, part = _choose(left, both)
    try:
        found = _flips(left, right, mine[what], others[what], what, part)
    except UserError as e:
        st.caption(text.label(e, 300))
        return
    groups = left.data.of(found.rows).groups
    _say(found, compare_accuracy(found, groups), groups is not None, part)
    if not found.flipped.any():
        return
    pairs = found.pairs()
    counted, cases = st.columns([2, 3])
    with counted:
        pair = _pairs(pairs, left)
    with cases:
        _cases(left, right, mine[what], others[what], found, pair)


def _choose(left: Context, both: list[str]) -> tuple[str, str]:
    """(What is compared, the part of the data, "" for all of it.)"""
    cells = st.columns([2, 2, 3])
    what = both[0]
    if len(both) > 1:
        what = cells[1].segmented_control(
            "What flips", both, default=both[0], key=left.key("flips-what"), required=True
        )
    parts = [p for p in ("test", "val", "train") if (left.data.splits == p).any()] + [""]
    part = cells[0].segmented_control(
        "Cases",
        parts,
        default=parts[0],
        format_func=lambda p: text.part(p).capitalize() if p else "All",
        key=left.key("flips-part"),
        required=True,
        help="Of training cases a run may know the answer by heart.",
    )
    return str(what), str(part)


def _flips(
    left: Context, right: Context, first: Decided, second: Decided, what: str, part: str
) -> Flips:
    data = left.data.part(part) if part else left.data
    if what == CLASS:
        assert isinstance(first, Predictions)
        assert isinstance(second, Predictions)
        known = set(first.classes) | set(second.classes)
        words = np.array([*data.classes, None], dtype=object)[data.labels]
        truth = np.array([w if w in known else None for w in words], dtype=object)
        return find_flips(decide_by_class(first), decide_by_class(second), data.rows, truth)
    assert isinstance(first, AnomalyMaps)
    assert isinstance(second, AnomalyMaps)
    at = _thresholds(left, right, first, second)
    abnormal, _ = threshold.known(left)
    truth = np.full(len(data), None, dtype=object)
    if abnormal is not None:
        there = threshold.has_known_truth(left, data.rows)
        ill = abnormal[np.searchsorted(left.data.rows, data.rows)]
        truth[there] = np.array(ALARM, dtype=object)[ill[there].astype(int)]
    one, other = decide_by_threshold(first, at[0]), decide_by_threshold(second, at[1])
    return find_flips(one, other, data.rows, truth)


def _thresholds(
    left: Context, right: Context, first: AnomalyMaps, second: AnomalyMaps
) -> list[float]:
    """The thresholds of both sides: those in use, or as the person moves them here."""
    same = left.job.id == right.job.id
    found = []
    for i, (cell, context, artifact) in enumerate(
        zip(st.columns([2, 2, 3]), (left, right), (first, second))
    ):
        start = threshold.threshold_of(artifact, context)
        if same and i:  # another one to begin with
            start = float(np.quantile(artifact.score, 0.9))
        side = "first" if i == 0 else "second"
        found.append(
            cell.number_input(
                f"Threshold of the {side}",
                value=float(start),
                format="%.5g",
                key=left.key(f"flips-at-{i}-{right.job.id}"),
                help=f"It begins at {threshold.whose_threshold(artifact, context)}."
                if not (same and i)
                else "It begins at the 90th percentile of all scores.",
            )
        )
    return [float(v) for v in found]


def _say(found: Flips, sums: Accuracies | None, patients: bool, part: str) -> None:
    n, flipped = len(found.rows), int(found.flipped.sum())
    cases = f"{text.part(part)} cases" if part else "cases"
    said = f"**{flipped:,} of {n:,} {cases}** are decided differently."
    if sums is None:
        st.markdown(f"{said} Which of the two is right is not known for these cases.")
        return
    low, high = sums.interval.low, sums.interval.high
    bounds = (
        f"(95 % interval {low:+.3f} to {high:+.3f})"
        if low is not None and high is not None
        else f"({text.label(sums.interval.note, 120)})"
    )
    st.markdown(
        text.explain(
            f"{said} Right: {text.percent(sums.first)} in the first and"
            f" {text.percent(sums.second)} in the second, a difference of"
            f" {sums.difference:+.3f} {bounds}, n = {sums.n:,}."
            f" {text.counted(sums.second_only, 'case')} only the second has right,"
            f" {sums.first_only:,} only the first (McNemar’s exact test, p ="
            f" {sums.p:.2g})."
        )
    )
    if patients:
        st.caption("The interval is over patients; the test counts each case for itself.")


def _pairs(
    pairs: list[tuple[str, str, int, int | None, int | None]], left: Context
) -> tuple[str, str] | None:
    """The table of flips; (from, to) of the line that is chosen, None for all."""
    frame = pd.DataFrame(pairs, columns=["from", "to", "cases", "first right", "second right"])
    if frame["first right"].isna().all():
        frame = frame[["from", "to", "cases"]]
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        height=min(420, 38 + 35 * len(frame)),
        on_select="rerun",
        selection_mode="single-row",
        key=left.key("flips-pairs"),
    )
    st.caption("A line of the table shows its cases alone.")
    chosen = event["selection"]["rows"] if event else []
    return pairs[chosen[0]][:2] if chosen and chosen[0] < len(pairs) else None


@st.cache_data(max_entries=16, show_spinner="Comparing neighbours")
def _changed(home: str, left: str, right: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(Row ids, share of each one's nearest cases that are others); None where a run has no latent
    space.
    """
    ws = state.workspace()
    try:
        spaces = [find_artifact(ws, run, Embedding) for run in (left, right)]
        return measure_neighbour_change(*spaces)
    except UserError:
        return None


def _cases(
    left: Context,
    right: Context,
    first: Decided,
    second: Decided,
    found: Flips,
    pair: tuple[str, str] | None,
) -> None:
    """The flips from `pair[0]` to `pair[1]`, or all of them: pictures, and ways to keep them."""
    picked = found.flipped
    if pair is not None:
        picked = np.asarray((found.before == pair[0]) & (found.after == pair[1]), bool)
    at = np.flatnonzero(picked)
    moved = np.full(len(found.rows), np.nan)
    change = None
    if left.job.id != right.job.id:
        change = _changed(str(left.ws.home), left.job.id, right.job.id)
    if change is not None:
        there = np.isin(found.rows, change[0])
        moved[there] = change[1][np.searchsorted(change[0], found.rows[there])]
    # the surest first; of those the ones whose neighbours changed most
    sure = found.sure.min(1)
    at = at[np.lexsort((-np.nan_to_num(moved[at]), -sure[at]))]
    rows = found.rows[at]
    table = _table(left, found, at, moved)
    buttons = st.container(horizontal=True)
    buttons.button(
        f"Select {text.counted(len(rows), 'case')} on both maps",
        key=left.key("flips-select"),
        on_click=state.select,
        args=(np.sort(rows), "decided differently"),
    )
    from core.export import SAFE, safe_csv

    download.button(
        buttons,
        "Export as CSV",
        safe_csv(table),
        "flips.csv",
        "text/csv",
        key=left.key("flips-csv"),
        icon=":material/download:",
        help=SAFE,
        what=f"run {left.job.id}: {len(table)} cases decided differently",
    )
    key = left.key("flips-gallery")
    if not render.is_drawable(left.data):
        st.dataframe(table, hide_index=True, width="stretch", height=320)
        return
    now = st.session_state.get(f"{key}-page", 1) - 1 if len(rows) > PAGE else 0
    shown = rows[now * PAGE : (now + 1) * PAGE]
    images = _side_by_side(left, right, (first, second), shown, pair[1] if pair else "")
    wide = images.shape[2] > images.shape[1]
    gallery(
        left,
        rows,
        key,
        images=images,
        captions=[_caption((first, second), found, int(i), float(moved[i])) for i in at],
        across=2 if wide else 4,
        page_size=PAGE,
        longest=90,
    )


def _caption(sides: tuple[Decided, Decided], found: Flips, i: int, moved: float) -> str:
    said = [f"{text.plain(found.before[i], 16)} → {text.plain(found.after[i], 16)}"]
    row = found.rows[i : i + 1]
    scores = [a.score[a.at(row)][0] for a in sides if isinstance(a, AnomalyMaps)]
    if scores:
        said.append(f"score {' → '.join(dict.fromkeys(text.figures(float(v)) for v in scores))}")
    if found.truth[i] is not None:
        said.append(f"truth {text.plain(found.truth[i], 16)}")
    if np.isfinite(moved):
        said.append(f"{text.percent(moved)} new neighbours")
    return " · ".join(said)


def _table(left: Context, found: Flips, at: np.ndarray, moved: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "row": found.rows[at],
            "name": left.data.of(found.rows[at]).names(),
            "from": found.before[at],
            "to": found.after[at],
            "truth": found.truth[at],
            "sure in the first": found.sure[at, 0].round(4),
            "sure in the second": found.sure[at, 1].round(4),
            "new neighbours": moved[at].round(3),
        }
    )
    return frame.dropna(axis="columns", how="all")


def _side_by_side(
    left: Context, right: Context, sides: tuple[Decided, Decided], rows: np.ndarray, target: str
) -> np.ndarray:
    """Of each case its picture, and what either run saw in it, on one scale: uint8 [n,t,w,3].
    `target`: the class the cases flipped to, "" where they flipped to several.
    """
    plain = thumbs(left.data, rows, TILE)
    if isinstance(sides[0], AnomalyMaps) and isinstance(sides[1], AnomalyMaps):
        seen, said = _heats(left, right, sides[0], sides[1], rows)
    else:
        seen, said = _attributions(left, right, rows, target)
    if not seen:
        st.caption(said)
        return plain
    names = [f"**{text.label(navigation.run_title(c.job))}**" for c in (left, right)]
    where = f"Right: {names[0]}."
    if len(seen) == 2:
        where = f"Middle: {names[0]}. Right: {names[1]}."
    st.caption(f"Left: the case. {where} {said}")
    gap = np.full((len(rows), TILE, 4, 3), 128, np.uint8)
    return np.concatenate([plain, *(part for one in seen for part in (gap, one))], 2)


def _heats(
    left: Context, right: Context, first: AnomalyMaps, second: AnomalyMaps, rows: np.ndarray
) -> tuple[list[np.ndarray], str]:
    """(Heat of both runs, or one picture where they are one run; words beside it)."""
    sides = [(left, first), (right, second)][: 1 if left.job.id == right.job.id else 2]
    if not all(heat.has_heat(a, c.data) for c, a in sides):
        return [], "The two runs do not both have heat to set beside a picture."
    ranges = [heat.reach(str(c.ws.home), c.job.id, a.slug) for c, a in sides]
    one = first.unit == second.unit
    scale = (min(low for low, _ in ranges), max(high for _, high in ranges))
    drawn = [_draw_heat(c, a, rows, scale if one else own) for (c, a), own in zip(sides, ranges)]
    if not one:
        return drawn, "Their heat is in different units, so each has the scale of its own run."
    return drawn, (
        f"Heat from {text.number(scale[0])} to {text.number(scale[1])} {text.label(first.unit)}:"
        " one scale for all."
    )


def _draw_heat(
    context: Context, artifact: AnomalyMaps, rows: np.ndarray, scale: tuple[float, float]
) -> np.ndarray:
    assert artifact.map is not None
    hot = np.asarray(artifact.map[artifact.at(rows)])
    made = render.draw_heat_maps(
        context.data, hot, rows, scale, heat.OPACITY, TILE, look=state.look()
    )
    return np.stack([render.fit_into_square(m, TILE, smooth=True) for m in made])


def _attributions(
    left: Context, right: Context, rows: np.ndarray, target: str
) -> tuple[list[np.ndarray], str]:
    """Signed maps of both runs of what spoke for `target`, once the person has asked for them."""
    if not target:
        return [], "Choose a line of the table to ask both runs why, case by case."
    spec = {
        "how": "integrated_gradients",
        "target": f"class {target}",
        "rows": [int(r) for r in rows],
    }
    both = (left, right)
    jobs = [progress.submit_derived("explain", spec, c, start=False) for c in both]
    if any(j is None or (j.ended and j.status != "done") for j in jobs):
        for job in jobs:
            if job is not None and job.ended and job.status != "done":
                progress.bar(job)
        if st.button(
            f"Ask both runs why “{text.label(target, 40)}”",
            key=left.key("flips-why"),
            **allowed.lock("compute"),
        ):
            for c in both:
                progress.submit_derived("explain", spec, c, again=True)
            st.rerun()
        return [], ""
    for job in jobs:
        assert job is not None
        if job.status != "done":
            progress.live(job.id, key=left.key("flips-why-job"))
            return [], ""
    found = [find_artifact(c.ws, j.id, Attributions) for c, j in zip(both, jobs) if j is not None]
    reach = max(a.full_colour() for a in found)
    drawn = []
    for c, artifact in zip(both, found):
        made = draw_maps(artifact, c, artifact.at(rows), TILE, reach)
        drawn.append(np.stack([render.fit_into_square(m, TILE, smooth=True) for m in made]))
    return drawn, (
        f"Orange spoke for “{text.label(target, 40)}”, blue against it; full colour at"
        f" ±{reach:.2g}: one scale for all."
    )
