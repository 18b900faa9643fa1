#!/usr/bin/env bash
# wfdb 4.3.1 averages the mark for a missing sample into its frame, and returns the mean as a voltage.
#
# Record: one signal with 4 samples a frame, 200 units a mV, a sine of 1 mV; one sample in one frame holds
# -32768, which format 16 reserves for "missing".
# Guess written down before the run: the frame comes back as NaN, as it does with one sample a frame.
# Seen on 2026-11-28: rdrecord's default (smooth_frames=True) gives one value a frame and counts the mark in:
# about -41 mV where the sine lies between -1 and 1 mV, no NaN, no warning. With smooth_frames=False the same
# sample is NaN. Records of one sample a frame are not affected.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet --disable-pip-version-check wfdb==4.3.1 numpy==2.4.0
cd "$here"
"$here/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
import wfdb

frames, rate = 250, 125
t = np.arange(frames * 4) / (rate * 4)
x = np.round(200 * np.sin(2 * np.pi * 1.2 * t)).astype("<i2")
x[400] = -32768
open("bed.dat", "wb").write(x.tobytes())
total = (int(x.astype(np.int64).sum()) + 32768) % 65536 - 32768
open("bed.hea", "w").write(
    f"bed 1 {rate} {frames}\nbed.dat 16x4 200(0)/mV 16 0 {x[0]} {total} 0 II\n"
)
smooth = wfdb.rdrecord("bed").p_signal[:, 0]
apart = wfdb.rdrecord("bed", smooth_frames=False).e_p_signal[0]
print("wfdb", version("wfdb"))
print(f"smooth_frames=True: least {np.nanmin(smooth):.1f} mV, NaN {int(np.isnan(smooth).sum())}")
print(f"smooth_frames=False: least {np.nanmin(apart):.1f} mV, NaN {int(np.isnan(apart).sum())}")
assert np.nanmin(smooth) < -30 and not np.isnan(smooth).any(), "the mark is no longer averaged in"
assert np.nanmin(apart) > -1.1 and np.isnan(apart).sum() == 1, "single samples changed"
PY
