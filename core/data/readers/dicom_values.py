"""Values of elements of a DICOM header, read by pydicom: as words, as numbers."""

from __future__ import annotations

import math
from collections.abc import MutableSequence
from functools import lru_cache
from typing import Any

import numpy as np

from core.data.readers.dicom_file import tag_of

# types of elements that hold words of the standard and numbers, and no names: most files of a
# series say the same in them
REPEATED = frozenset(("CS", "DS", "IS", "US"))


def read_inner(header: Any, keyword: str) -> Any:
    """Return the first item of a sequence; None where there is none."""
    sequence = read_value(header, keyword)
    return sequence[0] if sequence is not None and len(sequence) else None


def read_value(header: Any, keyword: str) -> Any:
    """Return what pydicom's `get` does, quicker where there is no such element."""
    tag, there = tag_of(keyword), header.keys()
    return header[tag].value if tag in there else None


def read_texts(header: Any, keyword: str) -> list[str]:
    """Return the values of an element as words; none where it is missing or holds what cannot be
    read.
    """
    tag, there = tag_of(keyword), header.keys()
    if tag not in there:
        return []
    try:
        raw = header.get_item(tag)
        if getattr(raw, "VR", None) in REPEATED and isinstance(raw.value, bytes):
            return list(_texts_of(tag, raw.VR, raw.value, *raw[5:7]))
        value = header[tag].value
    except Exception:  # a value that cannot be what its element holds counts as not said
        return []
    return _as_texts(value)


def _as_texts(value: Any) -> list[str]:
    if value is None:
        return []
    # a person's name is iterable too
    return [str(v) for v in value] if isinstance(value, MutableSequence) else [str(value).strip()]


@lru_cache(4096)
def _texts_of(tag: Any, kind: str, value: bytes, implicit: bool, little: bool) -> tuple[str, ...]:
    """Return what pydicom reads in an element, once for all files that say the same."""
    from pydicom.dataelem import RawDataElement, convert_raw_data_element

    raw = RawDataElement(tag, kind, len(value), value, 0, implicit, little)
    return tuple(_as_texts(convert_raw_data_element(raw).value))


def read_text(header: Any, keyword: str) -> str:
    """Return an element as words, its values parted by backslashes; "" where it is missing."""
    return "\\".join(read_texts(header, keyword)).strip()


def read_numbers(header: Any, keyword: str) -> np.ndarray:
    """Finite numbers of an element; empty where it is missing or holds anything else."""
    try:
        values = [float(w) for w in read_texts(header, keyword)]
    except ValueError:
        return np.zeros(0)
    return np.array(values) if all(map(math.isfinite, values)) else np.zeros(0)


def read_number(header: Any, keyword: str, default: float) -> float:
    """Return the first number of an element; `default` where there is none."""
    values = read_numbers(header, keyword)
    return float(values[0]) if len(values) else default


def read_whole_number(header: Any, keyword: str, default: int) -> int:
    """Return the first number of an element, `default` where there is none; 0 for a fraction."""
    value = read_number(header, keyword, float(default))
    return int(value) if value == int(value) else 0
