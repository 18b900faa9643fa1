"""Beside a case that was read: its reconstruction and the cases nearest to it; and below, what all
readings came to.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import streamlit as st

from app import navigation, state, text
from app.components import allowed, download
from app.panels.gallery import thumbs
from app.panels.inspector import nearest
from app.state import Context
from core.artifacts import Images
from core.export import SAFE, safe_csv
from core.imaging import render
from core.jobs.again import train_again
from core.workspace import readings, review
from core.workspace.readings import Reading


def values(context: Context, row: int) -> None:
    """The values of a case of a table, without its label."""
    data = context.data
    frame = data.of(np.array([row])).frame
    hidden = {data.roles.get("label")}
    line = frame.iloc[0].drop(labels=[c for c in frame.columns if c in hidden])
    st.dataframe(
        pd.DataFrame({"value": line.astype(str)}),
        width="stretch",
        height=min(640, 38 + 35 * len(line)),
    )


def beside(context: Context, row: int) -> None:
    """The model's reconstruction of the case, and the cases nearest in latent space."""
    made = _reconstruction(context)
    if made is not None and (made.rows == row).any() and render.is_drawable(context.data):
        image = np.asarray(made.image[made.at(np.array([row]))[0]])
        st.image(
            render.draw_generated(image, context.data, 200, look=state.look()),
            caption="the case as the model reconstructs it",
            alt="Generated: the case as the model reconstructs it",
            width="stretch",
        )
    near = nearest(context, row, 3)
    if not near:
        return
    st.caption(
        "Most similar, by what the model learned",
        help="Nearest in the latent space itself, with their stored labels.",
    )
    data = context.data
    whole = data.of(np.array(near))
    pics = thumbs(data, np.array(near), 96) if render.is_drawable(data) else None
    for i, cell in enumerate(st.columns(len(near), gap="small")):
        label = data.classes[whole.labels[i]] if whole.labels[i] >= 0 else whole.names()[i]
        if pics is not None:
            cell.image(pics[i], width="stretch", alt=text.plain(label, 60))
        cell.caption(text.label(label, 16))


def _reconstruction(context: Context) -> Images | None:
    for slug in context.ws.slugs(context.job.id):
        artifact = context.ws.artifact(context.job.id, slug)
        if isinstance(artifact, Images) and artifact.role == "reconstruction":
            return artifact
    return None


def summary(
    context: Context,
    made: list[Reading],
    mine: dict[int, Reading],
    cases: np.ndarray,
    reader: str,
) -> None:
    """What this reader's and all readings came to, the table to take away, and relabelling."""
    with st.expander(f"Readings of this data ({len(made):,})"):
        if not made:
            st.caption("Nothing has been read yet.")
            return
        own = list(mine.values())
        if own:
            st.markdown(_describe(own))
        readers = Counter(r.reader for r in made)
        st.caption(
            "By reader: "
            + ", ".join(
                f"{text.label(name, 40)} {count:,}" for name, count in readers.most_common()
            )
            + ". An answer taken back stays in the table, marked as such."
        )
        frame = readings.readings_table(context.ws, context.data.name)
        shown = {
            "name": "case",
            "reader": "reader",
            "answer": "answer",
            "first": "before the model",
            "label": "stored label",
            "model": "model",
            "verdict": "verdict",
            "note": "note",
            "answered": "when (UTC)",
        }
        st.dataframe(
            frame.iloc[::-1][list(shown)].rename(columns=shown),
            hide_index=True,
            height=38 + 35 * min(len(frame), 6),
            width="stretch",
        )
        download.button(
            st,
            "All readings as CSV",
            lambda: safe_csv(frame),
            "readings.csv",
            "text/csv",
            key=context.key("readings-csv"),
            help=f"With times in UTC. {SAFE}",
            what=f"run {context.job.id}: all readings of its data",
        )
        _relabel(context, own, reader)


def _describe(own: list[Reading]) -> str:
    """One reader's readings in a sentence or two."""
    count = Counter(r.verdict for r in own if r.shown is not None)
    said = f"You have read {len(own):,}, {sum(r.first for r in own):,} of them before the model."
    judged = sum(count[v] for v in readings.VERDICTS)
    if judged:
        said += (
            f" Of {judged:,} answers of the model that you judged: agreed {count['agree']:,},"
            f" disagreed {count['disagree']:,}, unsure {count['unsure']:,}."
        )
    labelled = [r for r in own if r.label and r.answer != readings.CANNOT_TELL]
    if labelled:
        same = sum(r.answer == r.label for r in labelled)
        said += f" Your answer is the stored label in {same:,} of {len(labelled):,}."
    return said


def _relabel(context: Context, own: list[Reading], reader: str) -> None:
    """Give cases the label the reader gave, undo that, and train again with the new labels."""
    data = context.data
    decided = [
        d for d in review.list_decisions(context.ws, data.name) if d.finding == "reading room"
    ]
    changed = readings.find_changed_labels(own, data.classes)
    whole = {int(r): int(c) for r, c in zip(data.rows, data.labels)}
    changed = {
        label: rows
        for label, found in changed.items()
        if len(
            rows := found[
                [whole.get(int(r), -1) not in (-1, data.classes.index(label)) for r in found]
            ]
        )
    }
    if not changed and not decided:
        return
    st.markdown("**Labels**")
    for label, rows in changed.items():
        st.button(
            f"Relabel {text.counted(len(rows), 'case')} as {text.label(label, 30)}",
            key=f"reading-relabel-{data.classes.index(label)}",
            on_click=state.attempt,
            args=(
                review.relabel,
                context.ws,
                data.name,
                rows,
                label,
                f"read by {reader} in the reading room",
                "reading room",
            ),
            icon=":material/label:",
            **allowed.lock(
                "annotate",
                help="Your answer becomes the label from now on. The stored file stays as it is.",
            ),
        )
    for d in reversed(decided[-5:]):
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.caption(
            f"{text.counted(len(d.rows), 'case')} relabelled as {text.label(d.value, 30)}"
            f" ({text.label(d.reason, 80)})"
        )
        right.button(
            "Undo",
            key=f"reading-undo-{d.id}",
            on_click=state.attempt,
            args=(review.undo, context.ws, data.name, d.id),
            **allowed.lock("annotate"),
            width="stretch",
        )
    if decided and context.job.kind == "train":
        token = state.press(f"retrain-{context.job.id}")
        if st.button(
            "Train again with these labels",
            key=f"retrain-{token}",
            type="primary",
            icon=":material/model_training:",
            **allowed.lock(
                "train",
                help="The same method, parameters and seed; Compare then shows what changed.",
            ),
        ):
            job = state.attempt(
                train_again,
                context.ws,
                context.job,
                seed=context.job.seed,
                token=token,
            )
            state.pressed(f"retrain-{context.job.id}")
            if job is not None:
                st.switch_page(navigation.page("runs"))
