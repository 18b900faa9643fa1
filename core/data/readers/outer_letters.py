"""The first two letters and the last one of many words, looked at before the words as a whole: of a
column of numbers they tell that there are no spaces, marks of missing values, plus signs or codes
such as 007 to be looked for, each of which costs a pass over all letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NONE = ord("!")  # stands for a letter that a word is too short for


@dataclass(frozen=True)
class Outer:
    """What the outer letters of words say; False only where it is sure that there is none such.

    spaces: around a word (or letters beyond ASCII, which may be spaces). plus: in front of one.
    zeros: a word begins as 007 or 0x1F. others: for each piece of the words, the positions of those
    that do not begin and end as numbers in digits do.
    """

    spaces: bool
    plus: bool
    zeros: bool
    others: list[np.ndarray]

    @property
    def numbers(self) -> bool:
        """Whether all words begin and end as numbers in digits do."""
        return not any(map(len, self.others))


def read_outer_letters(words: pa.ChunkedArray) -> Outer:
    """Return what the outer letters of words (pyarrow's strings; missing ones count as empty)
    say.
    """
    spaces, plus, zeros, others = False, False, False, []
    for piece in words.chunks:
        first, second, last = _outer_letters(piece)
        spaces = spaces or _have_spaces(first) or _have_spaces(last)
        plus = plus or bool((first == ord("+")).any())
        digits = _are_digits(second)
        zero = first == ord("0")
        zeros = zeros or bool((zero & (digits | (second | 32 == ord("x")))).any())
        signed = (first == ord("-")) | (first == ord(".")) | (first == ord("+"))
        begins = _are_digits(first) | (signed & digits)
        others.append(np.flatnonzero(~(begins & _are_digits(last))))
    return Outer(spaces, plus, zeros, others)


def _are_digits(letters: np.ndarray) -> np.ndarray:
    return letters - np.uint8(ord("0")) < 10  # what is less begins anew from 255


def _have_spaces(letters: np.ndarray) -> bool:
    return bool((letters - np.uint8(33) >= 95).any())  # all but the visible ones of ASCII


def _outer_letters(words: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first, the second and the last byte of each word."""
    _, ends, letters = words.buffers()
    if not len(words) or letters is None or not letters.size:
        return (np.full(len(words), NONE, np.uint8),) * 3
    at = np.frombuffer(ends, np.int32)[words.offset : words.offset + len(words) + 1].astype(np.intp)
    sizes, every = np.diff(at), np.frombuffer(letters, np.uint8)
    shortest = int(sizes.min())

    def take(where: np.ndarray, longer: int) -> np.ndarray:
        """Take the letters at these places, of words of more than `longer` bytes."""
        if shortest > longer:
            return every.take(where)
        return np.where(sizes > longer, every.take(where, mode="clip"), np.uint8(NONE))

    return take(at[:-1], 0), take(at[:-1] + 1, 1), take(at[1:] - 1, 0)


def find_words(words: pa.ChunkedArray, outer: Outer, wanted: pa.Array) -> pa.ChunkedArray:
    """Whether each word is one of `wanted`, none of which begins and ends as numbers in digits
    do.
    """
    return pa.chunked_array(list(_are_wanted(words, outer, wanted)), pa.bool_())


def _are_wanted(words: pa.ChunkedArray, outer: Outer, wanted: pa.Array) -> Iterator[pa.Array]:
    for piece, others in zip(words.chunks, outer.others):
        if 2 * len(others) > len(piece):
            yield pc.is_in(piece, value_set=wanted)
            continue
        found = np.zeros(len(piece), bool)
        if len(others):
            found[others] = pc.is_in(piece.take(pa.array(others)), value_set=wanted)
        yield pa.array(found)
