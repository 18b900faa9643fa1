"""Whether data, an earlier run and chosen cases fit a method, and in words why not."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from core.artifacts import Artifact, Model
from core.data.dataset import Dataset
from core.data.labels import why_no_classes
from core.data.slices import as_slices
from core.errors import NEEDS_TRAIN, UserError, has_train
from core.method import Method

CHECKED_BYTES = 256 << 20  # read at a time


def why_not(kind: type[Method], data: Dataset) -> str | None:
    """Return the reason `data` does not fit `kind`, in words, or None. Checked in the same order
    everywhere: packages, modality, columns, size.
    """
    takes = kind.takes
    if not has_train():
        return NEEDS_TRAIN
    missing = [p for p in takes.requires if find_spec(p) is None]
    if missing:
        return f"Not installed: {', '.join(missing)}."
    if data.modality == "volume" and kind().slicewise:
        return why_not(kind, as_slices(data))
    if data.modality not in takes.modalities:
        apart = (
            "; slices by themselves make no sense to it"
            if data.modality == "volume" and "image" in takes.modalities
            else ""
        )
        return (
            f"Works on {' or '.join(takes.modalities)} data; this is {data.modality} data{apart}."
        )
    for role, need in (("label", takes.labels), ("group", takes.groups), ("domain", takes.domains)):
        if need == "needed" and data.roles.get(role) is None:
            return f"Needs a {role} column; this data has none."
    if takes.labels == "needed" and (why := why_no_classes(data)):
        return why
    if takes.masks == "needed" and data.masks is None:
        return "Needs masks that mark the truth; this data has none."
    n = len(data.part("train").rows)
    if n < takes.min_rows:
        return f"Needs at least {takes.min_rows} training rows; this data has {n}."
    if data.modality in ("image", "volume") and min(data.shape[1:]) < takes.min_size:
        return (
            f"Needs images of at least {takes.min_size} pixels a side; these are"
            f" {min(data.shape[1:])}."
        )
    return kind().declines(data)


def why_not_shared(kind: type[Method]) -> str | None:
    """Return the reason several processes cannot train a method together, in words, or None."""
    if not kind.takes.trains:
        return f"{kind.title} does not train in batches, so only one process can compute it."
    if not kind.shares_batches:
        return (
            f"{kind.title} would not be sure to learn the same by several processes, so only one"
            " can train it."
        )
    return None


def why_not_on(kind: type[Method], on: dict[str, Artifact], data: Dataset) -> str | None:
    """Return the reason an earlier run, given by its artifacts, cannot be built upon by `kind` for
    `data`, in words, or None.
    """
    wanted = [t for t in kind.takes.on if not any(type(a).__name__ == t for a in on.values())]
    if wanted and not on:
        return (
            f"{kind.title} builds on an earlier run that gives {' and '.join(wanted)}; choose one"
            " (on the command line: --from-run RUN)."
        )
    if wanted:
        return f"That run gives no {' and no '.join(wanted)}, which {kind.title} builds on."
    if not kind.takes.on:
        return None
    if data.modality == "volume" and kind().slicewise:
        data = as_slices(data)
    if "Model" in kind.takes.on and (said := _why_not_model(kind, on, data)):
        return said
    return kind().declines_on(on)


def _why_not_model(kind: type[Method], on: dict[str, Artifact], data: Dataset) -> str | None:
    """Why the earlier run's model takes other cases than those of `data`; None when it does not."""
    model = next(a for a in on.values() if isinstance(a, Model))
    takes, has = list(model.input_shape), list(data.shape)
    if kind.takes.on_same_data and data.modality == "volume" and len(takes) == 3:
        return (
            f"That run's model takes volumes slice by slice; {kind.title} needs one that takes them"
            " whole."
        )
    if kind.takes.on_same_data and takes != has:
        return (
            f"That run's model takes cases of shape {' × '.join(map(str, takes))};"
            f" these are {' × '.join(map(str, has))}."
        )
    if takes[:1] != has[:1]:
        # texts have no shape
        had, here = (str(shape[0]) if shape else "no" for shape in (takes, has))
        return f"That run's model takes cases with {had} channels or columns; these have {here}."
    return None


def why_not_chosen(kind: type[Method], chosen: np.ndarray | None, data: Dataset) -> str | None:
    """Why the rows the user picked do not do; None when they do or none are needed."""
    if kind.takes.chosen == "no":
        return None
    if chosen is None or not len(chosen):
        return (
            f"{kind.title} needs to know which cases; save them as a group first and name it (on"
            " the command line: --rows GROUP)."
        )
    if not np.isin(chosen, data.rows).all():
        return "Some of the chosen cases are not among the cases of this run."
    return None


def check_inputs(data: Dataset) -> None:
    """UserError naming the first row whose values cannot be learned from: infinite, or NaN in
    pictures and series.
    """
    if data.samples is None:
        return
    per = max(1, min(1024, CHECKED_BYTES // max(1, 4 * int(np.prod(data.shape)))))
    for i in range(0, len(data), per):
        raw = data.raw(np.arange(i, min(i + per, len(data))))
        if raw.dtype.kind != "f":
            return
        bad = np.isinf(raw) if data.modality == "table" else ~np.isfinite(raw)
        if bad.any():
            at = np.argwhere(bad)[0]
            row = i + int(at[0])
            where = (
                f", column “{data.features[at[1]]}”"
                if data.modality == "table" and data.features
                else ""
            )
            raise UserError(
                f"Row {data.rows[row]} ({data.names()[row]}){where} holds a value that is not a"
                " finite number; fix or remove it."
            )
