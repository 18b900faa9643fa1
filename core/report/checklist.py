"""A reporting sheet of one run: what a paper about it has to say, filled where the workspace knows
it, blank where only people do.

The subjects follow the Checklist for Artificial Intelligence in Medical Imaging (CLAIM; Mongan,
Moy and Kahn, Radiology: Artificial Intelligence 2020) in words of our own; the sheet does not stand
in for the checklist itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SOURCE = (
    "The subjects follow CLAIM (Mongan, Moy and Kahn, Radiology: Artificial Intelligence 2020) in"
    " words of our own; fill in the checklist itself for a journal."
)


@dataclass(frozen=True)
class Item:
    """One subject of a section; `answer` is "" where it is for people to say."""

    section: str
    subject: str
    answer: str = ""


def fill_sheet(r: dict[str, Any]) -> list[Item]:
    """Return the sheet of a run, described as `core.report.html` describes it."""
    return [
        Item(section, subject, " ".join(str(answer or "").split()))
        for section, lines in (
            ("Background", _background(r)),
            ("Data", _data(r)),
            ("Ground truth", _truth(r)),
            ("Data partitions", _partitions(r)),
            ("Model and training", _model(r)),
            ("Evaluation", _evaluation(r)),
            ("Results", _results(r)),
            ("Discussion and other", _other(r)),
        )
        for subject, answer in lines
    ]


def count_filled(sheet: list[Item]) -> tuple[int, int]:
    """Return how many items are filled, and how many there are."""
    return sum(bool(i.answer) for i in sheet), len(sheet)


Lines = list[tuple[str, Any]]


def _said(r: dict[str, Any], about: str) -> str:
    found = r["stated"].get(about)
    return f"{found['words']} ({found['author'] or 'a person'})" if found else ""


def _background(r: dict[str, Any]) -> Lines:
    answers = r["about"].get("Answers", "")
    return [
        ("The kind of method", f"{r['title']} ({r['method']}): {answers}"),
        ("Clinical background, intended use and role", _said(r, "intended use")),
        ("Aims and hypotheses of the study", ""),
        ("Prospective or retrospective; goal of the study", ""),
    ]


def _data(r: dict[str, Any]) -> Lines:
    card = r["card"]
    removed = card.get("accepted") or card.get("deidentification")
    missing = card.get("missing values")
    return [
        ("Source of the data", card.get("source")),
        ("Who was eligible, where and when cases were collected", ""),
        ("Preprocessing", "; ".join(map(str, card.get("rules", [])))),
        ("Which subsets were used", _cohort(r)),
        ("What each variable means", card.get("about")),
        ("De-identification", "as listed with the data before its import" if removed else ""),
        (
            "Missing data",
            ", ".join(f"{k}: {v}" for k, v in missing.items()) or "none found" if missing else "",
        ),
        ("Licence or consent", card.get("licence")),
    ]


def _cohort(r: dict[str, Any]) -> str:
    found = r["card"].get("cohort") or {}
    return " → ".join(f"{k} {v}" for k, v in found.items()) or f"{r['n']:,} cases in use"


def _truth(r: dict[str, Any]) -> Lines:
    classes = ", ".join(f"{k}: {v:,}" for k, v in r["classes"].items())
    return [
        ("Definition of the ground truth", f"the stored label ({classes})" if classes else ""),
        ("Why this reference standard", ""),
        ("Who annotated, with what training and tools", ""),
        ("Agreement between and within annotators", ""),
    ]


def _partitions(r: dict[str, Any]) -> Lines:
    parts = ", ".join(f"{k} {v:,}" for k, v in r["parts"].items())
    level = {"none known": "", "not stated": ""}.get(r["patients"], f"{r['patients']} patients")
    return [
        ("Intended sample size and how it was set", ""),
        ("How cases were assigned to parts", f"{r['card'].get('split rule', '')}; {parts}"),
        ("Level at which the parts are disjoint", level and f"{level} or groups, each in one part"),
    ]


def _model(r: dict[str, Any]) -> Lines:
    made = r["made_by"]
    params = ", ".join(f"{k} = {v}" for k, v in r["params"].items())
    packages = ", ".join(f"{k} {v}" for k, v in made.packages.items())
    return [
        ("Model, its inputs and outputs", f"{r['title']}; it can {', '.join(r['can'])}"),
        ("Reference of the method", r["reference"]),
        ("Software and versions", f"Lightbox {made.version}; {packages}"),
        ("Start of the parameters", f"seed {made.seed}"),
        ("Training and hyperparameters", params),
        ("How the final model was chosen", "; ".join(made.notes or [])),
        ("Hardware and time", f"{made.device}, {made.seconds} s"),
    ]


def _evaluation(r: dict[str, Any]) -> Lines:
    names = list(dict.fromkeys(m["name"] for m in r["metrics"]))
    intervals = any(m["low"] is not None for m in r["metrics"])
    explained = [f["title"] for f in r["figures"] if f["title"] == "What it looked at"]
    sites = r["sites"] or []
    return [
        ("Measures of performance", ", ".join(names)),
        ("Uncertainty", "95 % intervals in the table of figures" if intervals else ""),
        ("Robustness or sensitivity analysis", ""),
        ("Explanation of what the model does", "; ".join(explained)),
        (
            "Validation on data of other sites",
            f"sites in the data: {', '.join(sites)}" if len(sites) > 1 else "",
        ),
    ]


def _results(r: dict[str, Any]) -> Lines:
    held = [m for m in r["metrics"] if m["split"] == "test" and m["value"] is not None]
    shown = "; ".join(
        f"{m['name']}{'' if m['group'] == 'all' else ', ' + str(m['group'])} {m['value']:.2f}"
        for m in held[:6]
    )
    return [
        ("Flow of cases", "the figure “How the cases came about”"),
        ("Characteristics of the cases in each part", ""),
        ("Performance on held-out cases", shown),
        ("Failure analysis", _said(r, "known failures")),
    ]


def _other(r: dict[str, Any]) -> Lines:
    return [
        ("Limits", r["about"].get("Do not use when")),
        ("Implications for practice; when to stop", _said(r, "when to stop")),
        ("Where the code is", f"the script of run {r['id']} makes it again"),
        ("Protocol and registration", ""),
        ("Funding", ""),
    ]
