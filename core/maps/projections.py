"""The projections a map can be drawn by, each with its name on screen, and which one suits."""

from __future__ import annotations

from core.errors import UserError
from core.words import percent

PROJECTIONS = {"umap": "UMAP", "tsne": "t-SNE", "pacmap": "PaCMAP", "pca": "PCA"}
AUTOMATIC = "auto"  # the most faithful of those compared; the one taken where none is named
NONLINEAR = "umap"  # drawn unless another is clearly more faithful
LINEAR = "pca"  # at once, and for what the others cannot draw
DIMENSIONS = (2, 3)
OFFERED = f"{', '.join(list(PROJECTIONS)[:-1])} or {list(PROJECTIONS)[-1]}"
# how many times as many of the 15 nearest a projection must keep to be clearly more faithful: two
# seeds of the same projection differ by less than a tenth
CLEARLY = 1.25


def check_projection(how: str, dims: int) -> None:
    """UserError where there is no projection `how`, or a map cannot have `dims` dimensions."""
    if how not in (AUTOMATIC, *PROJECTIONS) or dims not in DIMENSIONS:
        raise UserError(
            f"A map is made by {OFFERED}, or {AUTOMATIC} for the most faithful, in 2 or 3"
            " dimensions."
        )


def find_more_faithful(than: str, compared: dict[str, dict[str, float]]) -> str | None:
    """Return the projection that is clearly more faithful than `than`, by the scores of each (see
    `core.maps.faithfulness`): it keeps a quarter more of the 15 nearest, and is no less
    trustworthy. The one that keeps most; None where there is none or nothing was compared.
    """
    if than not in compared:
        return None
    own = compared[than]
    ahead = {
        how: scores["knn_recall"]
        for how, scores in compared.items()
        if scores["knn_recall"] >= own["knn_recall"] * CLEARLY
        and scores["trustworthiness"] >= own["trustworthiness"]
    }
    return max(ahead, key=lambda how: ahead[how]) if ahead else None


def describe_comparison(compared: dict[str, dict[str, float]], sampled: int) -> str:
    """Return what share of the 15 nearest each projection keeps, as a clause; `sampled` is of how
    many cases that was measured, 0 where of all.
    """
    kept = " and ".join(f"{PROJECTIONS[h]} {percent(s['knn_recall'])}" for h, s in compared.items())
    kept = kept.replace(" and ", ", ", len(compared) - 2)
    among = f", in a sample of {sampled:,}," if sampled else ""
    return f"of each case’s 15 nearest{among} {kept} stay near"
