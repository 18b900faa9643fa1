"""Pictures a model made, beside the originals, marked as generated."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels.gallery import thumbs
from app.state import Context
from core.artifacts import Images
from core.imaging import render

TITLE = "Made pictures"
ROLES = {
    "reconstruction": "reconstructed by the model",
    "sample": "invented by the model",
    "translated": "as the model expects it",
    "perturbed": "altered",
    "preprocessed": "what the model is given to see",
}


def show(artifact: Images, context: Context) -> None:
    """Twelve at a time: the case above, what the model made below."""
    many = len(artifact.rows)
    test = np.flatnonzero(np.isin(artifact.rows, context.data.part("test").rows))
    order = test if len(test) else np.arange(many)
    pages = -(-len(order) // 12)
    at = st.pagination(pages, key=context.key(f"images-{artifact.slug}")) - 1 if pages > 1 else 0
    part = order[at * 12 : (at + 1) * 12]
    st.caption(
        f"Above: the case. Below: {ROLES[artifact.role]}."
        + (" Held-out cases." if len(test) else "")
    )
    names = context.data.of(artifact.rows[part]).names()
    before = thumbs(
        context.data, artifact.rows[part], 192 if context.data.modality == "series" else 128
    )
    # drawn: lines and letters, no pixels
    box = st.container(
        key=context.key(
            f"{'drawn' if context.data.modality == 'series' else 'images'}-made-{artifact.slug}"
        )
    )
    for start in range(0, len(part), 6):
        for i, cell in enumerate(box.columns(6)[: len(part) - start]):
            k = start + i
            cell.image(before[k], width="stretch")
            image = np.asarray(artifact.image[part[k]])
            cell.image(
                (
                    render.orient_like(render.input_to_rgb(image), context.data, state.look())
                    if artifact.role == "preprocessed"
                    else render.draw_generated(
                        image,
                        context.data,
                        192 if context.data.modality == "series" else 128,
                        look=state.look(),
                    )
                ),
                width="stretch",
                caption=text.label(names[k], 18),
            )
