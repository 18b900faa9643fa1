"""Looking a dataset over before use: findings in words, with the rows they are about."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from core.data.dataset import Dataset

NEAR = 0.995  # correlation of two 16x16 thumbnails from which pictures count as nearly the same
SHOWN = 200  # rows listed per finding


@dataclass(frozen=True)
class Finding:
    """`severity`: ok, look (look twice) or stop (mend this first); `rows` are row ids, at most 200 of them."""

    kind: str
    severity: Literal["ok", "look", "stop"]
    title: str
    words: str
    rows: list[int] = field(default_factory=list)


def check(data: Dataset) -> list[Finding]:
    """All findings, the worst first. Cost: one pass over the samples, and an all-pairs product of 256-value thumbnails up to 20,000 rows."""
    found = [_size(data), *_classes(data), *_groups(data), *_missing(data)]
    if data.samples is not None:
        found += [*_values(data), *_near(data)]
    return sorted(found, key=lambda f: ("stop", "look", "ok").index(f.severity))


def _size(data: Dataset) -> Finding:
    n = len(data)
    parts = ", ".join(f"{int((data.splits == s).sum())} {s}" for s in ("train", "val", "test") if (data.splits == s).any())
    if n < 50:
        return Finding("size", "look", "Few cases", f"{n} cases ({parts}): too few to trust any figure measured on them.")
    return Finding("size", "ok", "Size", f"{n:,} cases ({parts}).")


def _classes(data: Dataset) -> list[Finding]:
    if "label" not in data.roles:
        return [Finding("labels", "ok", "No labels", "There is no label column; methods that need one will not be offered.")]
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(data.classes))
    none = data.rows[data.labels < 0]
    found = []
    if len(none):
        found.append(Finding("labels missing", "look", "Missing labels", f"{len(none):,} cases have no label.", none[:SHOWN].tolist()))
    words = ", ".join(f"{c}: {k:,}" for c, k in list(zip(data.classes, counts))[:12])
    if len(data.classes) == 1:
        return [*found, Finding("one class", "look", "One class only", f"Every case is “{data.classes[0]}”; nothing can be told apart by label.")]
    rare = counts.min()
    if rare < 5 or counts.max() > 10 * max(rare, 1):
        rows = data.rows[data.labels == counts.argmin()]
        found.append(Finding("balance", "look", "Uneven classes", f"{words}. The rarest has {rare} cases.", rows[:SHOWN].tolist()))
    else:
        found.append(Finding("balance", "ok", "Classes", f"{words}."))
    return found


def _groups(data: Dataset) -> list[Finding]:
    groups = data.groups
    if groups is None:
        return [Finding("groups", "ok", "No patient column", "Cases are split one by one. If a patient has several, name the column that tells which.")]
    sides = defaultdict(set)
    for g, s in zip(groups, data.splits):
        sides[g].add(s)
    torn = {g for g, s in sides.items() if len(s) > 1 and g is not None}
    if torn:
        rows = data.rows[np.isin(groups.astype(str), [str(g) for g in torn])]
        return [Finding("leak", "stop", "Patients on two sides", f"{len(torn)} of {len(sides)} patients are in more than one part; results would look better than "
                        "they are.", rows[:SHOWN].tolist())]  # fmt: skip
    return [Finding("groups", "ok", "Patients", f"{len(sides):,} patients (or groups), none in two parts.")]


def _missing(data: Dataset) -> list[Finding]:
    counts = data.frame.isna().sum()
    counts = counts[(counts > 0) & (counts.index != data.roles.get("label"))]
    if not len(counts):
        return []
    rows = data.rows[data.frame[list(counts.index)].isna().any(axis=1).to_numpy()]
    words = ", ".join(f"“{c}” {int(k):,}" for c, k in counts.sort_values(ascending=False).head(6).items())
    return [Finding("missing", "look", "Missing values", f"In {len(rows):,} rows, by column: {words}.", rows[:SHOWN].tolist())]


def _values(data: Dataset) -> list[Finding]:
    """Exact copies, and rows of one value."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    flat = []
    for i in range(0, len(data), 512):
        at = np.arange(i, min(i + 512, len(data)))
        for row, sample in zip(data.rows[at], data.raw(at)):
            seen[hashlib.blake2b(np.ascontiguousarray(sample).tobytes(), digest_size=16).digest()].append(int(row))
            if sample.size > 1 and np.nanmax(sample) == np.nanmin(sample):
                flat.append(int(row))
    found = []
    copies = [rows for rows in seen.values() if len(rows) > 1]
    if copies:
        split = dict(zip(data.rows.tolist(), data.splits))
        across = sum(len({split[r] for r in rows}) > 1 for rows in copies)
        words = f"{sum(map(len, copies)):,} cases are exact copies of one another ({len(copies):,} sets)"
        words += f"; {across} sets stand on two sides of the split, so the test is not clean." if across else ", all within one part."
        found.append(Finding("duplicates", "stop" if across else "look", "Exact copies", words, [r for rows in copies for r in rows][:SHOWN]))
    if flat:
        found.append(Finding("blank", "look", "Blank cases", f"{len(flat):,} cases hold one value only.", flat[:SHOWN]))
    if not copies and not flat:
        found.append(Finding("values", "ok", "Values", "No exact copies and no blank cases."))
    return found


def _near(data: Dataset, most: int = 20_000) -> list[Finding]:
    """Pictures that are nearly the same on two sides of the split, by correlation of 16x16 thumbnails."""
    if data.modality != "image" or min(data.shape[1:]) < 16 or len(set(data.splits)) < 2:
        return []
    n = min(len(data), most)
    x = np.concatenate([_thumb(data.inputs(np.arange(i, min(i + 512, n)))) for i in range(0, n, 512)])
    x -= x.mean(1, keepdims=True)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    train = data.splits[:n] == "train"
    pairs = []
    for i in np.array_split(np.flatnonzero(~train), max(1, (~train).sum() // 1024)):
        like = x[i] @ x[train].T
        best = like.argmax(1)
        pairs += [(int(data.rows[a]), int(data.rows[np.flatnonzero(train)[b]])) for a, b, s in zip(i, best, like.max(1)) if s > NEAR]
    extra = f" (of the first {most:,} cases)" if len(data) > most else ""
    if not pairs:
        return [Finding("near", "ok", "Near copies", f"No test or validation picture is nearly the same as a training picture{extra}.")]
    rows = [r for pair in pairs for r in pair]
    return [Finding("near", "look", "Near copies", f"{len(pairs):,} test or validation pictures are nearly the same as a training picture{extra}; look whether they are "
                    "the same patient.", rows[:SHOWN])]  # fmt: skip


def _thumb(x: np.ndarray) -> np.ndarray:
    """[b,C,H,W] -> [b,256]: mean over channels, block means on a 16x16 grid."""
    grey = x.mean(1)
    rows = np.add.reduceat(grey, np.linspace(0, grey.shape[1], 16, endpoint=False).astype(int), axis=1)
    cells = np.add.reduceat(rows, np.linspace(0, grey.shape[2], 16, endpoint=False).astype(int), axis=2)
    return cells.reshape(len(x), 256).astype(np.float32)
