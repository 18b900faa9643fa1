"""Running measures on what a run gave: each measure meets every combination of artifacts of the
types it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import numpy as np

from core.artifacts import Artifact, Metric, Metrics
from core.data.dataset import Dataset
from core.data.labels import why_no_classes
from core.measure import Measure
from core.registry import measures


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
    found: list[Metric] = []
    asked = measures() if names is None else {n: measures()[n] for n in names}
    for i, one in enumerate(asked.values()):
        report(i / len(asked))
        if names is None and not one.cheap:
            continue
        candidates = [_of(artifacts, kind) for kind in one.takes]
        if any(candidates) and below:
            candidates = [own or _of(below, kind) for own, kind in zip(candidates, one.takes)]
        for combination in product(*candidates):
            made = _one(one, data, [a for _, a in combination], seed, names is not None)
            several = any(len(c) > 1 for c in candidates)
            place = ", ".join(slug for slug, _ in combination if several)
            found += [replace(m, name=f"{m.name} [{place}]") if place else m for m in made]
        if names is not None and not all(candidates):
            missing = ", ".join(k.__name__ for k, c in zip(one.takes, candidates) if not c)
            found.append(
                Metric(one.id, None, note=f"this run gives no {missing}", higher_is_better=None)
            )
    return Metrics.of(found, data.rows)


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
