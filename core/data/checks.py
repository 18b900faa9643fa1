"""Looking a dataset over before use: findings in words, with the rows they are about."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from core.data.dataset import SPLITS, Dataset

NEAR = 0.995  # correlation of two 16x16 thumbnails from which pictures count as nearly the same
SHOWN = 200  # rows listed per finding
CODES = (-9, -99, -999, -9999)  # numbers that stand for "missing" in many tables


@dataclass(frozen=True)
class Finding:
    """`severity`: ok, look (look twice) or stop (mend this first); `rows` are row ids, at most 200 of them."""

    kind: str
    severity: Literal["ok", "look", "stop"]
    title: str
    words: str
    rows: list[int] = field(default_factory=list)


def check(data: Dataset) -> list[Finding]:
    """All findings, the worst first.

    Cost: one pass over the samples, and an all-pairs product of 256-value thumbnails up to 20,000 rows.
    """
    found = [_size(data), *_classes(data), *_groups(data), *_missing(data), *_columns(data), *_aside(data)]
    found += [*_values(data), *_near(data)]
    return sorted(found, key=lambda f: ("stop", "look", "ok").index(f.severity))


def _size(data: Dataset) -> Finding:
    n = len(data)
    parts = ", ".join(f"{int((data.splits == s).sum())} {s}" for s in SPLITS if (data.splits == s).any())
    if n < 50:
        return Finding(
            "size", "look", "Few cases", f"{n} cases ({parts}): too few to trust any figure measured on them."
        )
    return Finding("size", "ok", "Size", f"{n:,} cases ({parts}).")


def _classes(data: Dataset) -> list[Finding]:
    if "label" not in data.roles:
        words = "There is no label column; methods that need one will not be offered."
        return [Finding("labels", "ok", "No labels", words)]
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(data.classes))
    none = data.rows[data.labels < 0]
    found = []
    if len(none):
        words = f"{_cases(len(none))} no label."
        found.append(Finding("labels missing", "look", "Missing labels", words, none[:SHOWN].tolist()))
    there = np.flatnonzero(counts)
    if len(there) < 2:
        words = (
            f"Every case is “{data.classes[there[0]]}”; nothing can be told apart by label."
            if len(there)
            else "No case has a label."
        )
        return [*found, Finding("one class", "look", "One class only", words)]
    if len(there) > max(20, len(data) / 3):
        words = f"{len(there):,} different labels for {len(data):,} cases: a measurement or a name rather than a class?"
        return [*found, Finding("balance", "look", "Very many classes", words)]
    words = ", ".join(f"{data.classes[i]}: {counts[i]:,}" for i in there[:12]) + (" …" if len(there) > 12 else "")
    rarest = there[counts[there].argmin()]
    if counts[rarest] < 5 or counts.max() > 10 * counts[rarest]:
        rows = data.rows[data.labels == rarest]
        words += f". The rarest, “{data.classes[rarest]}”, has {counts[rarest]:,} case{'s' * int(counts[rarest] != 1)}."
        found.append(Finding("balance", "look", "Uneven classes", words, rows[:SHOWN].tolist()))
    else:
        found.append(Finding("balance", "ok", "Classes", f"{words}."))
    return found


def _groups(data: Dataset) -> list[Finding]:
    groups = data.groups
    if groups is None and data.card.get("split in time"):
        words = "The parts are stretches of the same records, with gaps between them: nothing measured here tells how it does on another patient."
        return [Finding("groups", "look", "Split in time", words)]
    if groups is None:
        words = "Cases are split one by one. If a patient has several, name the column that tells which."
        return [Finding("groups", "ok", "No patient column", words)]
    found, sides = [], defaultdict(set)
    for g, s in zip(groups, data.splits):
        sides[g].add(s)
    none = data.rows[[g is None for g in groups]]
    sides.pop(None, None)
    if len(none):
        words = f"{_cases(len(none))} no patient (or group); each counts as a patient of its own."
        found.append(Finding("groups missing", "look", "Patients not known", words, none[:SHOWN].tolist()))
    torn = {g for g, s in sides.items() if len(s) > 1}
    if torn:
        rows = data.rows[[g in torn for g in groups]]
        words = (
            f"{len(torn)} of {len(sides)} patients are in more than one part; results would look better than they are."
        )
        return [*found, Finding("leak", "stop", "Patients on two sides", words, rows[:SHOWN].tolist())]
    if len(sides) == 1 and not len(none):
        words = "All cases are of one patient (or group): nothing measured here tells how it does on another."
        return [Finding("groups", "look", "One patient only", words)]
    return [*found, Finding("groups", "ok", "Patients", f"{len(sides):,} patients (or groups), none in two parts.")]


def _missing(data: Dataset) -> list[Finding]:
    counts = data.frame.isna().sum()
    counts = counts[(counts > 0) & ~counts.index.isin([data.roles.get("label"), data.roles.get("group")])]
    if not len(counts):
        return []
    rows = data.rows[data.frame[list(counts.index)].isna().any(axis=1).to_numpy()]
    words = ", ".join(
        f"“{c}” {int(k):,}" for c, k in counts.sort_values(ascending=False, kind="stable").head(6).items()
    )
    words = f"In {len(rows):,} row{'s' * (len(rows) != 1)}, by column: {words}{' …' if len(counts) > 6 else ''}."
    return [Finding("missing", "look", "Missing values", words, rows[:SHOWN].tolist())]


def _columns(data: Dataset) -> list[Finding]:
    """Columns that are not what they seem: -9 for missing, a few words among numbers; scans of several kinds."""
    found = []
    for c in data.features:
        values = data.frame[c].dropna() if c in data.frame else None
        if values is None or not pd.api.types.is_numeric_dtype(values) or values.dtype == bool:
            continue
        code = values[values.isin(CODES)]
        others = values[~values.isin(CODES)]
        if len(code) and len(others) and others.min() >= 0:
            found.append((c, code.iloc[0], code.index.to_list()))
    out = []
    if found:
        words = ", ".join(f"“{c}” {v:g} in {len(rows):,} row{'s' * (len(rows) != 1)}" for c, v, rows in found[:6])
        words = (
            f"The only negative values of these columns may stand for missing: {words}{' …' if len(found) > 6 else ''}."
        )
        rows = sorted({r for _, _, each in found for r in each})
        out.append(Finding("codes", "look", "Missing values written as numbers?", words, rows[:SHOWN]))
    for c in data.frame.columns if data.modality == "table" else []:
        values = data.frame[c].dropna()
        if pd.api.types.is_numeric_dtype(values) or c in data.roles.values() or not len(values):
            continue
        odd = values[pd.to_numeric(values.astype(str), errors="coerce").isna()]
        if 0 < len(odd) <= len(values) / 10:
            words = f"“{c}” holds numbers, but {len(odd):,} of {len(values):,} values are words "
            words += f"(row {odd.index[0]}: “{odd.iloc[0]}”); so it was not read as numbers."
            out.append(Finding("words", "look", "Words among numbers", words, odd.index[:SHOWN].tolist()))
    if "scan type" in data.frame and data.frame["scan type"].nunique() > 1:
        kinds = data.frame["scan type"].value_counts()
        words = ", ".join(f"{k}: {n}" for k, n in kinds.items())
        words += ". They share one scale of values here; better a dataset each."
        others = data.frame.index[data.frame["scan type"] != kinds.index[0]]
        out.append(Finding("scan types", "look", "Several kinds of scans", words, others[:SHOWN].tolist()))
    return out


def _aside(data: Dataset) -> list[Finding]:
    left = data.card.get("left out", [])
    if not left:
        return []
    words = f"Not read: {', '.join(map(str, left[:5]))}" + (f" and {len(left) - 5} more" if len(left) > 5 else "") + "."
    return [Finding("left out", "ok", "Files left out", words)]


def _cases(n: int) -> str:
    return f"{n:,} case has" if n == 1 else f"{n:,} cases have"


def _values(data: Dataset) -> list[Finding]:
    """Exact copies, and rows of one value. Texts count as copies whatever their case and spaces."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    flat = []
    for row, value, one in _hashable(data):
        if one:
            flat.append(row)
        seen[hashlib.blake2b(value, digest_size=16).digest()].append(row)
    found = []
    copies = [rows for rows in seen.values() if len(rows) > 1]
    if copies:
        split, label = dict(zip(data.rows.tolist(), data.splits)), dict(zip(data.rows.tolist(), data.labels))
        copies.sort(key=lambda rows: len({split[r] for r in rows}) < 2)  # those on two sides first
        across = sum(len({split[r] for r in rows}) > 1 for rows in copies)
        unlike = sum(len({label[r] for r in rows} - {-1}) > 1 for rows in copies)
        words = f"{sum(map(len, copies)):,} cases are exact copies of one another "
        words += f"({len(copies):,} set{'s' * (len(copies) != 1)})"
        words += (
            f"; {across:,} of them on two sides of the split, so the test is not clean."
            if across
            else ", all within one part."
        )
        words += f" In {unlike:,} set{'s' * (unlike != 1)} the labels differ." if unlike else ""
        rows = [r for each in copies for r in each]
        found.append(Finding("duplicates", "stop" if across else "look", "Exact copies", words, rows[:SHOWN]))
    if flat:
        found.append(
            Finding(
                "blank",
                "look",
                "Blank cases",
                f"{len(flat):,} case{'s hold' if len(flat) > 1 else ' holds'} one value only or none.",
                flat[:SHOWN],
            )
        )
    if not copies and not flat:
        found.append(Finding("values", "ok", "Values", "No exact copies and no blank cases."))
    return found


def _hashable(data: Dataset) -> Iterator[tuple[int, bytes, bool]]:
    """Row, its bytes, and whether it holds one value only or none."""
    if data.samples is None:
        for row, text in zip(data.rows, data.texts):
            words = " ".join(str(text).lower().split())
            yield int(row), words.encode(), len(set(words)) < 2
        return
    for i in range(0, len(data), 512):
        at = np.arange(i, min(i + 512, len(data)))
        block = np.ascontiguousarray(data.raw(at))
        flat = block.reshape(len(block), -1)
        if flat.dtype.kind == "f":
            none = np.isnan(flat)
            one = (np.where(none, -np.inf, flat).max(1) <= np.where(none, np.inf, flat).min(1)) & ((~none).sum(1) != 1)
        else:
            one = flat.max(1) == flat.min(1)
        for row, sample, same in zip(data.rows[at], flat, one):
            yield int(row), sample.tobytes(), bool(same) and len(sample) > 1


def _near(data: Dataset, most: int = 20_000) -> list[Finding]:
    """Pictures that are nearly the same on two sides of the split, by correlation of 16x16 thumbnails.

    Exact copies are found above.
    """
    if data.modality != "image" or min(data.shape[1:]) < 16 or len(set(data.splits)) < 2:
        return []
    at = np.unique(np.linspace(0, len(data) - 1, min(len(data), most)).astype(int))
    x = np.concatenate([_thumb(data.inputs(at[i : i + 512])) for i in range(0, len(at), 512)])
    x -= x.mean(1, keepdims=True)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    train = data.splits[at] == "train"
    theirs = np.flatnonzero(train)
    pairs = []
    for i in np.array_split(np.flatnonzero(~train), max(1, (~train).sum() // 1024)):
        like = x[i] @ x[theirs].T if len(theirs) else np.zeros((len(i), 1))
        best = like.argmax(1)
        close = np.flatnonzero(like.max(1) > NEAR)
        pairs += list(zip(data.rows[at[i[close]]].tolist(), data.rows[at[theirs[best[close]]]].tolist()))
    extra = f" (looked at {len(at):,} of {len(data):,} cases, evenly spread)" if len(data) > len(at) else ""
    if not pairs:
        words = f"No test or validation picture is nearly the same as a training picture{extra}."
        return [Finding("near", "ok", "Near copies", words)]
    rows = [r for pair in pairs for r in pair]
    words = f"{len(pairs):,} test or validation picture{'s are' if len(pairs) > 1 else ' is'} nearly the same as "
    words += f"a training picture{extra}; "
    return [Finding("near", "look", "Near copies", words + "look whether they are the same patient.", rows[:SHOWN])]


def _thumb(x: np.ndarray) -> np.ndarray:
    """[b,C,H,W] -> [b,256]: mean over channels, block means on a 16x16 grid."""
    grey = x.mean(1)
    rows = np.add.reduceat(grey, np.linspace(0, grey.shape[1], 16, endpoint=False).astype(int), axis=1)
    cells = np.add.reduceat(rows, np.linspace(0, grey.shape[2], 16, endpoint=False).astype(int), axis=2)
    return cells.reshape(len(x), 256).astype(np.float32)
