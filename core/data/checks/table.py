"""What the table alone tells: size, classes, patients and sites over the parts, missing values,
columns that are not what they seem.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import numpy as np
import pandas as pd

from core.data.checks.column_scales import scale_findings
from core.data.checks.column_values import column_findings
from core.data.checks.finding import Finding, cases_have
from core.data.checks.ordered_words import ordered_findings
from core.data.checks.roles import no_patients, normal_findings, role_findings
from core.data.checks.same_columns import same_column_findings
from core.data.dataset import SPLITS, TECHNICAL, Dataset
from core.limits import FINDING_ROWS as SHOWN
from core.stats.bootstrap import FEWEST as FEW_PATIENTS

SIZES = 1.5  # times as large as the smallest pixel
LONG = 8  # times as long as high: no picture of a patient is


def table_findings(data: Dataset) -> list[Finding]:
    """All of them, for the rows of this view. Cost: one pass over the table, no sample is read."""
    about_columns = [*role_findings(data), *normal_findings(data)]
    return [
        _find_small_size(data),
        *_find_imbalance(data),
        *_find_split_groups(data),
        *_find_site_bias(data),
        *_is_long(data),
        *_find_mixed_spacing(data),
        *about_columns,
        *_find_missing(data),
        *column_findings(data),
        *ordered_findings(data),
        *scale_findings(data),
        *same_column_findings(data),
        *_find_left_out(data),
    ]


def _find_small_size(data: Dataset) -> Finding:
    n = len(data)
    parts = ", ".join(
        f"{int((data.splits == s).sum())} {s}" for s in SPLITS if (data.splits == s).any()
    )
    if n < 50:
        return Finding(
            "size",
            "look",
            "Few cases",
            f"{n} cases ({parts}): too few to trust any figure measured on them.",
        )
    return Finding("size", "ok", "Size", f"{n:,} cases ({parts}).")


def _find_mixed_spacing(data: Dataset) -> list[Finding]:
    """Whether pixels of some scans are much larger than those of others: none is resampled."""
    said = []
    for name, words in (("mm_across", "wide"), ("mm_down", "high"), ("mm_slice", "thick")):
        if name not in data.frame or (name == "mm_slice" and data.modality != "volume"):
            continue
        values = data.frame[name].dropna()
        if len(values) and 0 < SIZES * values.min() <= values.max():
            said.append(f"{values.min():.3g} to {values.max():.3g} mm {words}")
    if not said:
        return []
    words = (
        f"Pixels are {', '.join(said)}: scans are not brought to one scale, so that the same thing"
        " is of another size in each. Resample them before import if size matters."
    )
    return [Finding("voxel sizes", "note", "Sizes of pixels differ", words)]


def _find_imbalance(data: Dataset) -> list[Finding]:
    if "label" not in data.roles:
        words = "There is no label column; methods that need one will not be offered."
        return [Finding("labels", "note", "No labels", words)]
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(data.classes))
    none = data.rows[data.labels < 0]
    found = []
    if len(none):
        words = f"{cases_have(len(none))} no label."
        found.append(
            Finding(
                "labels missing", "look", "Missing labels", words, none[:SHOWN].tolist(), len(none)
            )
        )
    there = np.flatnonzero(counts)
    if len(there) < 2:
        words = (
            f"Every case is “{data.classes[there[0]]}”; there are no classes to distinguish."
            if len(there)
            else "No case has a label."
        )
        return [*found, Finding("one class", "look", "One class only", words)]
    if len(there) > max(20, len(data) / 3):
        words = (
            f"{len(there):,} different labels for {len(data):,} cases: a measurement or a name"
            " rather than a class?"
        )
        return [*found, Finding("balance", "look", "Very many classes", words)]
    words = ", ".join(f"{data.classes[i]}: {counts[i]:,}" for i in there[:12]) + (
        " …" if len(there) > 12 else ""
    )
    rarest = there[counts[there].argmin()]
    if counts[rarest] < 5 or counts.max() > 10 * counts[rarest]:
        rows = data.rows[data.labels == rarest]
        words += (
            f". The rarest, “{data.classes[rarest]}”, has {counts[rarest]:,}"
            f" case{'s' * int(counts[rarest] != 1)}."
        )
        found.append(
            Finding("balance", "look", "Uneven classes", words, rows[:SHOWN].tolist(), len(rows))
        )
    else:
        found.append(Finding("balance", "ok", "Classes", f"{words}."))
    return found


def _find_split_groups(data: Dataset) -> list[Finding]:
    groups = data.groups
    if groups is None and data.card.get("split in time"):
        words = (
            "The parts are stretches of the same records, with gaps between them: nothing measured"
            " here tells how it does on another patient."
        )
        return [Finding("groups", "look", "Split in time", words)]
    if groups is None:
        words = (
            "Cases are split one by one. If a patient has several, name the column that tells"
            " which."
        )
        return [Finding("groups", "note", "No patient column", words)]
    wrong = no_patients(data)
    found, sides = [wrong] if wrong else [], defaultdict(set)
    for g, s in zip(groups, data.splits):
        sides[g].add(s)
    none = data.rows[[g is None for g in groups]]
    sides.pop(None, None)
    if len(none):
        words = (
            f"{cases_have(len(none))} no patient (or group); each counts as a patient of its own."
        )
        found.append(
            Finding(
                "groups missing",
                "look",
                "Patients not known",
                words,
                none[:SHOWN].tolist(),
                len(none),
            )
        )
    torn = {g for g, s in sides.items() if len(s) > 1}
    if torn:
        rows = data.rows[[g in torn for g in groups]]
        words = (
            f"{len(torn)} of {len(sides)} patients are in more than one part; results would look"
            " better than they are."
        )
        return [
            *found,
            Finding(
                "leak",
                "stop",
                "Patients on two sides",
                words,
                rows[:SHOWN].tolist(),
                len(rows),
                fix="Move each into one part",
            ),
        ]
    sizes = pd.Series(groups).value_counts()
    if len(sizes) > 1 and sizes.iloc[0] > max(0.1 * len(data), 10 * sizes.median()):
        rows = data.rows[groups == sizes.index[0]]
        words = (
            f"One patient (or group) has {sizes.iloc[0]:,} of {len(data):,} cases; most have about"
            f" {sizes.median():.0f}. Figures lean on that one."
        )
        found.append(
            Finding(
                "group size",
                "look",
                "One patient outweighs the others",
                words,
                rows[:SHOWN].tolist(),
                len(rows),
            )
        )
    if len(sides) == 1 and not len(none):
        words = (
            "All cases are of one patient (or group): nothing measured here tells how it does on"
            " another."
        )
        return [Finding("groups", "look", "One patient only", words)]
    found += _has_few_to_test(groups, data.splits)
    if wrong is not None or found:
        return found
    return [
        *found,
        Finding(
            "groups", "ok", "Patients", f"{len(sides):,} patients (or groups), none in two parts."
        ),
    ]


def _is_long(data: Dataset) -> list[Finding]:
    """Whether pictures are so long that they may be recordings: channels by samples."""
    if data.modality != "image" or max(data.shape[1:]) < LONG * min(data.shape[1:]):
        return []
    rows, columns = data.shape[1:]
    words = (
        f"Cases are pictures of {rows} by {columns} points. If they are recordings "
        f"({min(rows, columns)} channels over time), bring them as EDF, WFDB or a table with a "
        "time column: as pictures, neighbouring channels are taken for neighbouring places."
    )
    return [Finding("long pictures", "look", "Pictures, or recordings?", words)]


def _has_few_to_test(groups: np.ndarray, splits: np.ndarray) -> list[Finding]:
    """Whether the parts that figures are measured on hold too few patients to tell of others."""
    for part, name in (("test", "test"), ("val", "validation")):
        at = splits == part
        many = len({g for g in groups[at] if g is not None}) + sum(g is None for g in groups[at])
        if at.any() and many < FEW_PATIENTS:
            who = "one patient (or group)" if many == 1 else f"{many} patients (or groups)"
            words = (
                f"The {name} part holds {who}: figures measured on it tell little of others, and"
                " get no interval."
            )
            severity: Literal["look", "note"] = "look" if many == 1 else "note"
            return [Finding("few to test on", severity, "Few patients to test on", words)]
    return []


def _find_site_bias(data: Dataset) -> list[Finding]:
    """Whether the classes are spread unevenly over hospitals or scanners, so that telling the site
    is telling the class.
    """
    sites = data.domains
    known = data.labels >= 0
    if sites is None or not known.any():
        return []
    code, names = pd.factorize(pd.Series(sites)[known])
    counts = np.zeros((len(names), len(data.classes)))
    np.add.at(counts, (code[code >= 0], data.labels[known][code >= 0]), 1)
    counts = counts[:, counts.sum(0) > 0]
    if len(names) < 2 or counts.shape[1] < 2 or len(names) > 50:
        return []
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    v = float(
        np.sqrt(
            ((counts - expected) ** 2 / expected).sum() / counts.sum() / (min(counts.shape) - 1)
        )
    )
    if v < 0.5:
        return [
            Finding(
                "sites",
                "ok",
                "Sites",
                f"{len(names)} sites or scanners; the classes are spread over them (Cramér’s V"
                f" {v:.2f}).",
            )
        ]
    words = (
        f"Most classes come from a site or scanner of their own (Cramér’s V {v:.2f}): a model may"
        " learn the site instead of the class."
    )
    return [Finding("sites", "look", "Class goes with the site", words)]


def _find_missing(data: Dataset) -> list[Finding]:
    counts = data.frame.isna().sum()
    counts = counts[
        (counts > 0)
        & ~counts.index.isin([data.roles.get("label"), data.roles.get("group"), *TECHNICAL])
    ]
    if not len(counts):
        return []
    rows = data.rows[data.frame[list(counts.index)].isna().any(axis=1).to_numpy()]
    words = ", ".join(
        f"“{c}” {int(k):,}"
        for c, k in counts.sort_values(ascending=False, kind="stable").head(6).items()
    )
    words = (
        f"In {len(rows):,} row{'s' * (len(rows) != 1)}, by column:"
        f" {words}{' …' if len(counts) > 6 else ''}."
    )
    return [Finding("missing", "look", "Missing values", words, rows[:SHOWN].tolist(), len(rows))]


def _find_left_out(data: Dataset) -> list[Finding]:
    left = data.card.get("left out", [])
    if not left:
        return []
    words = (
        f"Not read: {', '.join(map(str, left[:5]))}"
        + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        + "."
    )
    return [Finding("left out", "note", "Files left out", words)]
