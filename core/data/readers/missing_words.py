"""Words and marks that stand for a missing value."""

from __future__ import annotations

# Marks of missing values: always; those that may be a class of their own among words; those only
# among numbers.
ALWAYS = [
    "",
    "?",
    ".",
    "..",
    "...",
    "NaN",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "<NA>",
    "N.A.",
    "n.a.",
    "n.a",
    "#NULL!",
    "#DIV/0!",
    "#VALUE!",
    "#REF!",
    "#NAME?",
    "#NUM!",
    "\\N",
    "(null)",
    "(blank)",
    "1.#QNAN",
    "-1.#IND",
    "-nan",
    "k.A.",
    "k. A.",
    "k.a.",
]
PERHAPS = [
    "NA",
    "N/A",
    "n/a",
    "na",
    "nan",
    "NAN",
    "null",
    "NULL",
    "Null",
    "None",
    "NONE",
    "-",
    "--",
    "---",
    "–",
    "—",
]
AMONG_NUMBERS = [
    w
    for plain in (
        "none",
        "nil",
        "missing",
        "unknown",
        "not available",
        "not known",
        "not done",
        "not measured",
        "nd",
        "n.d.",
        "n/d",
        "unk",
        "blank",
        "empty",
        "unbekannt",
        "fehlt",
        "fehlend",
        "keine angabe",
        "manquant",
    )
    for w in (plain, plain.capitalize(), plain.title(), plain.upper())
] + [f".{letter}" for letter in "_ABCDEFGHIJKLMNOPQRSTUVWXYZ"]  # those with a letter are of SAS
