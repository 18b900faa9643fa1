"""Terms of the field: each has one sentence, and pages tell it where the term stands."""

import re

import pytest

from app import text
from core.glossary import TERMS, find

LINK = re.compile(r"\[([^\]]+)\]\(#term-([a-z0-9-]+)\)")


def test_every_term_has_one_plain_sentence_and_a_name_of_its_own():
    names = [words.lower() for term in TERMS for words in (term.name, *term.also)]
    assert len(set(names)) == len(names)
    assert len({term.id for term in TERMS}) == len(TERMS)
    for term in TERMS:
        assert term.meaning.endswith("."), term.name
        assert term.meaning.count(". ") == 0, f"{term.name}: one sentence"
        assert len(term.meaning) <= 180, f"{term.name}: too long to read in passing"


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ("case AUROC 0.92", [("AUROC", "auroc")]),
        ("Anomaly scores of 3 cases", [("Anomaly scores", "anomaly-score")]),
        ("trustworthiness 0.99, continuity 0.98", [("trustworthiness",) * 2, ("continuity",) * 2]),
        ("95 % intervals over patients", [("95 % intervals", "95-interval")]),
        (text.label("drawn by t-SNE"), [(r"t\-SNE", "t-sne")]),
        ("UMAP, and UMAP again", [("UMAP", "umap")]),
        ("balanced accuracy", [("balanced accuracy", "balanced-accuracy")]),
        ("an AP of 0.3", [("AP", "average-precision")]),
        ("the map is a gap on tap", []),
        ("thresholds-to-be and inaccuracy", []),
        ("as `seed` and [PPV](#elsewhere)", []),
    ],
)
def test_the_first_place_of_each_term_is_marked(words, marked):
    assert LINK.findall(text.explain(words)) == marked
    assert LINK.sub(r"\1", text.explain(words)) == words, "nothing else is changed"


def test_a_term_is_found_however_it_is_written():
    assert find("AUC") is find("auroc") is find("area under the ROC curve")
    assert find("no such term") is None


def test_a_name_given_by_a_user_cannot_end_the_link():
    name = text.label("](http://elsewhere) ")
    assert text.explain(f"{name} AUROC") == f"{name} [AUROC](#term-auroc)"
