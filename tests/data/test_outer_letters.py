"""What the outer letters of words tell is what a look at the whole words tells."""

from __future__ import annotations

import random
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from core.data.readers.column_types import MARKS
from core.data.readers.outer_letters import find_words, read_outer_letters

NUMBER = re.compile(r"[-+.]?[0-9](.*[0-9])?", re.DOTALL)


def pieces(words: list[str | None]) -> pa.ChunkedArray:
    """The words in pieces of a third, each of which begins within its memory."""
    third = len(words) // 3
    parts = (words[:third], words[third : 2 * third], words[2 * third :])
    return pa.chunked_array([pa.array(["x", *p], pa.string()).slice(1) for p in parts])


@pytest.mark.parametrize("seed", range(20))
def test_outer_letters_of_any_words(seed: int) -> None:
    rng = random.Random(seed)
    letters = "0123456789" if seed % 4 == 0 else "00179.-+eExX 'ä\u2009"
    words = ["".join(rng.choices(letters, k=rng.randint(seed % 2, 5))) for _ in range(99)]
    outer = read_outer_letters(pieces(words))
    zeros = [re.match(r"0[0-9xX]", w) for w in words]
    assert outer.zeros == any(zeros)
    assert outer.plus == any(w.startswith("+") for w in words)
    assert outer.spaces or all(w == w.strip() for w in words)
    assert not outer.spaces or any(w != w.strip() or not w.isascii() for w in words)
    begins = np.cumsum([0, *map(len, pieces(words).chunks)])
    others = [int(k + i) for k, part in zip(begins, outer.others) for i in part]
    assert others == [i for i, w in enumerate(words) if not NUMBER.fullmatch(w)]


def test_marks_of_missing_values_are_found_by_their_outer_letters() -> None:
    """None of the marks begins and ends as a number does, or it would not be looked for."""
    marks = MARKS.to_pylist()
    words = [*marks, *("1", "-0.5", "12e3", "x", None) * len(marks)]
    many = pieces(words)
    assert len(np.concatenate(read_outer_letters(pieces(marks)).others)) == len(marks)
    found = find_words(many, read_outer_letters(many), MARKS)
    assert found.equals(pc.is_in(many, value_set=MARKS))


def test_no_words_have_no_outer_letters() -> None:
    none = pa.chunked_array([pa.array([], pa.string()), pa.array(["", ""], pa.string())])
    outer = read_outer_letters(none)
    assert (outer.spaces, outer.plus, outer.zeros, outer.numbers) == (False, False, False, False)
    assert find_words(none, outer, MARKS).to_pylist() == [True, True]
