"""What a run says about one case, in words a reader can hold against their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app import text
from app.panels import threshold
from app.panels.gallery import score_of
from app.state import Context
from core.artifacts import AnomalyMaps, Predictions
from core.imaging import render

UNUSUAL, USUAL = "unusual", "not unusual"
MOST_CLASSES = 9  # answers that have a key


@dataclass(frozen=True)
class ModelAnswer:
    """`said`: the answer in one word or two, kept with the reading; `lines`: what to show, escaped
    markdown.
    """

    said: str
    lines: tuple[str, ...]


def predictions_of(context: Context) -> Predictions | None:
    """The run's probabilities of whole cases; None where it predicts nothing."""
    for slug in context.ws.slugs(context.job.id):
        artifact = context.ws.artifact(context.job.id, slug)
        if (
            isinstance(artifact, Predictions)
            and artifact.prob is not None
            and artifact.prob.ndim == 2
            and artifact.place is None
        ):
            return artifact
    return None


def offered_answers(context: Context) -> list[str]:
    """What a reader can answer: the run's classes, else the data's, else whether a case is
    unusual; [] where there are more classes than keys.
    """
    found = predictions_of(context)
    classes = list(found.classes) if found is not None else list(context.data.classes)
    if len(classes) < 2:
        return [USUAL, UNUSUAL]
    return classes if len(classes) <= MOST_CLASSES else []


def describe_answer(context: Context, row: int) -> ModelAnswer | None:
    """What the run says about the case `row`; None where it says nothing about single cases."""
    said: list[str] = []
    lines: list[str] = []
    predicted = predictions_of(context)
    if predicted is not None and (predicted.rows == row).any():
        assert predicted.prob is not None
        prob = np.asarray(predicted.prob, np.float64)
        own = prob[predicted.at(np.array([row]))[0]]
        sure = prob.max(1)
        word = predicted.classes[int(own.argmax())]
        said.append(word)
        lines.append(f"Predicted class: **{text.label(word, 40)}**")
        lines.append(f"{_rank(sure, float(own.max()), 'surer')} (an order, not a probability)")
    scores = score_of(context)
    if scores is not None and (scores.rows == row).any():
        said.append(_describe_score(scores, context, row, lines))
    return ModelAnswer(", ".join(said), tuple(lines)) if said else None


def has_answers(context: Context) -> bool:
    """Whether the run says anything about single cases."""
    return predictions_of(context) is not None or score_of(context) is not None


def heat_of(context: Context) -> AnomalyMaps | None:
    """The run's heat where it can be laid over the pictures of the data."""
    scores = score_of(context)
    if scores is None or scores.map is None or not render.is_drawable(context.data):
        return None
    return scores if scores.map.shape[1:] == context.data.shape[1:] else None


def _describe_score(scores: AnomalyMaps, context: Context, row: int, lines: list[str]) -> str:
    """Add the lines about an anomaly score, and return the answer in words."""
    all_ = np.asarray(scores.score)
    own = float(all_[scores.at(np.array([row]))[0]])
    at = threshold.threshold_of(scores, context)
    word = UNUSUAL if own > at else USUAL
    lines.append(f"Anomaly: **{word}** (score {text.number(own)}, threshold {text.number(at)})")
    lines.append(_rank(all_, own, "more unusual"))
    return word


def _rank(values: np.ndarray, own: float, word: str) -> str:
    """Where a value stands among all, in words."""
    below = 100 * float((values < own).mean())
    return f"{word.capitalize()} than {below:.0f} of 100 cases here"
