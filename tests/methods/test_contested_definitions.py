"""What LaGoVAD's figures of contested spans say of who reads no word, and of who knows all."""

from __future__ import annotations

import numpy as np
import pytest

from core.methods.anomaly import _lagovad_figures as figures
from tests.methods.test_lagovad import maker


class Judge:
    """Stands in for a fitted method: frames' logits by `answer(positions, text)`."""

    definitions_ = ["normal"]

    def __init__(self, answer):
        self.answer = answer

    def judge_films(self, z, films, sets):
        for film, (_, text) in zip(films, sets):
            yield film, self.answer(film, text), np.zeros((len(film), 2))


def of_contested(answer):
    """Figures by name of a method that answers so, on films put together of four kinds."""
    made, texts = maker(), maker().texts
    words, applies = texts.texts[2:], texts.applies[2:]
    rng = np.random.default_rng(0)
    scores = figures.contested_scores(Judge(answer), made, np.zeros(400), words, applies, rng)
    found = figures._figures(scores, "test", "all")
    names = ["own", "another film", "one text"]
    assert all(name in m.name for name, m in zip(names[1:], found[1:]))
    return dict(zip(names, (m.value for m in found)))


def test_who_reads_no_word_is_a_coin_and_who_knows_all_is_right():
    kind, texts = np.repeat(np.arange(40) % 4, 10), maker().texts
    applies = dict(zip(texts.texts, texts.applies)) | {"something": np.zeros(4, bool)}
    blind = of_contested(lambda film, text: np.sin(film.astype(float)))
    assert blind == dict.fromkeys(blind, 0.5)
    oracle = of_contested(lambda film, text: applies[text][kind[film]].astype(float))
    assert oracle["own"] == 1
    assert oracle["another film"] < 0.75
    assert oracle["one text"] == 0.5
    by_length = of_contested(lambda film, text: np.full(len(film), float(len(text))))
    assert by_length["one text"] == 0.5  # all films have the same one
    rng = np.random.default_rng(1)
    noise = of_contested(lambda film, text: rng.normal(size=len(film)))
    assert noise["one text"] == pytest.approx(0.5, abs=0.1)
    assert noise["one text"] != 0.5  # each judged by itself, no list against itself
