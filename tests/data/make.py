"""Small valid files made by code: what tests read, and what is damaged on purpose to see that
nothing but a sentence comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CANARIES = {
    "name": "Zanzibarski",
    "id": "MRN7734501",
    "born": "02-MAY-1951",
    "recording": "PSG1234XYZ",
    "technician": "Quokkason",
    "date": "17.03.94",
    "time": "21.47.33",
}


def edf(
    signals: np.ndarray,
    rate: float = 128,
    labels: Sequence[str] = (),
    units: Sequence[str] = (),
    marks: Sequence[tuple[float, float, str]] = (),
    seconds: float = 1.0,
    begins: Sequence[float] | None = None,
    bdf: bool = False,
    patient: str | None = None,
    **fields: bytes,
) -> bytes:
    """An EDF file (`bdf`: BDF) of signals [C,n] at `rate` Hz in records of `seconds`, its header
    full of made-up canaries (`patient` replaces that field).

    `marks` (start, length, text) or `begins` (when each record begins: an interrupted recording)
    add an annotation signal. `fields` are bytes that replace a field of the header whatever it
    should be: version, patient, recording, date, time, size, reserved, records, duration, count (of
    signals), samples (a record, of the first signal).
    """
    per, width = round(rate * seconds), 3 if bdf else 2
    count = signals.shape[1] // per
    top = 2 ** (8 * width - 1) - 1
    reach = [max(1.0, float(np.ceil(np.abs(s).max()))) for s in signals]
    numbers = [
        np.round(s[: count * per] / r * top).astype("<i4").reshape(count, per)
        for s, r in zip(signals, reach)
    ]
    onsets = np.arange(count) * seconds if begins is None else np.asarray(begins, float)
    plus, kind = bool(marks) or begins is not None, "BDF" if bdf else "EDF"
    notes = [f"+{t:.10g}\x14\x14\0".encode() for t in onsets]
    for start, length, text in marks:
        k = min(int(np.searchsorted(onsets, start, side="right")) - 1, count - 1)
        notes[k] += (
            f"+{start:.10g}".encode()
            + (f"\x15{length:.10g}".encode() if length else b"")
            + b"\x14"
            + text.encode()
            + b"\x14\0"
        )
    room = -(-max(map(len, notes)) // width) if plus else 0
    n = len(signals) + plus
    who = (
        f"{CANARIES['id']} F {CANARIES['born']} {CANARIES['name']}" if patient is None else patient
    )
    what = f"Startdate 17-MAR-1994 {CANARIES['recording']} {CANARIES['technician']} Machine7"
    head = {
        "version": b"\xffBIOSEMI" if bdf else b"0",
        "patient": who.encode(),
        "recording": what.encode(),
        "date": CANARIES["date"].encode(),
        "time": CANARIES["time"].encode(),
        "size": str(256 * (n + 1)).encode(),
        "reserved": f"{kind}+{'C' if begins is None else 'D'}".encode() if plus else b"",
        "records": str(count).encode(),
        "duration": f"{seconds:g}".encode(),
        "count": str(n).encode(),
    }
    widths = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
    out = b"".join(
        (fields.get(k) if fields.get(k) is not None else v)[:w].ljust(w)
        for (k, v), w in zip(head.items(), widths)
    )  # type: ignore[index]
    names = [
        *(labels or [f"EEG C{i + 1}" for i in range(len(signals))]),
        *([f"{kind} Annotations"] * plus),
    ]
    dims = [*(units or ["uV"] * len(signals)), *([""] * plus)]
    ends = [*reach, *([1.0] * plus)]
    columns = [
        (16, names),
        (80, ["AgAgCl"] * n),
        (8, dims),
        (8, [f"-{r:g}" for r in ends]),
        (8, [f"{r:g}" for r in ends]),
        (8, [str(-top)] * n),
        (8, [str(top)] * n),
        (80, ["HP:0.1Hz"] * n),
        (8, [*([str(per)] * len(signals)), *([str(room)] * plus)]),
        (32, [""] * n),
    ]
    for place, (w, words) in enumerate(columns):
        cells = [str(word).encode("latin-1")[:w].ljust(w) for word in words]
        if place == 8 and "samples" in fields:
            cells[0] = fields["samples"][:w].ljust(w)
        out += b"".join(cells)
    for k in range(count):
        for numbered in numbers:
            out += numbered[k].astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
        out += notes[k].ljust(room * width, b"\0") if plus else b""
    return out


def eeg(
    seconds: float = 200,
    rate: float = 128,
    channels: int = 4,
    seed: int = 0,
    burst: float | None = None,
) -> np.ndarray:
    """EEG-like signals [C,n] in µV: a 10 Hz rhythm shared with phases, slow waves, pink-like noise;
    `burst`: from that second on, 3 s of 25 Hz in channel 3.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    swell = 1 + 0.4 * np.sin(2 * np.pi * 0.07 * t)
    x = np.stack(
        [
            20 * swell * np.sin(2 * np.pi * 10 * t + 0.6 * c) + 8 * np.sin(2 * np.pi * 1.3 * t + c)
            for c in range(channels)
        ]
    )
    x += (
        4 * rng.normal(size=x.shape)
        + 3 * np.cumsum(rng.normal(size=x.shape), 1) / np.sqrt(rate) * 0.1
    )
    if burst is not None:
        inside = (t >= burst) & (t < burst + 3)
        x[2, inside] += 60 * np.sin(2 * np.pi * 25 * t[inside])
    return x
