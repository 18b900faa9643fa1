"""Words as numbers however they were written: decimal commas, marks for thousands, bounds (“<0.5”),
units, signs.

Each different word of a column is looked at once, by pyarrow's regular expressions; what is decided
with doubt becomes a `Note`, which the dataset's rules and findings tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

SPACED = "[ '’\u00a0\u2007\u2009\u202f]"  # between groups of three digits
MINUS = "[\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d]"
INDIAN = r"\A-?[1-9]\d?(,\d{2})+,\d{3}(\.\d+)?\z"  # 12,34,567
GROUPS = r"\A-?[1-9]\d{0,2}"
SUFFIX = r"(?:%|‰|€|\$|£|¥|°C|[A-Za-zµμ°][A-Za-zµμ°/^*²³0-9.%-]{0,15})"
GLUED = (
    "%",
    "‰",
    "€",
    "$",
    "£",
    "¥",
    "°C",
    "mg",
    "kg",
    "g",
    "ml",
    "mL",
    "l",
    "cm",
    "mm",
    "mmHg",
    "bpm",
    "ms",
)
FLAGS = r"(?:HH?|LL?|\*{1,3}|[!†‡↑↓]{1,2})"  # how laboratories mark what is high, low or noted
SPELT = {
    "ug": "µg",
    "mcg": "µg",
    "μg": "µg",
    "ul": "µl",
    "μl": "µl",
    "um": "µm",
    "μm": "µm",
    "day": "days",
    "week": "weeks",
    "wk": "weeks",
    "wks": "weeks",
    "month": "months",
    "mo": "months",
    "mos": "months",
    "year": "years",
    "yr": "years",
    "yrs": "years",
    "hour": "hours",
    "hr": "hours",
    "hrs": "hours",
    "minute": "min",
    "minutes": "min",
    "mins": "min",
    "tag": "Tage",
    "monat": "Monate",
    "jahr": "Jahre",
    "woche": "Wochen",
    "unit": "units",
}
CODED = r"\A([A-Za-z]{1,3}[-. ]?\d[\d.]*|\d[\d.]*[A-Za-z])\z"
MOST_WORDS = 0.5  # of the values: with more words among them it is no column of numbers
# so large a share of numbers, or so many different ones, make words among them a fault
SURE, SPREAD = 0.9, 12
KEPT_ROWS = 1000  # rows that are listed with a note


@dataclass(frozen=True)
class Note:
    """Something about a column that was decided with doubt: `kind`, the words it is about and how
    often each, the first rows (positions) and how many there are.
    """

    kind: str
    column: str
    words: dict[str, int]
    rows: list[int]
    count: int


@dataclass(frozen=True)
class Marks:
    """Which decimal marks the columns of a file prove, and its separator: what speaks where a
    column alone does not.
    """

    point: bool = False
    comma: bool = False
    separator: str = ","


@dataclass(frozen=True)
class Written:
    """How the different words [k] of a column are written; bool [k] masks. `text`: without signs,
    spaces and units.
    """

    text: pa.Array
    bound: np.ndarray  # "<", ">" or "" of each
    unit: np.ndarray  # what stood behind (or the currency in front), or ""
    whole: np.ndarray  # digits only
    power: np.ndarray  # 2E5
    points: np.ndarray  # a point proves itself a decimal mark: 4.1
    commas: np.ndarray
    either_point: np.ndarray  # 4.100
    either_comma: np.ndarray  # 4,100
    thousand_points: np.ndarray  # 1.100,50 or 1.100.200
    thousand_commas: np.ndarray
    infinite: np.ndarray
    spaced: np.ndarray  # 1 100 or 1'100
    turned: np.ndarray  # (1.5) or 1.5-: negative
    flagged: np.ndarray  # 5.8 H or 5.8*
    about: np.ndarray  # ~5 or ca. 5

    @property
    def number(self) -> np.ndarray:
        """`bool [k]`: numbers, however their commas are read."""
        return (
            self.whole
            | self.power
            | self.points
            | self.commas
            | self.either_point
            | self.either_comma
            | self.thousand_points
            | self.thousand_commas
            | self.infinite
        )

    @property
    def proves_comma(self) -> bool:
        """Whether some value can only be read with a comma as the decimal mark."""
        return bool((self.commas | self.thousand_points).any())

    @property
    def proves_point(self) -> bool:
        """Whether some value can only be read with a point as the decimal mark."""
        return bool((self.points | self.thousand_commas).any())


def written(words: pa.Array) -> Written:
    """How each of these different words (no nulls) is written."""
    text = pc.replace_substring_regex(words, r"\A'([-+\d.,].*)\z", r"\1")
    text = pc.replace_substring_regex(text, rf"\A{MINUS}\s*([\d.,])", r"-\1")
    found = pc.extract_regex(text, r"\A(?P<b><=|>=|=<|=>|<|>|≤|≥|⩽|⩾)\s*(?P<n>[-+]?[\d.,].*)\z")
    below = (
        pc.fill_null(pc.struct_field(found, "b"), "").to_numpy(zero_copy_only=False).astype(object)
    )
    text = pc.coalesce(pc.struct_field(found, "n"), text)
    ten = r"\s*[x×*·]\s*10\s*(?:\^|\*\*)\s*\(?([-+]?\d{1,2})\)?\z"  # 1.5 x 10^3
    text = pc.replace_substring_regex(text, rf"\A([-+]?\d+){ten}", r"\1.0E\2")
    text = pc.replace_substring_regex(text, rf"\A([-+]?[\d.,]+){ten}", r"\1E\2")
    text, turned = _turned(text)
    text, flagged = _without_flags(text)
    text, about = _without_about(text)
    behind = _match(text, r"\A\d[\d.,]*\s*\+\z")
    text = pc.replace_substring_regex(text, r"\A(\d[\d.,]*)\s*\+\z", r"\1")
    bound = np.array(
        [
            w.translate({ord("≤"): "<", ord("⩽"): "<", ord("≥"): ">", ord("⩾"): ">"}).strip("=")
            for w in below
        ]
    )
    bound = np.where(behind & (bound == ""), ">", bound)
    text = pc.replace_substring_regex(text, r"\A([-+])\s+(\d)", r"\1\2")
    text = pc.replace_substring_regex(text, r"\A\+([\d.,])", r"\1")
    text, unit = _without_units(text)
    spaced = _match(text, rf"{GROUPS}({SPACED}\d{{3}})+([.,]\d+)?\z")
    text = pc.if_else(pa.array(spaced), pc.replace_substring_regex(text, SPACED, ""), text)
    power = r"([eE][-+]?\d+)?\z"
    points = _match(text, rf"\A-?(\d+\.\d*|\.\d+){power}")
    commas = _match(text, rf"\A-?(\d+,\d*|,\d+){power}")
    either_point = points & ~spaced & _match(text, rf"{GROUPS}\.\d{{3}}\z")
    either_comma = commas & ~spaced & _match(text, rf"{GROUPS},\d{{3}}\z")
    return Written(
        text,
        bound,
        unit,
        whole=_match(text, r"\A-?\d+\z"),
        power=_match(text, r"\A-?\d+[eE][-+]?\d+\z"),
        points=points & ~either_point,
        commas=commas & ~either_comma,
        either_point=either_point,
        either_comma=either_comma,
        thousand_points=_match(text, rf"{GROUPS}((\.\d{{3}})+,\d+|(\.\d{{3}}){{2,}})\z"),
        thousand_commas=_match(text, rf"{GROUPS}((,\d{{3}})+\.\d+|(,\d{{3}}){{2,}})\z")
        | _match(text, INDIAN),
        infinite=_match(text, r"(?i)\A-?inf(inity)?\z"),
        spaced=spaced,
        turned=turned,
        flagged=flagged,
        about=about,
    )


def _without_about(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """~5 and ca. 5 without what says that they are rough, and which those are."""
    found = pc.extract_regex(
        text, r"(?i)\A(?:~|≈|≃|ca\.?|circa|approx\.?|about|etwa)\s*(?P<n>[-+]?[\d.,]+.*)\z"
    )
    bare = pc.struct_field(found, "n")
    return pc.coalesce(bare, text), np.asarray(pc.is_valid(bare))


def _turned(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the words with a minus in front where they are negative as bookkeepers write it, (1.5)
    or 1.5-, and which those are.
    """
    number = r"[€$£¥]?\s*[\d.,][\d.,'’ \x{a0}\x{2009}\x{202f}]*%?"
    turned = _match(text, rf"\A\(\s*{number}\s*\)\z") | _match(
        text, rf"\A{number}\s?(?:-|{MINUS})\z"
    )
    text = pc.replace_substring_regex(text, rf"\A\(\s*({number})\s*\)\z", r"-\1")
    text = pc.replace_substring_regex(text, rf"\A({number})\s?(?:-|{MINUS})\z", r"-\1")
    return pc.replace_substring_regex(text, r"\A-([€$£¥])\s*", r"\1-"), turned


def _without_flags(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the words without a laboratory's marks (5.8 H, 2.1 L, 7*) behind them, and which had
    one; as they are where every word has one, or a single letter that may be a unit.
    """
    found = pc.extract_regex(text, rf"\A(?P<n>[-+]?[\d.,]+)\s*(?P<f>{FLAGS})\z")
    flags = (
        pc.fill_null(pc.struct_field(found, "f"), "").to_numpy(zero_copy_only=False).astype(object)
    )
    flagged = flags != ""
    kinds = set(flags[flagged])
    bare = _match(text, r"\A[-+]?[\d.,]+\z")
    if not bare.any() or kinds <= {"H"} or kinds <= {"L"}:
        return text, np.zeros(len(text), bool)
    return pc.coalesce(pc.struct_field(found, "n"), text), flagged


def _without_units(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the words without the one unit (or currency, or percent sign) that stands behind or
    before all that have one, and that unit; as they are where there are several.
    """
    none = np.full(len(text), "", dtype=object)
    number = r"[-+]?[\d.,][\d.,'’ \x{a0}\x{2009}\x{202f}]*"
    found = pc.extract_regex(
        text, rf"\A(?P<n>{number}?)(?P<s>[ \x{{a0}}\x{{2009}}\x{{202f}}]*)(?P<u>{SUFFIX})\z"
    )
    money = pc.extract_regex(text, rf"\A(?P<u>[€$£¥])\s*(?P<n>{number})\z")
    unit = pc.coalesce(pc.struct_field(found, "u"), pc.struct_field(money, "u"))
    glued = np.asarray(pc.fill_null(pc.equal(pc.struct_field(found, "s"), ""), False))
    power = np.asarray(pc.fill_null(pc.match_substring_regex(unit, r"\A[eE][-+]?\d+\z"), False))
    said = _unify_units(unit.to_numpy(zero_copy_only=False))
    known = np.array([u is not None for u in said]) & ~power
    known &= ~glued | np.isin(np.array([u or "" for u in said]), GLUED)
    if len(set(said[known])) != 1:
        return text, none
    bare = pc.coalesce(pc.struct_field(found, "n"), pc.struct_field(money, "n"), text)
    return pc.if_else(pa.array(known), bare, text), np.where(known, said, "")


def _unify_units(units: np.ndarray) -> np.ndarray:
    """Units with one spelling each: the most frequent of those that differ in capitals only, µg for
    ug.
    """
    plain = [None if u is None else SPELT.get(u.lower(), u) for u in units]
    usual: dict[str, str] = {}
    for word, _ in Counter(u for u in plain if u).most_common():
        usual.setdefault(word.casefold(), word)
    return np.array([None if u is None else usual[u.casefold()] for u in plain], dtype=object)


def _match(words: pa.Array, pattern: str) -> np.ndarray:
    return pc.match_substring_regex(words, pattern).to_numpy(zero_copy_only=False)


@dataclass
class Read:
    """Words [k] as numbers float64 [k] or int64 [k] (words: NaN), and how they were read."""

    values: np.ndarray
    word: np.ndarray  # bool [k]: no number
    comma: bool = False  # a comma was a decimal mark
    thousands: str = ""  # the marks that stood for thousands; a space for spaces and apostrophes
    unit: str = ""
    # kinds of notes; "undecided": a person has to say
    doubts: list[str] = field(default_factory=list)


def numbers(w: Written, counts: np.ndarray, marks: Marks) -> Read | None:
    """Return the words as numbers, or None where they are words; `counts` [k]: how often each
    stands in the column.
    """
    number = w.number
    if _codes(w, number) or not _mostly(w, number, counts):
        return None
    doubts: list[str] = []
    point_splits, comma_splits = _thousands(w, marks, doubts)
    text = w.text
    drop = (w.either_point & point_splits) | w.thousand_points
    text = pc.if_else(pa.array(drop), pc.replace_substring(text, ".", ""), text)
    drop = (w.either_comma & comma_splits) | w.thousand_commas
    text = pc.if_else(pa.array(drop), pc.replace_substring(text, ",", ""), text)
    decimal = w.commas | (w.either_comma & (not comma_splits)) | w.thousand_points
    text = pc.replace_substring(text, ",", ".")
    text = pc.if_else(pa.array(number), text, pa.scalar(None, pa.string()))
    if (w.unit != "").any() and (number & (w.unit == "") & ~w.infinite).any():
        doubts.append("units")
    points = (point_splits and w.either_point.any()) or w.thousand_points.any()
    commas = (comma_splits and w.either_comma.any()) or w.thousand_commas.any()
    mark = "." * bool(points) + "," * bool(commas) + " " * bool(w.spaced.any())
    unit = next((str(u) for u in w.unit if u), "")
    return Read(_values(text), ~number, bool(decimal.any()), mark, unit, doubts)


def _values(text: pa.Array) -> np.ndarray:
    if not text.null_count:
        try:
            return pc.cast(text, pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            pass
    return pd.to_numeric(
        pd.Series(text.to_numpy(zero_copy_only=False), dtype=object), errors="coerce"
    ).to_numpy(float)


def _codes(w: Written, number: np.ndarray) -> bool:
    """Digits that are names: with zeros in front, longer than a float holds, or all like 1E1."""
    if _match(w.text, r"\A0[0-9]")[number].any() or _match(w.text, r"\A-?\d{20,}\z").any():
        return True
    return bool(number.any()) and bool(_match(w.text, r"\A\d{1,4}[eE]\d{1,3}\z")[number].all())


def _mostly(w: Written, number: np.ndarray, counts: np.ndarray) -> bool:
    """Whether this is a column of numbers: only a few words among them, and those not as various as
    names are.
    """
    plain, bound = number & (w.bound == ""), number & (w.bound != "")
    n, b, rest = int(counts[plain].sum()), int(counts[bound].sum()), int(counts[~number].sum())
    if n == 0 or (b and n < b and plain.sum() < 5):
        return False
    if not rest:
        return True
    coded = ~number & _match(w.text, CODED)
    if counts[coded].sum() > rest / 2:  # V45 and E11 among 250.0: codes of diagnoses
        return False
    share = (n + b) / (n + b + rest)
    names = rest > 5 and (~number).sum() > rest / 2 and share < SURE
    return share >= MOST_WORDS and not names and (share >= SURE or plain.sum() > SPREAD)


def _thousands(w: Written, marks: Marks, doubts: list[str]) -> tuple[bool, bool]:
    """Whether the points of 4.100 and the commas of 4,100 mark thousands. What other words of the
    column prove counts first, then what other columns of the file prove; what is left is a doubt.
    """
    either = bool(w.either_point.any()), bool(w.either_comma.any())
    if w.proves_comma and w.proves_point:
        doubts.append("two decimal marks")
        return False, False
    if w.proves_comma or w.proves_point or not any(either):
        return w.proves_comma, w.proves_point
    if all(either):
        doubts.append("decimal or thousands")
        return False, False
    whole = np.abs(pc.cast(w.text.filter(pa.array(w.whole)), pa.float64()).to_numpy())
    if (whole >= 1000).any():  # thousands without a mark stand beside it
        return False, False
    if marks.comma != marks.point:
        return (marks.comma, False) if either[0] else (False, marks.point)
    if either[0] and marks.separator in (",", "parquet", "no header") and not marks.comma:
        return False, False
    hundreds = bool((whole >= 100).any())  # 950 beside 1,100
    undecided = either[1] and not hundreds and marks.separator != ";"
    doubts.append("undecided" if undecided else "decimal or thousands")
    return (hundreds, False) if either[0] else (False, marks.separator != ";")


def notes_of(
    column: str, read: Read, w: Written, words: list[str], codes: np.ndarray, counts: np.ndarray
) -> list[Note]:
    """Return what has to be told of a column that was read as numbers. `codes` [n]: which word each
    row has, -1 = missing.
    """

    def note(kind: str, which: np.ndarray) -> Note:
        at = np.flatnonzero(which)
        rows = np.flatnonzero(np.isin(codes, at))
        order = at[np.argsort(-counts[at], kind="stable")][:20]
        return Note(
            kind,
            column,
            {words[j]: int(counts[j]) for j in order},
            rows[:KEPT_ROWS].tolist(),
            len(rows),
        )

    found = []
    if (bound := (w.bound != "") & ~read.word).any():
        found.append(note("bounds", bound))
    if read.word.any():
        found.append(note("words", read.word))
    for kind, which in (("negatives", w.turned), ("flags", w.flagged), ("about", w.about)):
        if (which & ~read.word).any():
            found.append(note(kind, which & ~read.word))
    for doubt in read.doubts:
        which = (w.unit != "") if doubt == "units" else w.either_point | w.either_comma
        which = which if which.any() else w.commas
        found.append(note(doubt, which & ~read.word))
    return found


def combined(written_: Collection[Written], separator: str) -> Marks:
    """Which decimal marks these columns prove together."""
    return Marks(
        any(w.proves_point for w in written_), any(w.proves_comma for w in written_), separator
    )
