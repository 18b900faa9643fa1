"""Looking a dataset over before use: findings in words, with the rows they are about and what can
be done.

What needs the samples (`collect_facts`) is computed once over all stored rows and kept beside the
dataset; which findings follow (`check_dataset`) depends on the rows in use, so that excluding some
changes the list at once.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.data.checks import label_noise, outliers
from core.data.checks.duplicates import find_near_copies
from core.data.checks.finding import Finding, sampled_words
from core.data.checks.masks import mask_findings
from core.data.checks.scan import scan_samples
from core.data.checks.signals import signal_findings
from core.data.checks.table import table_findings
from core.data.dataset import Dataset
from core.io.files import write_json
from core.limits import FINDING_ROWS, LOOKED
from core.neighbours import nearest, others
from core.sampling import evenly_spaced
from core.words import percent

if TYPE_CHECKING:
    from core.workspace.workspace import Workspace

NEIGHBOURS = 15  # that vote on a label; the tenth tells how far off a case is
VERSION = 5  # of what is stored; raise it when a rule changes

__all__ = ["Facts", "Finding", "check_dataset", "collect_facts", "dataset_findings"]


@dataclass(frozen=True)
class Facts:
    """What the samples of a dataset tell. `copies` sets of row ids, `blank` row ids, `near` pairs
    [held-out row, training row], `far` rows and how many times the usual distance, `doubts` see
    `label_noise.LabelDoubts`.
    """

    copies: list[list[int]] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    near: list[list[int]] = field(default_factory=list)
    far: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    doubts: dict[str, Any] = field(default_factory=dict)
    looked: int = 0  # rows among which neighbours were searched; 0 = all


def collect_facts(data: Dataset, report: Callable[[float], None] = lambda fraction: None) -> Facts:
    """Read all samples once and search neighbours among small vectors of them; `report` is told the
    fraction done and may raise to stop.

    Cost: the reading (about 2 s for 10,000 pictures of 224 x 224 from a warm disk), and the
    searches: about ten seconds of one core for 100,000 rows of 50 columns. Copies are sought among
    all rows, neighbours among at most `limits.LOOKED` evenly spread ones, and the findings say so.
    """
    seen = scan_samples(data, lambda fraction: report(0.6 * fraction))
    looked, x = 0, seen.x
    if len(data) > LOOKED:
        some = evenly_spaced(len(data), LOOKED)
        data, looked, x = data.take(some), len(some), seen.x[some]
    near = find_near_copies(data, x, seen.unit, seen.copies)
    report(0.75)
    if len(data) <= NEIGHBOURS or (x.shape[1] < 2 and data.samples is None):
        return Facts(
            seen.copies,
            seen.blank,
            near,
            doubts=asdict(label_noise.LabelDoubts(why="there are too few cases")),
        )
    at, distance = others(*nearest(x, x, NEIGHBOURS + 1))
    report(0.95)
    far, times = outliers.find_outliers(data, distance)
    return Facts(
        seen.copies,
        seen.blank,
        near,
        far,
        times,
        asdict(label_noise.find_label_noise(data, at)),
        looked,
    )


def check_dataset(data: Dataset, facts: Facts | None = None) -> list[Finding]:
    """All findings about the rows of this view, the worst first. Without `facts` of the whole
    dataset they are taken of this view (see `collect_facts`).
    """
    facts = collect_facts(data) if facts is None else facts
    found = []
    if len(data):
        found = [*table_findings(data), *mask_findings(data), *signal_findings(data)]
    place = (
        {int(r): i for i, r in enumerate(data.rows)}
        if len(facts.copies) + len(facts.blank) + len(facts.near) + len(facts.far)
        else {}
    )
    found += (
        [
            *_find_copies(data, facts, place),
            *_find_near_copies(data, facts, place),
            *_find_label_noise(data, facts),
            *_find_outliers(facts, place, data),
        ]
        if len(data)
        else []
    )
    return sorted(found, key=lambda f: ("stop", "look", "note", "ok").index(f.severity))


def dataset_findings(
    ws: Workspace, name: str, report: Callable[[float], None] = lambda fraction: None
) -> list[Finding]:
    """Return the findings about the rows in use of a dataset of the workspace; what costs time is
    computed once for its contents and kept beside it.

    Kept are `checks.json` (of the stored samples) and `findings.json` (of the rows in use); both
    are made again when their hash or `VERSION` is another.
    """
    if (known := known_findings(ws, name)) is not None:
        return known
    folder, now = ws.dataset_folder(name), _stamp_of(ws, name)
    stored = {"version": VERSION, "hash": json.loads((folder / "dataset.json").read_text())["hash"]}
    facts = _load_facts(folder / "checks.json", stored)
    if facts is None:
        facts = asdict(collect_facts(ws.dataset(name, whole=True), report))
        _store_facts(folder / "checks.json", stored | {"kept": facts})
    found = check_dataset(ws.dataset(name), Facts(**facts))
    _store_facts(folder / "findings.json", now | {"kept": [asdict(f) for f in found]})
    return found


def known_findings(ws: Workspace, name: str) -> list[Finding] | None:
    """As `dataset_findings`, without working anything out: None where they are not known yet."""
    kept = _load_facts(ws.dataset_folder(name) / "findings.json", _stamp_of(ws, name))
    return None if kept is None else [Finding(**f) for f in kept]


def _stamp_of(ws: Workspace, name: str) -> dict[str, Any]:
    """Return what kept findings must agree with to hold for the rows now in use."""
    normal = ws.dataset(name).card.get("normal")
    return {"version": VERSION, "hash": ws.data_hash(name), "normal": normal}


def _store_facts(path: Any, value: dict[str, Any]) -> None:
    """Keep what was found; on a full disk it is worked out again the next time."""
    try:
        write_json(path, value)
    except OSError as e:
        if e.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", -1)):
            raise


def _load_facts(path: Any, like: dict[str, Any]) -> Any:
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or cut off: it is made again
        return None
    return stored["kept"] if all(stored.get(k) == v for k, v in like.items()) else None


# -- from facts to findings ------------------------------------------------------------------------
def _is_coarse(data: Dataset) -> bool:
    """Whether several values of the files share one stored level (16-bit pictures): what looks the
    same need not be a copy.
    """
    low, high = data.card.get("grey range") or (0.0, 255.0)
    return float(high) - float(low) > 256


def _find_copies(data: Dataset, facts: Facts, place: dict[int, int]) -> list[Finding]:
    """Exact copies, and rows of one value. Texts count as copies whatever their case and spaces."""
    copies = [[r for r in rows if r in place] for rows in facts.copies]
    copies = [rows for rows in copies if len(rows) > 1]
    blank = [r for r in facts.blank if r in place]
    found = []
    if copies:
        parts = [len({data.splits[place[r]] for r in rows}) for rows in copies]
        unlike = sum(len({int(data.labels[place[r]]) for r in rows} - {-1}) > 1 for rows in copies)
        # those on two sides first
        copies = [copies[i] for i in np.argsort([p < 2 for p in parts], kind="stable")]
        total, across = sum(map(len, copies)), sum(p > 1 for p in parts)
        coarse = _is_coarse(data)
        alike = "the same once brought to 256 levels" if coarse else "exact copies of one another"
        words = f"{total:,} cases are {alike} ({len(copies):,} set{'s' * (len(copies) != 1)})"
        words += (
            f"; {across:,} of them on two sides of the split, so the test is not clean."
            if across
            else ", all within one part."
        )
        words += f" In {unlike:,} set{'s' * (unlike != 1)} the labels differ." if unlike else ""
        sets = _limit_sets(copies)
        title = "The same at 256 levels" if coarse else "Exact copies"
        severity: Literal["stop", "look"] = "stop" if across else "look"
        rows = [r for s in sets for r in s]
        found.append(Finding("duplicates", severity, title, words, rows, total, sets))
    if blank:
        words = (
            f"{len(blank):,} case{'s hold' if len(blank) > 1 else ' holds'} one value only or none."
        )
        found.append(
            Finding("blank", "look", "Blank cases", words, blank[:FINDING_ROWS], len(blank))
        )
    if not found:
        found.append(Finding("values", "ok", "Values", "No exact copies and no blank cases."))
    return found


def _find_near_copies(data: Dataset, facts: Facts, place: dict[int, int]) -> list[Finding]:
    if (
        data.modality == "table"
        or len(set(data.splits)) < 2
        or (data.modality in ("image", "volume") and min(data.shape[1:]) < 16)
    ):
        return []
    pairs = [
        p
        for p in facts.near
        if all(r in place for r in p) and len({data.splits[place[r]] for r in p}) > 1
    ]
    if not pairs:
        return [
            Finding(
                "near",
                "ok",
                "Near copies",
                "No test or validation case is nearly the same as a training"
                f" case{_among(facts, data)}.",
            )
        ]
    words = (
        f"{len(pairs):,} test or validation case{'s are' if len(pairs) > 1 else ' is'} nearly the"
        f" same as a training case{_among(facts, data)}; "
    )
    words += "look whether they are the same patient."
    sets = _limit_sets(pairs)
    return [
        Finding(
            "near", "look", "Near copies", words, [r for s in sets for r in s], 2 * len(pairs), sets
        )
    ]


def _find_label_noise(data: Dataset, facts: Facts) -> list[Finding]:
    doubts = label_noise.LabelDoubts(**facts.doubts) if facts.doubts else label_noise.LabelDoubts()
    if not doubts.swapped:
        return []
    trial = (
        f"In a trial{_among(facts, data)} with {doubts.swapped:,} labels swapped on purpose the"
        f" same rule found {percent(doubts.found)} of them"
    )
    if doubts.found < 0.3:
        words = (
            f"Wrong labels cannot be detected here by what cases look like at a glance. {trial}."
        )
        return [Finding("labels doubted", "note", "Labels not checked", words)]
    label = dict(zip(data.rows.tolist(), data.labels.tolist()))
    named = [
        (r, s, v) for r, s, v in zip(doubts.rows, doubts.said, doubts.share) if label.get(r, s) != s
    ]
    if not named:
        return [
            Finding(
                "labels doubted",
                "ok",
                "Labels",
                f"No label is contradicted by most cases that look alike. {trial}.",
            )
        ]
    notes = {str(r): data.classes[s] for r, s, _ in named[:FINDING_ROWS]}
    has = "case has a label" if len(named) == 1 else "cases have labels"
    words = (
        f"{len(named):,} {has} that most similar cases do not have; some will be wrong, some"
        f" just unusual. {trial}; "
    )
    low, high = percent(doubts.low), percent(doubts.high)
    between = f"roughly {low} to {high}" if low != high else f"about {high}"
    words += f"{between} of what it names there is truly wrong."
    return [
        Finding(
            "labels doubted",
            "look",
            "Possible label errors",
            words,
            [r for r, _, _ in named[:FINDING_ROWS]],
            len(named),
            notes=notes,
        )
    ]


def _among(facts: Facts, data: Dataset) -> str:
    return sampled_words(facts.looked or len(data), len(data))


def _find_outliers(facts: Facts, place: dict[int, int], data: Dataset) -> list[Finding]:
    far = [(r, t) for r, t in zip(facts.far, facts.times) if r in place]
    if not far:
        return (
            [
                Finding(
                    "outliers",
                    "ok",
                    "Unlike the rest",
                    f"No case lies far from all others{_among(facts, data)}.",
                )
            ]
            if len(data) >= outliers.FEWEST
            else []
        )
    words = (
        f"{len(far):,} case{'s lie' if len(far) > 1 else ' lies'} far from all"
        f" others{_among(facts, data)}: up to {max(t for _, t in far):.1f} times as far from the"
        " tenth "
    )
    words += (
        "most similar case as is usual. Another kind of picture, a broken file, or a rare case?"
    )
    rows = [r for r, _ in far][:FINDING_ROWS]
    return [
        Finding(
            "outliers",
            "look",
            "Unlike the rest",
            words,
            rows,
            len(far),
            notes={str(r): f"{t:.1f} times as far" for r, t in far[:FINDING_ROWS]},
        )
    ]


def _limit_sets(sets: list[list[int]]) -> list[list[int]]:
    """As many whole sets as stay within the limit of rows."""
    many = np.cumsum([len(s) for s in sets])
    return sets[: max(1, int((many <= FINDING_ROWS).sum()))]
