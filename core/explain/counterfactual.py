"""The smallest change of a case that flips what a model says of it.

Of pictures, volumes and signals the model's own picture of the case is moved in latent space until
the answer to what is decoded there flips; for an anomaly score the case itself moves towards the
model's picture of it until the score is at the threshold. Of tables, values of training cases take
the place of as few of the row's as can be. Every flip is asked of the model itself, on what is
shown. A model that classifies but draws nothing has the nearest real case of the wanted answer as a
stand-in. What flips a model's answer need not be what would change a patient.

Plausible is what lies no farther from training cases than 99 of 100 real cases do, or than the case
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Counterfactual, Embedding
from core.errors import Cancelled, UserError
from core.explain._answers import (
    Asked,
    find_real_cases,
    list_open,
    list_wanted,
    why_no_counterfactual,
)
from core.explain._column_flips import ColumnSearch, describe_value, list_fields, may_change
from core.explain._flips import first_crossing, walk_to_boundary
from core.explain.traversal import decode, distance_percentile, distance_to_training

if TYPE_CHECKING:
    from core.data.dataset import Dataset

PLAUSIBLE = 99.0  # percentile of distance to training cases
STARTS = 6  # real cases of the wanted answer from which the search begins as well
STEADY = 0.05  # of the scale; smaller changes of a value are not counted
Report = Callable[[float], None]
__all__ = [
    "find_counterfactual",
    "list_free_columns",
    "list_open",
    "list_wanted",
    "why_no_counterfactual",
]


def find_counterfactual(
    model: Any,
    data: Dataset,
    embedding: Embedding | None,
    row: int,
    target: str,
    threshold: float | None = None,
    locked: Collection[str] = (),
    report: Report = lambda fraction: None,
    stop: Callable[[], bool] = lambda: False,
) -> Counterfactual:
    """Return the smallest change found of the case `row` that makes the model answer `target`, a
    key of `list_wanted`; `locked` are columns of a table that may not change.

    UserError where that cannot be asked, or the model answers so already. Deterministic. Cost: one
    pass over the cases, then about 60 gradients of 7 decoded inputs (latent), or at most about
    5,000 answers a column that changes (tables).
    """
    if (why := why_no_counterfactual(model, data, threshold)) is not None:
        raise UserError(why)
    known = [k for k, _ in list_wanted(model, threshold)]
    if target not in known:
        raise UserError(
            f"This model cannot be asked for “{target}” (it can for: {', '.join(known)})."
        )
    if not len(np.flatnonzero(data.rows == row)):
        raise UserError(f"Row {row} is not among the cases of this run.")

    def told(fraction: float) -> None:
        report(fraction)
        if stop():
            raise Cancelled

    asked = Asked(model, target, threshold)
    x = data.of(np.array([row])).inputs()[0]
    if asked.holds(x[None])[0]:
        raise UserError(f"The model answers so already: {asked.say(x)[1]}.")
    real = find_real_cases(asked, data, row, lambda f: told(0.3 * f))
    later = _Search(asked, data, embedding, row, x, real, lambda f: told(0.3 + 0.7 * f))
    if data.modality == "table":
        return later.by_columns(locked)
    if embedding is None or not len(embedding.at(np.array([row]))):
        raise UserError("This run has no latent space in which the case could be moved.")
    if not {"decode", "embed"} <= set(model.abilities):
        return later.by_a_real_case()
    if target == "score":
        return later.towards_its_picture()
    if not model.gradients:
        raise UserError("This model has no gradient by which the way to another class is found.")
    return later.in_latent_space()


def list_free_columns(data: Dataset) -> list[str]:
    """Return the columns of a table that a counterfactual may change unless they are locked: those
    the model sees, without any that names a person or a row.
    """
    return [f.name for f in list_fields(data) if may_change(f, data, ())]


@dataclass(frozen=True)
class _Search:
    """One search: the case `x` [*input], `real` row ids of cases that have the wanted answer."""

    asked: Asked
    data: Dataset
    embedding: Embedding | None
    row: int
    x: np.ndarray
    real: np.ndarray
    report: Report

    # -- latent space ------------------------------------------------------------------------------
    def _space(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places of all cases, training deviations [d], and the place of the case [d]."""
        assert self.embedding is not None
        z = np.asarray(self.embedding.z, dtype=np.float64)
        train = self.data.of(self.embedding.rows).splits == "train"
        sd = np.maximum(z[train | (not train.any())].std(0), 1e-9)
        return z, sd, z[self.embedding.at(np.array([self.row]))[0]]

    def _distance(self, z: np.ndarray) -> np.ndarray:
        assert self.embedding is not None
        return distance_percentile(self.data, self.embedding, z)

    def _nearest_real(self, z: np.ndarray, k: int) -> np.ndarray:
        """Return the `k` real cases of the wanted answer nearest to a place [d], int64 row ids."""
        assert self.embedding is not None
        places, sd, _ = self._space()
        rows = self.real[np.isin(self.real, self.embedding.rows)]
        far = np.square((places[self.embedding.at(rows)] - z) / sd).sum(1)
        return rows[np.argsort(far, kind="stable")[:k]]

    def in_latent_space(self) -> Counterfactual:
        """Move the model's picture of the case until the answer to what is decoded flips."""
        assert self.embedding is not None
        model, asked = self.asked.model, self.asked
        places, sd, z0 = self._space()
        own = decode(model, z0[None])[0]
        if asked.holds(own[None])[0]:
            return self._without(
                own,
                "The model says so of its own picture of the case already: what makes it answer"
                " otherwise is in the case and not in that picture, so no change of it tells why.",
                z0,
            )
        simplex = self.embedding.geometry == "simplex"
        near = self._nearest_real(z0, STARTS)
        ends = places[self.embedding.at(near)] / sd
        u0 = z0 / sd
        begin = np.concatenate([u0[None], u0 + 0.5 * (ends - u0)])

        def flipped(u: np.ndarray) -> np.ndarray:
            found = [asked.holds(decode(model, u[i : i + 64] * sd)) for i in range(0, len(u), 64)]
            return np.concatenate(found)

        walked = walk_to_boundary(
            self._margin(sd),
            u0,
            begin,
            _keep_on_simplex(sd) if simplex else lambda v: v,
            60,
            lambda f: self.report(0.8 * f),
        )
        found, some = first_crossing(flipped, u0, np.concatenate([walked, ends]))
        self.report(0.9)
        found = found[some]
        if not len(found):
            return self._without(own, "No place was found at which the answer is another.", z0)
        moved = np.linalg.norm(found - u0, axis=1)
        near_real = _are_plausible(self.data, self.embedding, found * sd, z0)
        order = np.argsort(moved, kind="stable")
        for i in order[near_real[order]]:
            # one by one it is asked again, since one input alone may round otherwise than many
            z = found[i] * sd
            after = decode(model, z[None])[0]
            if asked.holds(after[None])[0]:
                return self._shown(own, after, z0, z, "latent")
        return self._without(
            own,
            "The answer flips only where no real case is near"
            f" (the nearest such place is {moved[order[0]]:.1f} typical steps away), so no"
            " plausible change does it.",
            z0,
        )

    def _margin(self, sd: np.ndarray) -> Callable[[Any], Any]:
        import torch

        scale = torch.from_numpy(sd.astype(np.float32))
        return lambda u: self.asked.margin(self.asked.model.decode(u * scale))

    def towards_its_picture(self) -> Counterfactual:
        """Move the case towards the model's picture of it until the score is at the threshold;
        where that picture is unusual itself, towards pictures between it and normal cases.
        """
        asked, model = self.asked, self.asked.model
        places, sd, z0 = self._space()
        assert self.embedding is not None
        near = self._nearest_real(z0, STARTS)
        between = [
            z0 + share * (places[i] - z0)
            for share in (0.25, 0.5, 0.75, 1.0)
            for i in self.embedding.at(near)
        ]
        ends = np.stack([z0, *between])
        ends = ends[np.argsort(np.linalg.norm((ends - z0) / sd, axis=1), kind="stable")]
        x = self.x.astype(np.float64)
        for k, z in enumerate(ends):
            self.report(k / len(ends))
            goal = decode(model, z[None])[0]
            if asked.holds(goal[None])[0]:
                break
        else:
            return self._without(self.x, "No picture the model makes near the case is usual.", z0)

        def flipped(share: np.ndarray) -> np.ndarray:
            shares = share.reshape(-1, *[1] * x.ndim)
            return asked.holds((x + shares * (goal - x)).astype(np.float32))

        share, some = first_crossing(flipped, np.zeros(1), np.ones((1, 1)))
        after = (x + min(float(share[0, 0]) if some[0] else 1.0, 1.0) * (goal - x)).astype("f4")
        if not asked.holds(after[None])[0]:
            after = goal
        return self._shown(self.x, after, z0, _embed(model, after), "residual")

    def by_a_real_case(self) -> Counterfactual:
        """Return the nearest real case of the wanted answer, where the model draws nothing."""
        _, _, z0 = self._space()
        near = self._nearest_real(z0, 1)
        if not len(near):
            return self._without(self.x, "No real case has that answer.", z0)
        other = self.data.of(near).inputs()[0]
        z = _embed(self.asked.model, other)
        return self._shown(self.x, other, z0, z, "nearest case")

    # -- tables ------------------------------------------------------------------------------------
    def by_columns(self, locked: Collection[str]) -> Counterfactual:
        """Change the fewest columns of a table's row."""
        data, kind = self.data, self.data.input_type
        every = list_fields(data)
        odd = [name for name in locked if name not in {f.name for f in every}]
        if odd:
            raise UserError(
                f"The model sees no column “{odd[0]}” that could be locked (it sees:"
                f" {', '.join(f.name for f in every[:20])})."
            )
        free = [f for f in every if may_change(f, data, locked)]
        if not free:
            raise UserError("Every column is locked, so nothing can change.")
        reference = data.reference
        known = reference.inputs().astype(np.float64)
        donors = np.isin(reference.rows, self.real)
        x = self.x.astype(np.float64)
        search = ColumnSearch(
            x, known, donors, free, lambda rows: self.asked.values(rows.astype(kind))
        )
        space = _standardise(data, known)
        rows = search.candidates(lambda f: self.report(0.95 * f))
        before = np.nan_to_num((self.x - space.mean) / space.sd)
        made = [
            (len(search.changed(r)), float(search.shift(r[None])[0]), i) for i, r in enumerate(rows)
        ]
        for many, _, i in sorted(made):
            z = np.nan_to_num((rows[i] - space.mean) / space.sd)
            if not _are_plausible(data, space.cases, z[None], before)[0]:
                continue
            after = rows[i].astype(kind)
            found = replace(
                self._made(self.x, after, "columns"),
                distance=[
                    float(v) for v in distance_percentile(data, space.cases, np.stack([before, z]))
                ],
                near=self._nearest_in(space.cases, z),
                moved=made[i][1],
                changed_share=many / len(every),
                fields=[
                    {
                        "field": f.name,
                        "before": describe_value(f, x, data),
                        "after": describe_value(f, rows[i], data),
                    }
                    for f in search.changed(rows[i])
                ],
            )
            return replace(found, said=_tell_columns(found))
        why = (
            "The answer flips only for rows unlike any real case, so no plausible change does it."
            if rows
            else "No change of up to 8 columns to values of real cases was found that does it."
        )
        return self._without(self.x, why, before, space.cases)

    def _nearest_in(self, cases: Embedding, z: np.ndarray) -> int:
        rows = self.real[np.isin(self.real, cases.rows)]
        if not len(rows):
            return -1
        far = np.square(np.asarray(cases.z)[cases.at(rows)] - z).sum(1)
        return int(rows[far.argmin()])

    # -- what is shown -----------------------------------------------------------------------------
    def _made(self, before: np.ndarray, after: np.ndarray, way: Any) -> Counterfactual:
        change = np.abs(np.nan_to_num(after.astype(np.float64) - before))
        said = [self.asked.say(v) for v in (before, after)]
        return Counterfactual(
            rows=np.array([self.row]),
            before=before,
            after=after,
            target=self.asked.target,
            way=way,
            answer=[s[0] for s in said],
            others=[s[1] for s in said],
            generated=way != "nearest case",
            boundary=self.asked.threshold if self.asked.target == "score" else None,
            changed_mean=float(change.mean()),
            changed_share=float((change > STEADY * self._scale()).mean()),
        )

    def _scale(self) -> float:
        """Return what one unit of change is measured by: 1 of pictures, the spread of a signal."""
        if self.data.modality in ("image", "volume"):
            return 1.0
        return float(np.nanstd(self.x)) or 1.0

    def _shown(
        self, before: np.ndarray, after: np.ndarray, z0: np.ndarray, z: np.ndarray, way: Any
    ) -> Counterfactual:
        _, sd, _ = self._space()
        near = self._nearest_real(z, 1)
        found = replace(
            self._made(before, after, way),
            distance=[float(v) for v in self._distance(np.stack([z0, z]))],
            near=int(near[0]) if len(near) else -1,
            moved=float(np.linalg.norm((z - z0) / sd)),
        )
        return replace(found, said=_tell_picture(found))

    def _without(
        self, before: np.ndarray, why: str, z: np.ndarray, cases: Embedding | None = None
    ) -> Counterfactual:
        """Nothing was found: the case as it is, why, and the nearest real case all the same."""
        near = self._nearest_real(z, 1) if cases is None else [self._nearest_in(cases, z)]
        return replace(
            self._made(before, before, "columns" if cases is not None else "latent"),
            found=False,
            said=why,
            near=int(near[0]) if len(near) else -1,
        )


def _are_plausible(
    data: Dataset, embedding: Embedding, z: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """Whether places [b,d] are as near to training cases as 99 of 100 real cases are, or as the
    case's own place [d] is: bool [b].
    """
    far = distance_to_training(data, embedding, np.concatenate([own[None], z]))
    return (distance_percentile(data, embedding, z) < PLAUSIBLE) | (far[1:] <= far[0])


@dataclass(frozen=True)
class _Standardised:
    """All rows of a table in training deviations, as places among which distance is measured."""

    cases: Embedding
    mean: np.ndarray
    sd: np.ndarray


def _standardise(data: Dataset, known: np.ndarray) -> _Standardised:
    with np.errstate(all="ignore"):
        mean, sd = np.nan_to_num(np.nanmean(known, 0)), np.nan_to_num(np.nanstd(known, 0))
    sd = np.where(sd > 0, sd, 1.0)
    z = np.nan_to_num((data.inputs() - mean) / sd).astype(np.float32)
    return _Standardised(Embedding(rows=data.rows, name="values", z=z), mean, sd)


def _embed(model: Any, x: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        given = torch.from_numpy(np.ascontiguousarray(x[None], dtype=np.float32))
        return model.embed(given)[0].double().numpy()


def _keep_on_simplex(sd: np.ndarray) -> Callable[[Any], Any]:
    """Put places back among those whose coordinates are at least 0 and sum to 1."""
    import torch

    scale = torch.from_numpy(sd.astype(np.float32))

    def inside(u: Any) -> Any:
        z = (u * scale).clamp(min=1e-6)
        return z / z.sum(1, keepdim=True) / scale

    return inside


def _tell_picture(made: Counterfactual) -> str:
    if made.way == "nearest case":
        return (
            "This model draws no pictures, so nothing was changed: beside the case stands the"
            f" nearest real case of which the model says {made.wanted}. It is another case, and"
            " differs in more than what the model looks at."
        )
    if made.way == "residual":
        return (
            "The score is at the threshold once the case is moved part of the way towards the"
            " model’s own picture of it, which shows what the model expected there."
        )
    return (
        f"The model says {made.wanted} once its picture of the case is moved by {made.moved:.2f}"
        " standard deviations in latent space. No shorter way was found."
    )


def _tell_columns(made: Counterfactual) -> str:
    many = len(made.fields)
    what = "one column has another value" if many == 1 else f"{many} columns have other values"
    return f"The model says {made.wanted} once {what}; all others stay as they are."
