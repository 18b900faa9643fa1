"""Units of signals as they are written on screen, and voltages brought to one."""

from __future__ import annotations

VOLTS = {"V": 1e6, "mV": 1e3, "µV": 1.0, "nV": 1e-3}  # in µV
SPELT = {
    "uv": "µV",
    "µv": "µV",
    "microv": "µV",
    "uvolt": "µV",
    "microvolt": "µV",
    "microvolts": "µV",
    "mv": "mV",
    "mvolt": "mV",
    "millivolt": "mV",
    "millivolts": "mV",
    "v": "V",
    "volt": "V",
    "volts": "V",
    "nv": "nV",
    "nanovolt": "nV",
    "nanovolts": "nV",
}
NONE = ("nu", "adu", "n/a", "none", "a.u.", "au")


def format_unit(word: str) -> str:
    """Return a unit as it is written on screen: uV and µV are one, unknown ones (NU) are none."""
    word = "".join(c for c in word.strip() if c.isprintable())[:12].replace("μ", "µ")
    word = SPELT.get(word.lower(), word)
    return "" if word.lower() in NONE else word


def convert_to_microvolts(word: str) -> float | None:
    """Microvolts in one of a unit as `format_unit` writes it; None for what is no voltage."""
    return VOLTS.get(word)
