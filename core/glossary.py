"""The terms of the field that pages use, each with one sentence that says what it means: the one
place from which the app and docs/reference/glossary.md take them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A term, its one sentence, and other ways in which it is written."""

    name: str
    meaning: str
    also: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The term in letters that an address may hold: "95-interval"."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


TERMS = [
    Term("accuracy", "The share of cases whose class the model names rightly."),
    Term(
        "agreement between ways",
        "How far other ways of making a map mark the same places (1: the same, 0: unrelated), which"
        " proves none of them right.",
    ),
    Term(
        "anomaly score",
        "A number for how much a case differs from those the model learned from; it puts cases in"
        " order and is no probability.",
        ("anomaly scores",),
    ),
    Term(
        "attribution",
        "How much each part of the input moved the result of the model; it shows what the model"
        " used, not what causes an illness.",
        ("attributions",),
    ),
    Term(
        "AUROC",
        "The chance that an abnormal case gets a higher score than a normal one: 0.5 is guessing,"
        " 1 is without error.",
        ("area under the ROC curve", "AUC"),
    ),
    Term(
        "average precision",
        "The share of true findings among what is ranked highest, averaged over all places where"
        " the ranking may be cut; guessing gives about the share of findings in the data.",
        ("AP",),
    ),
    Term(
        "balanced accuracy",
        "The share of cases named rightly, taken in each class by itself and averaged, so that a"
        " rare class counts as much as a common one.",
    ),
    Term(
        "Brier score",
        "The mean squared distance between the stated probabilities and what was true; 0 is best.",
    ),
    Term(
        "calibration error",
        "How far the stated probabilities are from how often they come true; 0 is best.",
    ),
    Term(
        "cluster",
        "A group of cases that the model finds similar; a pattern in the data, not a diagnosis.",
        ("clusters",),
    ),
    Term(
        "completeness gap",
        "How much the parts of a map, added up, miss of the result; 0 is none.",
    ),
    Term(
        "continuity",
        "How far cases that are neighbours for the model also stand together on the map; 1 means"
        " that none was torn away.",
    ),
    Term(
        "coverage",
        "How often a set of possible answers holds the true one.",
    ),
    Term(
        "Dice",
        "How far an outline and the true one overlap: 0 not at all, 1 fully.",
    ),
    Term(
        "embedding",
        "The numbers by which the model describes one case: its place in the latent space.",
        ("embeddings",),
    ),
    Term(
        "epoch",
        "One pass of training through all training cases.",
        ("epochs",),
    ),
    Term(
        "false alarm",
        "A case that is flagged though it is normal.",
        ("false alarms",),
    ),
    Term(
        "latent axis",
        "One of the numbers by which the model describes a case; moving along it changes one"
        " thing, or a mixture of things, in the picture.",
        ("latent axes",),
    ),
    Term(
        "latent space",
        "The numbers by which the model describes cases, taken together; similar cases lie near"
        " each other in it.",
    ),
    Term(
        "linear probe",
        "A simple classifier on top of what the model learned: how well classes can be told apart"
        " by straight cuts through its latent space.",
    ),
    Term(
        "localisation gain",
        "How much better than the bare picture and a model with random weights a map marks the"
        " outlined finding; 0 is no better.",
    ),
    Term(
        "localisation of findings",
        "How far a map is stronger inside the outlined finding than outside, as the chance that a"
        " place inside has more than one outside: 0.5 is guessing.",
    ),
    Term(
        "map baseline",
        "What a case is compared with when a map is made, such as an average or a blurred case; the"
        " map shows only what differs from it.",
    ),
    Term(
        "model randomisation",
        "The map is made again with a model whose weights are random; a map that stays the same"
        " shows the picture, not the model.",
    ),
    Term(
        "NPV",
        "Negative predictive value: of the cases that are not flagged, the share that is normal.",
        ("negative predictive value",),
    ),
    Term(
        "95 % interval",
        "The range around a figure that its chance errors leave open: of 100 such ranges about 95"
        " hold the true value.",
        ("95 % intervals", "confidence interval", "interval", "intervals"),
    ),
    Term(
        "PaCMAP",
        "A way to draw the latent space as a map that keeps near cases near, and some of the order"
        " of groups far apart.",
    ),
    Term(
        "PPV",
        "Positive predictive value: of the flagged cases, the share that is abnormal; it falls"
        " where abnormal cases are rare.",
        ("positive predictive value",),
    ),
    Term(
        "prevalence",
        "The share of all cases that is abnormal.",
    ),
    Term(
        "principal components",
        "The directions along which cases differ most; they give a plain map without bends.",
        ("principal component", "PCA"),
    ),
    Term(
        "reconstruction",
        "The case as the model draws it again from its own few numbers; where the two differ, the"
        " case is unlike what the model learned from.",
        ("reconstructions",),
    ),
    Term(
        "repeatability",
        "How far the map stays the same when a little noise is added to the case; 1 is the same.",
    ),
    Term(
        "seed",
        "The start of the random numbers of a run; the same seed gives the same run again.",
        ("seeds",),
    ),
    Term(
        "segmentation",
        "Outlines of structures, drawn pixel by pixel.",
    ),
    Term(
        "sensitivity",
        "Of the abnormal cases, the share that is flagged.",
    ),
    Term(
        "specificity",
        "Of the normal cases, the share that is not flagged.",
    ),
    Term(
        "test cases",
        "Cases kept out of training and of every choice, so that figures on them tell how the model"
        " does on new cases of the same kind.",
    ),
    Term(
        "threshold",
        "The score from which on a case is flagged; it is chosen, not found.",
    ),
    Term(
        "trustworthiness",
        "How far neighbours on the map are neighbours for the model too; 1 means that no false one"
        " stands beside.",
    ),
    Term(
        "t-SNE",
        "A way to draw the latent space as a map that keeps each case’s nearest together; how large"
        " groups are and how far apart means little on it.",
    ),
    Term(
        "UMAP",
        "A way to draw the latent space as a map that keeps near cases near; how far apart groups"
        " are means little on it.",
    ),
    Term(
        "validation cases",
        "Cases kept out of training by which settings and thresholds are chosen.",
    ),
]
_BY_WORDS = {words.lower(): term for term in TERMS for words in (term.name, *term.also)}
_SHORT = {w for t in TERMS for w in (t.name, *t.also) if w.isupper()}  # AP is no "ap"
# a mark of markdown may stand before punctuation; what is a link or code already is left alone
_TERMS = "|".join(
    re.escape(words).replace(r"\ ", " ").replace(r"\-", r"\\?-")
    for words in sorted(_BY_WORDS, key=len, reverse=True)
)
_FOUND = re.compile(rf"\[[^\]]*\]\([^)]*\)|`[^`]*`|(?<![\w-])(?:{_TERMS})(?![\w-])", re.IGNORECASE)


def find(words: str) -> Term | None:
    """Return the term that is written as `words`, whatever its case; None where there is none."""
    return _BY_WORDS.get(words.lower().replace("\\", ""))


def mark(words: str, mark_one: Callable[[str, Term], str]) -> str:
    """`words` of markdown with the first place of each term replaced by `mark_one` (as it is
    written there, the term).
    """
    marked: set[str] = set()

    def each(found: re.Match[str]) -> str:
        written = found[0]
        term = find(written)
        short = written.upper() in _SHORT and not written.isupper()
        if term is None or term.name in marked or short:
            return written
        marked.add(term.name)
        return mark_one(written, term)

    return _FOUND.sub(each, words)
