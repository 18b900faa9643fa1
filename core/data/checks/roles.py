"""Findings about what the columns are: guesses with doubt, and patients that are no patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.data.checks.finding import Finding
from core.data.dataset import Dataset
from core.data.role_guess import guesses_from_card

OWN_SPLIT = "the data's own split"


def role_findings(data: Dataset) -> list[Finding]:
    """Return what was guessed with doubt: one finding a role, each column with its reason. Cost:
    none, the card tells.
    """
    doubtful = [g for g in guesses_from_card(data.card) if g.doubtful]
    out = []
    for role in dict.fromkeys(g.role for g in doubtful):
        some = [g for g in doubtful if g.role == role]
        words = "; ".join(f"“{g.column}”: {g.why}" for g in some[:6]) + (
            f"; and {len(some) - 6} more" if len(some) > 6 else ""
        )
        title = {"input": "Taken as an input, with doubt", "left out": "Left out, with doubt"}.get(
            role, f"Taken as the {role}, with doubt"
        )
        out.append(
            Finding(
                f"role {role}",
                "look",
                title,
                f"{words}. To change it, bring the data in again and say what the column is.",
            )
        )
    return out


def normal_findings(data: Dataset) -> list[Finding]:
    """Which class counts as normal, where it was guessed."""
    why = data.card.get("normal guessed")
    if not data.normal or not why:
        return []
    return [
        Finding(
            "normal",
            "note",
            "Normal class, a guess",
            f"“{data.normal}” is taken to be the normal class, {why}; change it on the Data page.",
        )
    ]


def no_patients(data: Dataset) -> Finding | None:
    """Stop where the groups cannot be patients: two of them, or the classes or the data's own parts
    over again.
    """
    groups = pd.Series(data.groups, dtype=object)
    codes, names = pd.factorize(groups)
    if len(names) == 2 and len(data) > 4:
        words = (
            f"The column of patients “{data.roles['group']}” holds two values only (“{names[0]}”"
            f" and “{names[1]}”): arms of a trial, or sexes, rather than patients?"
        )
        return Finding(
            "groups two",
            "stop",
            "Two patients only",
            f"{words} Split by it, one stands in training and the other in the test.",
        )
    for what, known, values in (
        (
            "classes",
            len(np.unique(data.labels[data.labels >= 0])),
            np.where(data.labels >= 0, data.labels, -1),
        ),
        ("parts", len(np.unique(data.splits)), pd.factorize(data.splits)[0]),
    ):
        if (
            known != len(names)
            or known < 2
            or (what == "parts" and data.card.get("split rule") != OWN_SPLIT)
        ):
            continue
        there = (codes >= 0) & (values >= 0)
        pairs = len(set(zip(codes[there].tolist(), values[there].tolist())))
        if pairs == known and there.sum() > 0.9 * len(data):
            words = (
                f"The column of patients “{data.roles['group']}” says the same as the {what}: each"
                f" value is one of the {known} {what}, so it names no patients."
            )
            return Finding(f"groups {what}", "stop", f"Patients equal the {what}", words)
    return None
