"""The figures that docs and cards state are those of the evidence, and rivals are the best ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core import evidence
from core.cards import FOLDER, parse_card

PERFORMANCE = (Path(__file__).parent.parent / "docs" / "performance.md").read_text(encoding="utf-8")
ROWS = (  # method, title of the table, measure, what was measured in words
    (
        "strega",
        "Where are the lesions?",
        "pixel average precision",
        "lesions on generated head slices, pixel average precision",
    ),
    ("unet_plus_plus", "Nuclei: Dice", "Dice", "nuclei of three stains, Dice"),
    (
        "cine_tracker",
        "Following the left ventricle: Dice",
        "Dice",
        "left ventricles by patient, Dice",
    ),
    (
        "skada_bench",
        "Carrying a model",
        "accuracy",
        "heart disease of four hospitals, 12 pairs, accuracy of the chosen adaptation",
    ),
)
CARDS = sorted(p.stem for p in FOLDER.glob("*.md"))
NO_RESULT = {  # numbers on cards that are settings or what was wanted, not results
    "batch_pi": {"90 %"},
    "beta_vae_scan": {"0.5"},
    "cine_tracker": {"2.1"},
    "ear": {"1.5"},
    "fader": {"1.5", "1.10", "0.75", "0.9", "8 %"},
    "gmna": {"0.01"},
    "pca": {"95 %"},
    "seas": {"0.15", "0.4", "0.6", "0.8"},
    "unet_plus_plus": {"0.05"},
    "variational_sae": {"0.01"},
}


def body(id: str) -> str:
    return " ".join(
        parse_card(id, (FOLDER / f"{id}.md").read_text(encoding="utf-8")).sections.values()
    )


def values(id: str) -> list[float]:
    """All values and what lies about them, of a method's evidence."""
    tables = (evidence.load_evidence(id) or {"tables": []})["tables"]
    return [
        row[key]
        for table in tables
        for row in table["rows"]
        for key in ("value", "low", "high")
        if row[key] is not None
    ]


def is_among(figure: str, found: list[float]) -> bool:
    """Whether `figure`, "0.72" or "3 %", is one of `found`, rounded as it is."""
    number, percent = figure.removesuffix("%").strip(), figure.endswith("%")
    digits = len(number.partition(".")[2])
    return any(
        abs(round(value * (100 if percent else 1), digits) - float(number)) < 1e-9
        for value in found
    )


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_performance_page_states_what_was_measured_against_the_best_rival(row):
    assert evidence.performance_row(*row) in PERFORMANCE.splitlines()


def test_performance_page_states_every_reader_of_the_x_rays_as_measured():
    table = evidence.find_table(
        "gaussian_vae",
        "Telling classes apart from 16 latent dimensions: pneumonia",
        "linear-probe AUC",
    )
    stated = "; ".join(f"{row['name']} {row['value']:.3f}" for row in table["rows"])
    assert (
        f"| pneumonia X-rays, linear-probe AUC on {table['split']} | {stated} |"
        in PERFORMANCE.splitlines()
    )


def test_no_method_is_compared_there_but_by_a_generated_row():
    ids = "|".join(CARDS)
    made = {evidence.performance_row(*row) for row in ROWS}
    compared = [
        line
        for line in PERFORMANCE.splitlines()
        if re.match(rf"\| `({ids})`[^|]*\| [\d.]+ against", line)
    ]
    assert set(compared) == made


@pytest.mark.parametrize("id", CARDS)
def test_figures_on_cards_are_those_of_the_evidence(id):
    found = values(id)
    figures = set(re.findall(r"\d+\.\d+(?! *points)|\d+ %", body(id))) - NO_RESULT.get(id, set())
    wrong = [figure for figure in figures if not is_among(figure, found)]
    assert not wrong, f"not in the evidence of {id}: {wrong}"


@pytest.mark.parametrize("id", CARDS)
def test_what_cards_set_against_each_other_is_the_best_rival_of_one_table(id):
    tables = (evidence.load_evidence(id) or {"tables": []})["tables"]
    for one, other in re.findall(r"(\d+\.\d+) against (\d+\.\d+)", body(id)):
        pairs = [
            (t["rows"][0]["value"], evidence.find_best_rival(t)["value"])
            for t in tables
            if len(t["rows"]) > 1
        ]
        assert any(
            (is_among(one, [own]) and is_among(other, [rival]))
            or (is_among(one, [rival]) and is_among(other, [own]))
            for own, rival in pairs
        ), f"{one} against {other}"


def test_every_verdict_speaks_of_the_best_rival():
    for path in sorted(evidence.FOLDER.glob("*.json")):
        for table in (evidence.load_evidence(path.stem) or {"tables": []})["tables"]:
            said = re.search(
                r"^The rival (.+) is as good or better|is ahead of the best rival, (.+) \([-\d.]+"
                r" against",
                table["verdict"],
            )
            if said and len(table["rows"]) > 2:
                named = said[1] or said[2]
                rivals = {
                    r["name"]
                    for r in evidence.list_rivals(table)
                    if r["value"] == evidence.find_best_rival(table)["value"]
                }
                assert named in rivals, (path.stem, table["title"])
