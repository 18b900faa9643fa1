"""LaGoVAD against plain rivals and its own broken copies, on films of held-out digits and on heart
films: `python -m tests.benchmarks.bench_lagovad`, a quarter of an hour of one processor.

A folder named as the first argument keeps what each copy and seed gave, and further arguments name
the copies to compute, so that they can be computed side by side.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from core.data.clips import all_frames
from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data
from core.methods.anomaly._lagovad_figures import auroc, contested_scores
from core.methods.anomaly._lagovad_films import FilmMaker, Part, parts_of
from core.methods.anomaly._lagovad_texts import frame_words
from core.nets.hashed_words import mean_vectors
from core.nets.lagovad import WordEncoder
from core.nets.losses.open_world import film_vectors
from tests.benchmarks._anomaly import NO_STEP
from tests.benchmarks._common import over_seeds, row, run, store_part, table, verdict

SEEDS = [0, 1, 2]
FILMS = 200  # judged
COPIES: dict[str, dict[str, Any]] = {
    "full": {},
    "blind": {},
    "no synthesis": {"synthesis": False},
    "no mining": {"mining": False},
    "untrained": NO_STEP,
}
DIGIT = {"also": "kind"}  # the fast preset
HEART = {"also": "level", "epochs": 170}  # as many steps as the fast preset takes
SIDE = 128  # pixels of the middle of a heart film
DIGITS, HEARTS = "digit-films (handwritten digits)", "Sunnybrook cardiac cine-MRI (CC0), 4 patients"
METHOD, WORD = "LaGoVAD", "classifier and word similarity"
BLIND = "same network, trained and judged with one text"
PCA_RIVAL, GREY = "PCA residual", "brightness"
UNTRAINED = "untrained copy"


@contextmanager
def texts_hidden(hidden: bool) -> Iterator[None]:
    """Inside, where `hidden`, every text is read as one and the same word."""
    real = WordEncoder.bank
    if hidden:
        WordEncoder.bank = lambda self, texts, named: real(  # type: ignore[method-assign]
            self, ["something"] * len(texts), [False] * len(texts)
        )
    try:
        yield
    finally:
        WordEncoder.bank = real  # type: ignore[method-assign]


# -- what is judged --------------------------------------------------------------------------------
class Bench:
    """A fitted method and films of the test part of its data, put together by a fixed seed."""

    def __init__(self, data: Dataset, method: Any) -> None:
        self.method, self.texts = method, method.texts
        test = data.part("test")
        place = {k: i for i, k in enumerate(self.texts.kinds)}
        self.kind = np.array([place.get(k, -1) for k in frame_words(test, method.columns)])
        with torch.no_grad():
            self.z = method.net_.eye(torch.from_numpy(test.inputs())).numpy()
        self.maker = FilmMaker(parts_of(test, self.kind), self.z, self.texts, 64)
        read = np.concatenate([self.texts.names, self.texts.sentences])
        self.read = [self.texts.texts[i] for i in read], self.texts.applies[read]
        self.unread = self.texts.withheld, self.texts.withheld_applies

    def contested(self, texts: list[str], applies: np.ndarray) -> dict[str, Any]:
        found = contested_scores(
            self.method, self.maker, self.z, texts, applies, np.random.default_rng(5), FILMS
        )
        assert found is not None
        return found

    def spans(self, share: tuple[float, float]) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Films (positions, truth bool, text) with a span that alone meets a text."""
        rng, (texts, applies) = np.random.default_rng(6), self.read
        made = []
        while len(made) < FILMS:
            a = int(rng.integers(len(texts)))
            ill = np.flatnonzero(applies[a][self.maker.kind])
            well = np.flatnonzero(~applies[a][self.maker.kind])
            if len(ill) and len(well):
                film, span = self.maker.about(int(rng.choice(ill)), well, rng, share)
                truth = np.zeros(len(film), bool)
                truth[span] = True
                made.append((film, truth, a))
        return made

    def judged(self, films: list[tuple[np.ndarray, np.ndarray, int]]) -> np.ndarray:
        """Logits of all frames of `films`, each under its own text."""
        sets = [[self.method.definitions_[0], self.read[0][a]] for _, _, a in films]
        found = self.method.judge_films(self.z, [f for f, _, _ in films], sets)
        return np.concatenate([logit for _, logit, _ in found])

    def retrieval(self) -> float:
        """How often, of one part of each digit, the one that a class name's text is nearest to is
        of that digit.
        """
        rng, net, right, many = np.random.default_rng(7), self.method.net_, 0, 0
        normal = self.method.definitions_[0]
        names = [t for t in self.texts.names if self.texts.applies[t].sum() == 1]
        kinds = [int(self.texts.applies[t].argmax()) for t in names]
        said = net.words(*net.words.bank([self.texts.texts[t] for t in names], [True] * len(names)))
        first = net.words(*net.words.bank([normal], [True]))
        for _ in range(30):
            parts: list[Part] = [
                self.maker.parts[int(rng.choice(np.flatnonzero(self.maker.kind == k)))]
                for k in kinds
            ]
            films = [torch.from_numpy(self.z[self.maker.crop(p, rng, 12, 12)]) for p in parts]
            there = torch.ones(len(films), 12, dtype=torch.bool)
            x = net.temporal(torch.stack(films), there)
            for i in range(len(names)):
                text = torch.stack([first[0], said[i]]).expand(len(films), 2, -1)
                logit = net.judge(x, there, text, torch.ones(len(films), 2).bool()).logit
                vectors = torch.nn.functional.normalize(film_vectors(x, logit, there), dim=1)
                right += int((vectors @ said[i]).argmax()) == i
                many += 1
        return right / many


def classified(data: Dataset, bench: Bench, texts: list[str]) -> np.ndarray:
    """Score [frames of the test part, texts] of a classifier of what frames show and the likeness
    of its words to a text.
    """
    method, kinds = bench.method, bench.texts.kinds
    train = method._usable(data.part("train"))
    place = {k: i for i, k in enumerate(kinds)}
    kind = [place[k] for k in frame_words(train, method.columns)]
    with torch.no_grad():
        z = method.net_.eye(torch.from_numpy(train.inputs())).numpy()
    reader = LogisticRegression(max_iter=500).fit(z, kind)
    prob = reader.predict_proba(bench.z)
    said = mean_vectors(texts, 64)
    like = np.stack([(said @ mean_vectors(list(kinds[k]), 64).T).max(1) for k in reader.classes_])
    return prob @ like


def plain(data: Dataset) -> dict[str, np.ndarray]:
    """Score [frames of the test part] of the rivals that read no text."""
    x, test = data.part("train").inputs(), data.part("test").inputs()
    flat, of = x.reshape(len(x), -1), test.reshape(len(test), -1)
    pca = PCA(min(32, len(x) // 2), random_state=0).fit(flat)
    back = pca.inverse_transform(pca.transform(of))
    return {PCA_RIVAL: np.abs(of - back).mean(1), GREY: of.mean(1)}


def of_spans(found: dict[str, Any], score: np.ndarray, texts: bool) -> float:
    """AUROC of contested spans by `score` [frames] or, where `texts`, [frames, texts]."""
    ill, well = [], []
    for film, span, a, b in found["films"]:
        for into, text in ((ill, a), (well, b)):
            into.append(score[film[span], text] if texts else score[film[span]])
    return auroc(ill, well)


def measured(copy: str, seed: int) -> dict[str, float]:
    """What a copy of the method and, with the full one, the rivals gave on digits."""
    data = make_sample("digit-films")
    with texts_hidden(copy == "blind"):
        method, _ = run("lagovad", data, DIGIT | COPIES[copy], seed)
        bench = Bench(data, method)
        out: dict[str, float] = {}
        for name, (texts, applies) in (("read", bench.read), ("unread", bench.unread)):
            found = bench.contested(texts, applies)
            out[name] = auroc(found["ill"], found["well"])
            out[f"{name} swapped"] = auroc(found["swapped ill"], found["swapped well"])
            out[f"{name} constant"] = auroc(found["constant ill"], found["constant well"])
            if copy == "full":
                out[f"{name} {WORD}"] = of_spans(found, classified(data, bench, texts), True)
                for rival, score in plain(data).items():
                    out[f"{name} {rival}"] = of_spans(found, score, False)
        films = bench.spans((0.1, 0.6))
        truth = np.concatenate([t for _, t, _ in films])
        out["span"] = float(roc_auc_score(truth, bench.judged(films)))
        if copy == "full":
            score = classified(data, bench, bench.read[0])
            both = np.concatenate([score[f, a] for f, _, a in films])
            out[f"span {WORD}"] = float(roc_auc_score(truth, both))
            for rival, each in plain(data).items():
                both = np.concatenate([each[f] for f, _, _ in films])
                out[f"span {rival}"] = float(roc_auc_score(truth, both))
        short = bench.spans((0.05, 0.10))
        truth = np.concatenate([t for _, t, _ in short])
        out["short"] = float(average_precision_score(truth, bench.judged(short)))
        with torch.no_grad():
            out["retrieval"] = bench.retrieval()
    return out


# -- heart films -----------------------------------------------------------------------------------
def hearts() -> Dataset:
    """The heart films with two words a frame: contracted or relaxed, by the outlined area within a
    clip (and two frames to either side of the two outlined ones of a whole film), and the third of
    the heart from base to apex.
    """
    folder = shared_data()
    assert folder is not None
    data = read(folder / "sunnybrook_cine_mri", name="heart films")
    whole = all_frames(data)
    area = whole.mask().sum((1, 2)).astype(float)
    frame = whole.frame.reset_index(drop=True)
    phase = np.full(len(frame), None, dtype=object)
    level = np.full(len(frame), None, dtype=object)
    for _, clip in frame.groupby("clip"):
        at = clip.sort_values("time_ms").index.to_numpy()
        known = at[area[at] > 0]
        if len(known) < 2 or area[known].min() == area[known].max():
            continue
        for word, k in (
            ("contracted", known[area[known].argmin()]),
            ("relaxed", known[area[known].argmax()]),
        ):
            middle = int(np.flatnonzero(at == k)[0])
            reach = 2 if len(at) > 4 else 0
            phase[at[[(middle + j) % len(at) for j in range(-reach, reach + 1)]]] = word
    for _, patient in frame.groupby("patient"):
        place = patient["position_mm"].to_numpy()
        third = np.searchsorted(np.quantile(place, [1 / 3, 2 / 3]), place, "right")
        size = area[patient.index]
        ends = [size[(third == t) & (size > 0)].mean() for t in (0, 2)]
        words = np.array(
            ["base", "middle", "apex"] if ends[0] > ends[1] else ["apex", "middle", "base"]
        )
        level[patient.index] = words[third]
    low = (whole.shape[-1] - SIDE) // 2
    middle_of = whole.raw()[..., low : low + SIDE, low : low + SIDE]
    table = frame.assign(phase=phase, level=level)
    roles = {**data.roles, "label": "phase"}
    return replace(
        data, samples=middle_of, masks=None, table=table, roles=roles, at=None, kept=None
    )


def heart_figures(seed: int, more: dict[str, Any]) -> dict[str, float]:
    """Mean over patients, each by what was learned, with `more` settings, from the other three."""
    data, each = hearts(), []
    for patient in sorted(set(data.groups)):  # type: ignore[arg-type]
        side = np.where(data.groups == patient, "test", "train")
        part = replace(
            data, table=data.table.assign(fold=side), roles=data.roles | {"split": "fold"}
        )
        method, _ = run("lagovad", part, HEART | more, seed)
        known = part.take(np.flatnonzero(part.labels >= 0))
        bench = Bench(known, method)
        texts, applies = bench.read
        found = bench.contested(texts, applies)
        one = {
            METHOD: auroc(found["ill"], found["well"]),
            "definitions of another film": auroc(found["swapped ill"], found["swapped well"]),
            WORD: of_spans(found, classified(part, bench, texts), True),
        }
        for rival, score in plain(known).items():
            one[rival] = of_spans(found, score, False)
        for word in ("phase", "level"):
            words = {"phase": ("contracted", "relaxed"), "level": ("base", "middle", "apex")}[word]
            some = [i for i, t in enumerate(texts) if t in words]
            of_word = bench.contested([texts[i] for i in some], applies[some])
            one[f"{word} only"] = auroc(of_word["ill"], of_word["well"])
        each.append(one)
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


# -- tables ----------------------------------------------------------------------------------------
def kept(folder: Path | None, name: str, seed: int) -> dict[str, float]:
    """The figures of a copy, or of the hearts, by a seed; from `folder` where they are there."""
    path = None if folder is None else folder / f"{name.replace(' ', '-')}-{seed}.json"
    if path is not None and path.exists():
        return dict(json.loads(path.read_text()))
    if name.endswith("hearts"):
        found = heart_figures(seed, NO_STEP if name.startswith("untrained") else {})
    else:
        found = measured(name, seed)
    print(name, seed, {k: round(v, 3) for k, v in found.items()}, flush=True)
    if path is not None:
        path.write_text(json.dumps(found))
    return found


def spread(found: list[dict[str, float]], key: str, name: str) -> dict[str, Any]:
    return row(name, over_seeds([f[key] for f in found]))


def decisions(folder: Path | None) -> list[dict[str, Any]]:
    """Tables of contested spans and their controls."""
    full, tables = [kept(folder, "full", s) for s in SEEDS], []
    blind, none = ([kept(folder, copy, s) for s in SEEDS] for copy in ("blind", "untrained"))
    measure = "AUROC of contested spans"
    for key, what in (("read", "read in training"), ("unread", "never read")):
        rows = [
            spread(full, key, METHOD),
            spread(full, f"{key} {WORD}", WORD),
            spread(blind, key, BLIND),
            spread(none, key, UNTRAINED),
            *(spread(full, f"{key} {rival}", rival) for rival in (PCA_RIVAL, GREY)),
        ]
        title = f"Does the definition decide, {what}? (range over three seeds)"
        tables.append(table(title, DIGITS, "test", FILMS, SEEDS, measure, rows, verdict(rows)))
        rows = [
            spread(full, key, "each film's own definitions"),
            spread(full, f"{key} swapped", "definitions of another film"),
            spread(blind, key, "the same network, trained and judged with one text"),
        ]
        title = f"Controls, definitions {what} (range over three seeds)"
        tables.append(table(title, DIGITS, "test", FILMS, SEEDS, measure, rows, verdict(rows)))
    return tables


def frames(folder: Path | None) -> list[dict[str, Any]]:
    """The table of single definitions, with a copy that never read any."""
    full, blind, none = (
        [kept(folder, copy, s) for s in SEEDS] for copy in ("full", "blind", "untrained")
    )
    rows = [
        spread(full, "span", METHOD),
        spread(full, f"span {WORD}", WORD),
        spread(blind, "span", BLIND),
        spread(none, "span", UNTRAINED),
        *(spread(full, f"span {rival}", rival) for rival in (PCA_RIVAL, GREY)),
    ]
    title = "Which frames are abnormal as defined? (range over three seeds)"
    return [table(title, DIGITS, "test", FILMS, SEEDS, "frame AUROC", rows, verdict(rows))]


def ablations(folder: Path | None) -> list[dict[str, Any]]:
    """Tables of what is lost without films put together, and without mined negatives."""
    full, tables = [kept(folder, "full", s) for s in SEEDS], []
    for key, copy, title, measure, names in (
        (
            "short",
            "no synthesis",
            "Spans of 5 to 10 % of a film: films put together or not (range over three seeds)",
            "frame average precision",
            ("trained on films put together", "trained on parts by themselves"),
        ),
        (
            "retrieval",
            "no mining",
            "Which of ten parts does a text mean? (range over three seeds)",
            "right at the first place",
            ("with mined negatives", "without"),
        ),
    ):
        other = [kept(folder, copy, s) for s in SEEDS]
        rows = [spread(full, key, names[0]), spread(other, key, names[1])]
        tables.append(table(title, DIGITS, "test", FILMS, SEEDS, measure, rows, verdict(rows)))
    return tables


def heart_tables(folder: Path | None) -> list[dict[str, Any]]:
    found = [kept(folder, "hearts", s) for s in SEEDS]
    none = [kept(folder, "untrained hearts", s) for s in SEEDS]
    names = (METHOD, WORD, PCA_RIVAL, GREY)
    rows = [spread(found, name, name) for name in names]
    rows.append(spread(none, METHOD, UNTRAINED))
    split, measure = "every patient by what the others taught", "AUROC of contested spans"
    title = "Heart films: does the definition decide? (range over three seeds)"
    first = table(title, HEARTS, split, FILMS, SEEDS, measure, rows, verdict(rows))
    rows = [
        spread(found, METHOD, "each film's own definitions"),
        spread(found, "level only", "of the level alone: base, middle, apex"),
        spread(found, "phase only", "of the phase alone: contracted, relaxed"),
        spread(found, "definitions of another film", "definitions of another film"),
    ]
    words = (
        f"The level is told with {rows[1]['value']:.3f}, the phase with {rows[2]['value']:.3f};"
        f" with the definitions of another film it is {rows[3]['value']:.3f}."
    )
    title = "Heart films: what is told (range over three seeds)"
    return [first, table(title, HEARTS, split, FILMS, SEEDS, measure, rows, words)]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for name in sys.argv[2:]:
        for seed in SEEDS:
            kept(folder, name, seed)
    parts = {"decisions": decisions, "frames": frames, "hearts": heart_tables}
    parts["ablations"] = ablations
    if len(sys.argv) < 3:
        for part in parts.values():
            if part is not heart_tables or shared_data() is not None:
                store_part("lagovad", part(folder))
