"""Everything that is known about each row, as columns: the table's own, and what runs found. For
colouring, filtering, statistics and export.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from core.artifacts import (
    AnomalyMaps,
    Artifact,
    Clusters,
    Embedding,
    Images,
    Map,
    Predictions,
    Scope,
)
from core.data.dataset import TECHNICAL, Dataset
from core.data.stored import class_word
from core.imaging.hidden_area import hidden_share
from core.imaging.palette import OKABE_ITO
from core.workspace import notes
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

HIDDEN = "share hidden"  # the column of how much of each picture a run hid from its network
MANY = 30  # a text column with more different values than this is a name, not a category


@dataclass(frozen=True)
class Column:
    """One value a row, aligned to `data.rows` (source "slice": one a point of the map it was made
    for). category: object array of words, None = missing; amount: float64, NaN = missing.
    """

    name: str
    values: np.ndarray
    kind: Literal["category", "amount"]
    source: str  # "data", "run", "group" or "slice"

    def codes(self) -> tuple[np.ndarray, list[str]]:
        """int64 codes (-1 = missing) and the words of a category. Up to eight stand in the order of
        their names, numbers in them as numbers, so that a class has its colour in other data as
        well; of more, for which there are paler colours only, the most frequent come first.
        """
        return self._coded

    @cached_property
    def _coded(self) -> tuple[np.ndarray, list[str]]:
        code, found = pd.factorize(pd.Series(self.values))
        words = found.tolist()  # one at a time they come slowly from where pandas keeps them
        if len(words) <= len(OKABE_ITO):
            order = np.array(
                sorted(range(len(words)), key=lambda j: _natural_key(str(words[j]))), int
            )
        else:
            order = np.argsort(-np.bincount(code[code >= 0], minlength=len(words)), kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return np.where(code >= 0, rank[np.maximum(code, 0)], -1) if len(order) else code, [
            str(words[j]) for j in order
        ]


def _natural_key(word: str) -> list[tuple[bool, int, str]]:
    """Return a key by which “cluster 10” comes behind “cluster 2”."""
    parts = re.findall(r"\d+|\D+", word.lower())
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def format_distinct(*values: float) -> list[str]:
    """Numbers as words: three digits each, or as many more as tell different ones apart (2459000.1
    and 2459000.3).
    """
    for digits in range(3, 18):
        said = [f"{v:.{digits}g}" for v in values]
        if len(set(said)) == len(set(values)):
            break
    return said if digits == 3 else [f"{v:.{digits + 1}g}" for v in values]


_OF_TABLES: WeakKeyDictionary[Dataset, list[Column]] = WeakKeyDictionary()


def table_columns(data: Dataset) -> list[Column]:
    """Return the table's columns, label first; file names and free text are left out. They are made
    once for a dataset that is held on to, since a page asks for them whenever it is drawn.
    """
    if data not in _OF_TABLES:
        _OF_TABLES[data] = _table_columns(data)
    return list(_OF_TABLES[data])


def _table_columns(data: Dataset) -> list[Column]:
    roles = {v: k for k, v in data.roles.items()}
    first = [data.roles[r] for r in ("label", "domain", "split", "group") if r in data.roles]
    found = []
    for name in [*first, *(c for c in data.frame.columns if c not in first)]:
        if roles.get(name) in ("file", "text") or name in TECHNICAL:
            continue
        series = data.frame[name]
        numeric = pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series)
        if numeric and name not in first:
            found.append(Column(name, series.to_numpy(dtype=float), "amount", "data"))
        elif name in first or series.nunique() <= MANY:
            at, values = pd.factorize(series)
            words = [class_word(v) for v in values]
            # -1, missing, is the last
            found.append(
                Column(name, np.array([*words, None], dtype=object)[at], "category", "data")
            )
    return found


def run_columns(ws: Workspace, data: Dataset, job: Job) -> list[Column]:
    """Return what a run and the runs built upon it found: clusters, anomaly scores, predicted
    classes, how much of each picture was hidden.
    """
    found = []
    later = [j for j in ws.runs(job.dataset) if j.on_run == job.id and j.status == "done"]
    for run in [job, *later]:
        suffix = "" if run.id == job.id else f" ({run.method})"
        for slug in ws.slugs(run.id):
            artifact = ws.artifact(run.id, slug)
            if artifact.place is not None:
                continue
            if isinstance(artifact, Clusters):
                given = notes.load_cluster_names(ws, run.id)
                words = [given.get(int(j), artifact.name_of(int(j))) for j in artifact.label]
                found.append(
                    Column(
                        f"cluster{suffix}",
                        _spread_values(data.rows, artifact.rows, np.array(words, dtype=object)),
                        "category",
                        "run",
                    )
                )
            elif isinstance(artifact, AnomalyMaps):
                what = "uncertainty" if artifact.shows == "doubt" else "anomaly score"
                found.append(
                    Column(
                        f"{what}{suffix}",
                        _spread_values(
                            data.rows, artifact.rows, np.asarray(artifact.score, dtype=float)
                        ),
                        "amount",
                        "run",
                    )
                )
            elif isinstance(artifact, Scope):
                levels = np.array(artifact.LEVELS, dtype=object)[artifact.levels]
                distance = np.asarray(artifact.distance, dtype=float)
                found.append(
                    Column(
                        f"scope{suffix}",
                        _spread_values(data.rows, artifact.rows, levels),
                        "category",
                        "run",
                    )
                )
                found.append(
                    Column(
                        f"distance to the training data{suffix}",
                        _spread_values(data.rows, artifact.rows, distance),
                        "amount",
                        "run",
                    )
                )
            elif isinstance(artifact, Embedding) and artifact.geometry == "sparse":
                for axis in notes.load_features(ws, run.id).get(slug, []):
                    found.append(
                        Column(
                            feature_column(artifact, axis),
                            _spread_values(
                                data.rows,
                                artifact.rows,
                                np.asarray(artifact.z[:, axis], dtype=float),
                            ),
                            "amount",
                            "run",
                        )
                    )
            elif (
                isinstance(artifact, Predictions)
                and artifact.prob is not None
                and artifact.prob.ndim == 2
            ):
                best = artifact.prob.argmax(1)
                said = np.array([artifact.classes[j] for j in best], dtype=object)
                found.append(
                    Column(
                        f"predicted{suffix}",
                        _spread_values(data.rows, artifact.rows, said),
                        "category",
                        "run",
                    )
                )
                found.append(
                    Column(
                        f"confidence{suffix}",
                        _spread_values(
                            data.rows, artifact.rows, artifact.prob.max(1).astype(float)
                        ),
                        "amount",
                        "run",
                    )
                )
        hidden = hidden_share(ws.artifact(run.id, s) for s in _image_slugs(ws, run))
        if hidden is not None:
            rows, share = hidden
            values = _spread_values(data.rows, rows, share.astype(float))
            found.append(Column(f"{HIDDEN}{suffix}", values, "amount", "run"))
    return found


def _image_slugs(ws: Workspace, run: Job) -> list[str]:
    """Names of the pictures a run gave."""
    return [slug for slug in ws.slugs(run.id) if slug.startswith(Images.__name__.lower())]


def feature_column(embedding: Embedding, axis: int) -> str:
    """Return what the column of one feature of a sparse embedding is called."""
    return embedding.axes[axis] if embedding.axes else f"feature {axis + 1}"


def group_columns(ws: Workspace, data: Dataset) -> list[Column]:
    """Return saved groups, each a yes/no column."""
    return [
        Column(
            f"group: {name}",
            np.where(np.isin(data.rows, rows), "in the group", "other").astype(object),
            "category",
            "group",
        )
        for name, rows in notes.load_groups(ws, data.name).items()
    ]


def list_columns(ws: Workspace, data: Dataset, job: Job | None = None) -> dict[str, Column]:
    """All columns by name, in the order to offer them: label, what the run found, saved groups, the
    rest of the table.
    """
    table = table_columns(data)
    found = [
        *table[:1],
        *(run_columns(ws, data, job) if job else []),
        *group_columns(ws, data),
        *table[1:],
    ]
    return {c.name: c for c in found}


def fingerprint_columns(columns: Iterable[Column]) -> str:
    """Return what tells whether columns of one dataset are the same as before: their names and, of
    what runs found, the values; the table's own are told by the dataset's hash. Saved groups, which
    no comparison looks at, are left out.
    """
    found = hashlib.blake2b(digest_size=16)
    for column in columns:
        if column.source == "group":
            continue
        found.update(repr((column.name, column.kind, column.source)).encode())
        if column.source == "data":
            continue
        if column.kind == "amount":
            found.update(np.ascontiguousarray(column.values).tobytes())
        else:
            code, words = column.codes()
            found.update(repr(words).encode())
            found.update(np.ascontiguousarray(code).tobytes())
    return found.hexdigest()


def slice_columns(ws: Workspace, data: Dataset, job: Job, made: Map) -> dict[str, Column]:
    """Return what is known about each slice on a map of slices, one value a point: where it lies in
    its volume, and what the run found for it.
    """
    assert made.place is not None
    depth = int(data.shape[1])
    found = [Column("slice number", np.asarray(made.place) + 1.0, "amount", "slice")]
    at = np.asarray(made.rows) * depth + np.asarray(made.place)

    def spread(artifact: Artifact, values: np.ndarray) -> np.ndarray:
        return _spread_values(
            at, np.asarray(artifact.rows) * depth + np.asarray(artifact.place), values
        )

    for slug in ws.slugs(job.id):
        artifact = ws.artifact(job.id, slug)
        if artifact.place is None:
            continue
        if isinstance(artifact, AnomalyMaps):
            what = "uncertainty" if artifact.shows == "doubt" else "anomaly score"
            name = f"{what} of the slice"
            found.append(
                Column(
                    name,
                    spread(artifact, np.asarray(artifact.score, dtype=float)),
                    "amount",
                    "slice",
                )
            )
        elif isinstance(artifact, Clusters):
            words = np.array([artifact.name_of(int(j)) for j in artifact.label], dtype=object)
            found.append(Column("group of the slice", spread(artifact, words), "category", "slice"))
        elif (
            isinstance(artifact, Predictions)
            and artifact.prob is not None
            and artifact.prob.ndim == 2
        ):
            words = np.array([artifact.classes[j] for j in artifact.prob.argmax(1)], dtype=object)
            found.append(
                Column("predicted for the slice", spread(artifact, words), "category", "slice")
            )
    return {c.name: c for c in found}


def map_points(column: Column, data: Dataset, made: Map) -> np.ndarray:
    """Position in `column.values` of each point of a map of `data`."""
    return (
        np.arange(len(made.rows))
        if column.source == "slice"
        else np.searchsorted(data.rows, made.rows)
    )


def _spread_values(over: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values` of the ids `rows`, laid out over the ids `over`; None or NaN where one has none."""
    out = np.full(
        len(over),
        None if values.dtype == object else np.nan,
        dtype=values.dtype if values.dtype == object else float,
    )
    size = int(max(over.max(initial=0), rows.max(initial=0))) + 1
    place = np.full(size, -1)
    place[rows] = np.arange(len(rows))
    at = place[over]
    out[at >= 0] = values[at[at >= 0]]
    return out
