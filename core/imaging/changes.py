"""Pictures of a case before and after a change, and of the change itself, on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Counterfactual
from core.imaging import render, signals
from core.imaging.render import PLAIN
from core.imaging.windowing import DisplaySettings

if TYPE_CHECKING:
    from core.data.dataset import Dataset

GROUND = 40  # grey of places that did not change
LEAST = 0.1  # of the scale: full colour of a change is never less, or noise would look like one


def full_colour(made: Counterfactual) -> float:
    """Return the change of a picture's values that has its full colour: the 99.5th percentile, at
    least 0.1.
    """
    change = np.abs(np.asarray(made.after, dtype=float) - made.before)
    return max(LEAST, float(np.quantile(change, 0.995)))


def draw_change(
    made: Counterfactual, data: Dataset, side: int = 240, look: DisplaySettings = PLAIN
) -> dict[str, np.ndarray]:
    """Return uint8 [h,w,3] pictures, "before", "after" and "difference" (none of signals, whose
    "after" has "before" in grey), all of one slice of a volume, that which changes most.

    What a model made says GENERATED in its pixels; a case as it is does not.
    """
    before, after = np.asarray(made.before), np.asarray(made.after)
    if before.ndim == 2:
        style = signals.signal_style(data)
        first = (
            signals.draw_signal(before, style, side)
            if made.way in ("residual", "nearest case")
            else render.draw_generated(before, data, side, look=look)
        )
        changed = (
            render.draw_generated(after, data, side, before, look)
            if made.generated
            else signals.draw_signal(after, style, side, before=before)
        )
        return {"before": first, "after": changed}
    if before.ndim == 4:
        k = int(np.abs(after - before).sum((0, 2, 3)).argmax())
        before, after = before[:, k], after[:, k]
    change = np.mean(after.astype(float) - before, axis=0)
    ground = np.full((*change.shape, 3), GROUND, np.uint8)
    difference = render.overlay_signed(ground, change, full_colour(made), 1.0)

    def drawn(picture: np.ndarray, generated: bool) -> np.ndarray:
        hung = render.orient_like(picture, data, look)
        return render.mark_generated(hung, side) if generated else render.enlarge(hung, side)

    return {
        "before": drawn(render.input_to_rgb(before), made.way not in ("residual", "nearest case")),
        "after": drawn(render.input_to_rgb(after), made.generated),
        "difference": drawn(difference, made.generated),
    }
