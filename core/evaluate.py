"""Running measures on what a run gave: each measure meets every combination of artifacts of the
types it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from core.artifacts import Artifact, Metric, Metrics
from core.data.dataset import Dataset
from core.data.labels import why_no_classes
from core.io.shared_work import Work, do, pack, unpack
from core.measure import Measure
from core.registry import measures

MOST_SENT = 1 << 30  # bytes of data and artifacts that are sent for measures to be shared out


def measure(
    data: Dataset,
    artifacts: Mapping[str, Artifact],
    names: list[str] | None,
    seed: int = 0,
    below: Mapping[str, Artifact] | None = None,
    report: Callable[[float], None] = lambda done: None,
) -> Metrics:
    """Metrics by the measures called `names` (None: the cheap ones). A measure asked for by name
    says why it is not defined; others are silent.

    Artifacts of slices are left out: slices of one volume are no independent cases, so numbers are
    of volumes. A measure of several artifacts, such as groups in a latent space, borrows what a run
    does not give itself from the run it was built on, `below`. `report` hears the share of the
    measures that are done, 0 to 1, and may raise.
    """
    asked = measures() if names is None else {n: measures()[n] for n in names}
    questions: list[_Question] = []
    lacking: dict[int, str] = {}
    for i, one in enumerate(asked.values()):
        if names is None and not one.cheap:
            continue
        candidates = [_of(artifacts, kind) for kind in one.takes]
        if any(candidates) and below:
            candidates = [own or _of(below, kind) for own, kind in zip(candidates, one.takes)]
        several = any(len(c) > 1 for c in candidates)
        for combination in product(*candidates):
            place = ", ".join(slug for slug, _ in combination if several)
            questions.append(_Question(i, one, [a for _, a in combination], place))
        if names is not None and not all(candidates):
            lacking[i] = ", ".join(k.__name__ for k, c in zip(one.takes, candidates) if not c)
    answers = _ask(data, questions, seed, names is not None, report)
    found: list[Metric] = []
    for i, one in enumerate(asked.values()):
        for question, made in zip(questions, answers, strict=True):
            if question.number == i:
                place = question.place
                found += [replace(m, name=f"{m.name} [{place}]") if place else m for m in made]
        if i in lacking:
            note = f"this run gives no {lacking[i]}"
            found.append(Metric(one.id, None, note=note, higher_is_better=None))
    return Metrics.of(found, data.rows)


@dataclass(frozen=True)
class _Question:
    """One measure, the `number`th asked for, of `given`; `place` tells it from the same of others,
    "" where there is no other.
    """

    number: int
    measure: Measure
    given: list[Artifact]
    place: str


def _ask(
    data: Dataset,
    questions: list[_Question],
    seed: int,
    asked: bool,
    report: Callable[[float], None],
) -> list[list[Metric]]:
    """Return what each question gives. A whole measure is what may be done elsewhere, since its
    sums go over all cases, and added up in parts they have other last digits.
    """
    given = (data, [(q.measure, q.given) for q in questions], seed, asked)
    answers: dict[int, list[Metric]] = {}
    held = sum(_bytes(a) for q in questions for a in q.given) + _bytes(data)
    packed = cache(lambda: pack(given) if held <= MOST_SENT else None)
    work = Work(
        units=len(questions),
        here=lambda part: answer_part(given, part),
        keep=lambda part, made: answers.update(zip(part, made, strict=True)),
        common=packed,
        send=lambda part: part,
        open=unpack,
        there=answer_part,
        mark=lambda: None if packed() is None else "",
    )
    do(work, lambda: None, report)
    return [answers[i] for i in range(len(questions))]


def answer_part(given: Any, part: range) -> list[list[Metric]]:
    """Return what the questions of `part` give; here, or in a process elsewhere."""
    data, questions, seed, asked = given
    return [
        _one(one, data, artifacts, seed, asked)
        for one, artifacts in questions[part.start : part.stop]
    ]


def _bytes(held: Any) -> int:
    """Bytes of the arrays an artifact or a dataset holds; of what is on disk the place is sent."""
    return sum(v.nbytes for v in vars(held).values() if isinstance(v, np.ndarray))


def _of(artifacts: Mapping[str, Artifact], kind: type[Artifact]) -> list[tuple[str, Artifact]]:
    """Return the artifacts of a type with their slugs, those of slices left out."""
    return [(slug, a) for slug, a in artifacts.items() if isinstance(a, kind) and a.place is None]


def _one(
    one: Measure, data: Dataset, given: list[Artifact], seed: int, asked: bool
) -> list[Metric]:
    why = None
    if one.labels and len(data.classes) < 2:
        why = "there are no labels of at least two classes"
    elif one.labels and (odd := why_no_classes(data, training=False)):
        why = odd[0].lower() + odd[1:].rstrip(".")
    elif one.masks and data.masks is None:
        why = "there are no masks"
    why = why or one.declines(data, *given)
    if why:
        return [Metric(one.id, None, note=why, higher_is_better=None)] if asked else []
    return one.compute(data, *given, rng=np.random.default_rng(seed))


def held_out(data: Dataset, rows: np.ndarray) -> tuple[str, np.ndarray]:
    """(split name, positions in `rows`) that a number should be of: test, else val, else all."""
    split = dict(zip(data.rows.tolist(), data.splits))
    of = np.array([split.get(int(r), "") for r in rows])
    for name in ("test", "val"):
        if (of == name).sum() >= 5:
            return name, np.flatnonzero(of == name)
    return "all", np.arange(len(rows))
