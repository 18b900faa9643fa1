"""Windows: which stored values are drawn black and which white. They change what is seen, never
what a model is given.

A choice is a word ("lung", "auto", ...), or level and width as "-600,1500", in the values of the
files (deep pictures are stored in 256 levels of them); "" = what suits the data. A window of level
L and width W draws L - W/2 black and L + W/2 white, linear between (DICOM's LINEAR_EXACT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.data.dataset import Dataset

AIR = -500.0  # no MR, X-ray or photograph has values below it as its low end
PERCENT = (1.0, 99.0)  # of one case's values, for "auto"
SIDES = ("radiological", "neurological")


@dataclass(frozen=True)
class Window:
    """`level` is the value drawn mid grey, `width` (> 0) the span from black to white, both in
    stored values (HU, ...), or in those of the files (`in_file_units`).
    """

    level: float
    width: float

    @property
    def low(self) -> float:
        """The value that is shown black."""
        return self.level - self.width / 2

    @property
    def words(self) -> str:
        """“W 1500 L -600”, as printed on pictures."""
        return f"W {format_value(self.width)} L {format_value(self.level)}"


@dataclass(frozen=True)
class DisplaySettings:
    """How the user wants pictures: the choice of `window`, and the `side` they are shown from:
    "radiological" (the patient's right at the left edge) or "neurological" (at the right edge).
    """

    window: str = ""
    side: str = "radiological"


HU = {
    "lung": Window(-600, 1500),
    "bone": Window(300, 2000),
    "brain": Window(40, 80),
    "soft": Window(40, 400),
}
WORDS = {
    "lung": "Lung",
    "bone": "Bone",
    "brain": "Brain",
    "soft": "Soft tissue",
    "file": "From file",
    "auto": "Auto",
    "range": "Full range",
}
HELPS = {
    "lung": "CT lung: width 1500, level -600 HU",
    "bone": "CT bone: width 2000, level 300 HU",
    "brain": "CT brain: width 80, level 40 HU",
    "soft": "CT soft tissue: width 400, level 40 HU",
    "file": "The window written in the files",
    "auto": "From the 1st to the 99th percentile of this case",
    "range": "The range the model is given, the same for all cases",
}


def format_value(value: float) -> str:
    """Return a value as printed beside W and L: no decimals from 100 on, three figures below."""
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def parse_window(words: object) -> str:
    """`words` as a choice, or "" when it is none: from a URL anything may come."""
    words = str(words or "").strip()
    if words in WORDS:
        return words
    try:
        level, width = (float(v) for v in words.split(","))
    except ValueError:
        return ""
    return f"{level:.6g},{width:.6g}" if np.isfinite([level, width]).all() and width > 0 else ""


def _file_window(data: Dataset) -> Window | None:
    given = data.card.get("window")
    if not (isinstance(given, (list, tuple)) and len(given) == 2):
        return None
    level, width = float(given[0]), float(given[1])
    return Window(level, width) if np.isfinite([level, width]).all() and width > 0 else None


def may_be_ct(data: Dataset) -> bool:
    """Whether values are Hounsfield units, or of an unnamed unit (NIfTI names none) and as low as
    the air around a patient in CT.
    """
    return data.card.get("unit") == "HU" or (
        not data.card.get("unit") and data.input_range[0] <= AIR
    )


def offered_windows(data: Dataset) -> list[str]:
    """Return the words that mean something for this data, in the order of the buttons. CT presets
    where values are or may be Hounsfield units.
    """
    return (
        (["file"] if _file_window(data) else [])
        + (list(HU) if may_be_ct(data) else [])
        + ["auto", "range"]
    )


def default_window(data: Dataset) -> str:
    """Return the word for "": the file's own window, soft tissue for CT, the full range of 8-bit
    and colour pictures, else percentiles.
    """
    if _file_window(data):
        return "file"
    if data.card.get("unit") == "HU":
        return "soft"
    plain = data.samples is None or np.dtype(data.samples.dtype) == np.uint8 or data.shape[0] >= 3
    return "range" if plain or data.input_range == (0.0, 1.0) else "auto"


def choose_window(data: Dataset, choice: str) -> str:
    """`choice` where this data offers it (numbers always), else what is usual."""
    return choice if "," in choice or choice in offered_windows(data) else default_window(data)


def find_window(data: Dataset, choice: str, values: np.ndarray) -> Window:
    """Return the window of one case whose stored values, of any shape, are `values`."""
    word = choose_window(data, parse_window(choice))
    if "," in word:
        level, width = (float(number) for number in word.split(","))
        step, first = file_scale(data)
        return Window((level - first) / step, width / step)
    if word in HU:
        return HU[word]
    own = _file_window(data)
    if word == "file" and own is not None:
        return own
    return percentile_window(values) if word == "auto" else window_between(*data.input_range)


def file_scale(data: Dataset) -> tuple[float, float]:
    """Return (a, b): the stored value v is a v + b in the files; (1, 0) but for deep pictures,
    which are stored in 256 levels.
    """
    found = data.card.get("grey range")
    if not found:
        return 1.0, 0.0
    low, high = (float(end) for end in found)
    return (high - low) / 255, low


def in_file_units(at: Window, data: Dataset) -> Window:
    """Return the window `at`, of stored values, in the values of the files."""
    step, first = file_scale(data)
    return Window(at.level * step + first, at.width * step)


def window_between(low: float, high: float) -> Window:
    """Return the window from `low` (black) to `high` (white)."""
    return Window((low + high) / 2, high - low if high > low else 1.0)


def percentile_window(values: np.ndarray) -> Window:
    """From the 1st to the 99th percentile of the finite values; from the least to the largest when
    those are alike.
    """
    there = np.asarray(values)
    there = there[np.isfinite(there)]
    if not there.size:
        return Window(0.5, 1.0)
    low, high = (float(v) for v in np.percentile(there, PERCENT))
    return (
        window_between(low, high)
        if high > low
        else window_between(float(there.min()), float(there.max()))
    )


def apply_window(values: np.ndarray, at: Window) -> np.ndarray:
    """float32 in [0, 1] of the same shape: 0 = black, 1 = white."""
    out = np.asarray(values, dtype=np.float32) - np.float32(at.low)
    out /= np.float32(at.width)
    return np.clip(out, 0.0, 1.0, out=out)
