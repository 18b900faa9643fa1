"""What a model can be asked to answer of a case, whether it does, and which real cases have that
answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MOST, BATCH = 20_000, 256  # real cases that are asked, and how many in one call
FEW = 1e-30
Report = Callable[[float], None]


def list_wanted(model: Any, threshold: float | None) -> list[tuple[str, str]]:
    """Return what can be wanted of a model: (key, title): each class it predicts, and a score at
    the threshold where it has one.
    """
    if not _is_asked_of_cases(model):
        return []
    found = []
    if "score" in model.abilities and threshold is not None:
        found.append(("score", "an anomaly score that is not above the threshold"))
    if "predict" in model.abilities and len(model.classes) > 1:
        found += [(f"class {c}", f"the class “{c}”") for c in model.classes]
    return found


def list_open(
    model: Any, data: Dataset, row: int, threshold: float | None
) -> list[tuple[str, str]]:
    """As `list_wanted`, without what the model answers of the case `row` already."""
    x = data.of(np.array([row])).inputs()
    return [
        (key, title)
        for key, title in list_wanted(model, threshold)
        if not Asked(model, key, threshold).holds(x)[0]
    ]


def _is_asked_of_cases(model: Any) -> bool:
    return bool({"predict", "score"} & set(model.abilities))


def why_no_counterfactual(model: Any, data: Dataset, threshold: float | None) -> str | None:
    """Why no counterfactual can be asked of a model of this data, in one sentence."""
    if data.samples is None:
        return "A counterfactual changes numbers or pictures; this data is text."
    if data.modality == "volume" and model.slicewise:
        return (
            "This model takes volumes slice by slice, and says nothing of a whole volume that could"
            " be changed."
        )
    if not list_wanted(model, threshold):
        return (
            "This model predicts no class and has no threshold for a score, so there is no answer"
            " to flip."
        )
    return None


@dataclass(frozen=True)
class Asked:
    """A model asked for one answer. `margin` is above 0 where it is the wanted one: log of its
    share over that of the likeliest other class, or threshold less score.
    """

    model: Any
    target: str
    threshold: float | None

    def margin(self, x: Any) -> Any:
        """Return the margins [b] of inputs [b,*input], with a gradient where the model has one."""
        if self.target == "score":
            return self.threshold - self.model.score(x).float() + FEW
        prob = self.model.predict(x).float()
        j = self.model.classes.index(self.target.removeprefix("class "))
        others = prob.clone()
        others[:, j] = 0
        return prob[:, j].clamp(min=FEW).log() - others.max(1).values.clamp(min=FEW).log()

    def holds(self, x: np.ndarray) -> np.ndarray:
        """Whether the answer to inputs [b,*input] is the wanted one, bool [b]."""
        return self.values(x) > 0

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return the margins of inputs [b,*input], float64 [b], some at a time."""
        import torch

        kind, found = np.float64 if x.dtype == np.float64 else np.float32, []
        with torch.no_grad():
            for i in range(0, len(x), BATCH):
                part = torch.from_numpy(np.ascontiguousarray(x[i : i + BATCH], dtype=kind))
                found.append(self.margin(part).double().numpy())
        return np.concatenate(found) if found else np.zeros(0)

    def say(self, x: np.ndarray) -> tuple[float, str]:
        """Return what the model says of one input [*input]: share of the class, or score; and in
        a word: its likeliest class, or on which side of the threshold.
        """
        import torch

        with torch.no_grad():
            given = torch.from_numpy(np.ascontiguousarray(x[None]))
            if self.target == "score":
                score = float(self.model.score(given)[0])
                return score, "unusual" if score > (self.threshold or 0.0) else "not unusual"
            prob = self.model.predict(given)[0].double().numpy()
        classes = self.model.classes
        j = classes.index(self.target.removeprefix("class "))
        return float(prob[j]), classes[int(prob.argmax())]


def find_real_cases(asked: Asked, data: Dataset, row: int, report: Report) -> np.ndarray:
    """Row ids of real cases whose answer is the wanted one, those of the same patient left out; at
    most 20,000 evenly spaced cases are asked.
    """
    import torch

    from core.training.loader import in_order

    at = np.flatnonzero(data.rows == row)[0]
    rows = data.rows[:: max(1, -(-len(data) // MOST))]
    yes = []
    for i, x in enumerate(in_order(data.of(rows), torch.device("cpu"), BATCH)):
        report(min(1.0, i * BATCH / len(rows)))
        with torch.no_grad():
            yes.append((asked.margin(x) > 0).numpy())
    rows = rows[np.concatenate(yes)]
    groups = data.groups
    if groups is None or groups[at] is None:
        return rows[rows != row]
    same = data.rows[groups == groups[at]]
    return rows[~np.isin(rows, same)]
