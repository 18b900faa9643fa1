"""Text files of labels beside the data: a label a line for the rows (or columns) of a table, or a
file's name and its label a line.

They are joined before anything is read: what the readers get is a table with a column `label`.
"""

from __future__ import annotations

import csv
import io
import re

from core import limits
from core.data.readers.files import Member

NAMES = re.compile(r"(labels?|classes|targets?|outcomes?|diagnos[ei]s|y)\.(txt|lab|lbl)", re.I)
TABLES = (".csv", ".tsv", ".tab", ".data", ".txt")
SIDE = re.compile(r"(readme|licen[cs]e|copying|notice|authors|citation|changelog)\b", re.I)
MOST = 1 << 24  # bytes of a file of labels


def join_label_files(members: list[Member]) -> tuple[list[Member], list[str]]:
    """Return the members with a file of labels made part of the data, and what was done in words;
    as they were where it does not fit.
    """
    found = [m for m in members if NAMES.fullmatch(m.parts[-1])]
    others = [m for m in members if m not in found and not SIDE.match(m.parts[-1])]
    if len(found) != 1 or not others:
        return members, []
    label = found[0]
    lines = [line.strip() for line in _text(label.open(MOST)).splitlines() if line.strip()]
    if not lines:
        return members, []
    named = _by_name(lines, others)
    if named is not None:
        sheet = _table(f"{label.stem}.csv", [["file", "label"], *named])
        return [sheet if m is label else m for m in members], [
            f"{label.parts[-1]}: the label of each file by its name"
        ]
    if len(others) == 1 and others[0].name.lower().endswith(TABLES):
        made = _join_labels(others[0], lines)
        if made is not None:
            kept = [made[0] if m is others[0] else m for m in members if m is not label]
            return kept, [f"{label.parts[-1]}: {made[1]}"]
    return members, []


def _by_name(lines: list[str], others: list[Member]) -> list[list[str]] | None:
    """[file, label] of each line, where every file of the data is named by one; None otherwise."""
    pairs = [re.split(r"[\t,; ]+", line, maxsplit=1) for line in lines]
    if any(len(p) != 2 for p in pairs):
        return None
    keys = {p[0].rsplit("/", 1)[-1] for p in pairs}
    for name in (lambda m: m.parts[-1], lambda m: m.stem):
        if {name(m) for m in others} <= keys:
            return [[p[0], p[1].strip()] for p in pairs]
    return None


def _join_labels(member: Member, labels: list[str]) -> tuple[Member, str] | None:
    """Return the table with a column of labels and what was done: a row a label, or, turned, a
    column a label; None where the numbers do not fit.
    """
    text = _text(member.load())
    first = text.lstrip().partition("\n")[0]
    separator = next((mark for mark in "\t,;" if mark in first), " ")
    try:
        rows = [
            [v.strip() for v in record]
            for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            if any(record)
        ]
    except csv.Error:
        return None  # the reader says what is wrong with it
    if len(rows) < 2 or len({len(r) for r in rows}) != 1:
        return None
    n, width = len(labels), len(rows[0])
    if n == len(rows) or (n == len(rows) - 1 and not any(map(_number, rows[0]))):
        body = rows[len(rows) - n :]
        names = [f"column {j + 1}" for j in range(width)] if n == len(rows) else rows[0]
        return (
            _labelled(member, names, body, labels),
            "its lines are the labels of the rows, in order",
        )
    if n not in (width, width - 1) or len(rows) > limits.COLUMNS:
        return None
    start = width - n
    above = None if all(_number(v) for v in rows[0][start:]) else rows[0]
    body = rows[1:] if above else rows
    names = _apart([r[0] for r in body]) if start else [f"row {i + 1}" for i in range(len(body))]
    turned = [list(column) for column in zip(*(r[start:] for r in body))]
    if above:
        names, turned = ["sample", *names], [[above[start + i], *r] for i, r in enumerate(turned)]
    words = (
        "it has as many labels as the table has columns, so the table was turned: each column is a"
        " case"
    )
    return _labelled(member, names, turned, labels), words


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _number(word: str) -> bool:
    try:
        float(word.replace(",", "."))
    except ValueError:
        return False
    return True


def _labelled(member: Member, names: list[str], rows: list[list[str]], labels: list[str]) -> Member:
    column = "label" if "label" not in names else "label (from the text file)"
    return _table(
        f"{member.stem}.csv", [[*names, column], *([*r, v] for r, v in zip(rows, labels))]
    )


def _apart(names: list[str]) -> list[str]:
    """Names without doubles: the second “a” becomes “a (2)”."""
    seen: dict[str, int] = {}
    out = []
    for i, name in enumerate(names):
        name = name or f"row {i + 1}"
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _table(name: str, rows: list[list[str]]) -> Member:
    """Return a text table of our own, as if it had lain there."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    data = out.getvalue().encode()
    return Member(name, lambda most: data[:most])
