"""The projections a map can be drawn by, each with its name on screen."""

from __future__ import annotations

from core.errors import UserError

PROJECTIONS = {"umap": "UMAP", "tsne": "t-SNE", "pacmap": "PaCMAP", "pca": "PCA"}
NONLINEAR = "umap"  # the one taken where none is named
LINEAR = "pca"  # at once, and for what the others cannot draw
DIMENSIONS = (2, 3)
OFFERED = f"{', '.join(list(PROJECTIONS)[:-1])} or {list(PROJECTIONS)[-1]}"


def check_projection(how: str, dims: int) -> None:
    """UserError where there is no projection `how`, or a map cannot have `dims` dimensions."""
    if how not in PROJECTIONS or dims not in DIMENSIONS:
        raise UserError(f"A map is made by {OFFERED}, in 2 or 3 dimensions.")
