"""Columns of words that have an order (1+, 2+, 3+; grade 1 to 4; mild, moderate, severe): taken as
categories, their order is not kept, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from core.data.checks.finding import Finding
from core.data.dataset import Dataset

FEWEST = 3  # words that can have an order worth keeping
ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8}
SCALES = [
    words.split(", ")
    for words in (
        "none, no, absent, negative, neg, trace, minimal, very mild, slight, mild, moderate, marked"
        ", severe, very severe, extreme",
        "very low, low, medium, mid, middle, intermediate, normal, high, very high",
        "never, rarely, seldom, sometimes, often, very often, always",
        "tiny, small, medium, large, very large",
        "very poor, poor, fair, good, very good, excellent",
    )
]
# words before numbers that tell places and things apart, and no steps
NAMES = re.compile(
    r"(?i)(site|hosp\w*|cent(er|re)|clinic|ward|unit|lab|room|batch|scanner|device|plate|cluster"
    r"|group|arm|cohort|fold|type|patient|subj\w*|case|code|id|visit|cat\w*|class)s?"
)
STEP = re.compile(
    r"(?i)(?P<name>(?:[a-z]+[ _-]*)*?)(?P<bound>[<>≤≥]=?)?\s*"
    r"(?P<step>\d+(?:\.\d+)?|viii|vii|vi|iv|v|iii|ii|i)"
    r"(?P<end>\s*(?:\+|[a-c]|:\s*\d+|(?:-|–|to)\s*\d+(?:\.\d+)?))?"
)


def order_words(words: Sequence[str]) -> list[str] | None:
    """Return the words in their order, or None where no order is known. At least three different
    ones.
    """
    if len(set(words)) < FEWEST:
        return None
    plain = {w: " ".join(w.split()).casefold() for w in words}
    for scale in SCALES:
        at = {w: scale.index(p) for w, p in plain.items() if p in scale}
        steps = {w: _split_step(p) for w, p in plain.items() if w not in at}
        numbered = [w for w, found in steps.items() if found and not found[0]]
        # neg, trace, 1+, 2+
        if at and len(at) + len(numbered) == len(plain):
            rank = {w: (0, float(k)) for w, k in at.items()}
            rank |= {w: (1, found[1]) for w, found in steps.items() if found}
            return sorted(words, key=lambda w: rank[w])
    found = {w: _split_step(p) for w, p in plain.items()}
    names = {step[0] for step in found.values() if step}
    numbers = {w: step[1] for w, step in found.items() if step}
    if len(numbers) < len(plain) or len(names - {""}) > 1:
        return None
    if any(NAMES.fullmatch(name) for name in names) or len(set(numbers.values())) < FEWEST:
        return None
    if all(re.fullmatch(r"[\d.]+", p) for p in plain.values()):  # codes that were kept as words
        return None
    return sorted(words, key=lambda w: (numbers[w], w))


def _split_step(word: str) -> tuple[str, float] | None:
    """Return the name before a step and the step: “grade 2” is (grade, 2), “<30” just below 30."""
    found = STEP.fullmatch(word)
    if found is None:
        return None
    step = found["step"]
    value = float(ROMAN[step]) if step in ROMAN else float(step)
    if ":" in (found["end"] or ""):  # a titre, 1:40
        value *= float(found["end"].strip(": "))
    bound = (found["bound"] or "")[:1]
    value += {"<": -0.5, "≤": -0.5, ">": 0.5, "≥": 0.5}.get(bound, 0.0)
    return re.sub(r"[ _-]+$", "", found["name"]), value


def ordered_findings(data: Dataset) -> list[Finding]:
    """One finding for all inputs whose words have an order. Cost: one pass over words."""
    said = []
    for column in dict.fromkeys(f.partition("=")[0] for f in data.features if "=" in f):
        if column not in data.frame or pd.api.types.is_numeric_dtype(data.frame[column]):
            continue
        steps = order_words(data.frame[column].dropna().astype(str).unique().tolist())
        if steps:
            said.append(f"“{column}” ({', '.join(steps[:8])}{' …' if len(steps) > 8 else ''})")
    if not said:
        return []
    words = (
        f"Words that have an order are taken as categories, and the order is not kept:"
        f" {'; '.join(said[:6])}{' …' if len(said) > 6 else ''}. To keep it, write them as numbers"
        " (1, 2, 3) before import."
    )
    return [Finding("ordered", "note", "Categories with an order", words)]
