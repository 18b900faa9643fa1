"""Which part each window of a recording belongs to, and which marks lie in it."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.readers.files import Asked
from core.data.readers.recording import Array, Recording
from core.data.readers.signal_plan import Plan
from core.errors import UserError

SPARED = 20  # windows of a recording from which one is left out between the parts
ENOUGH = 3  # recordings from which whole recordings go to one part


def add_mark_labels(
    table: pd.DataFrame, found: list[Recording], plan: Plan
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Return the table with a label column where marks of some length cover half of all windows,
    else with an event column where there are marks.
    """
    roles = {"file": "window", "time": "time"}
    if not any(r.events for r in found):
        return table, roles, []
    event: list[str] = []
    label = np.full(len(table), None, dtype=object)
    by_file = {r.file: sorted(r.events, key=lambda e: e.start) for r in found}
    for name, lines in table.groupby("file", sort=False):
        marks, first = by_file[str(name)], 0
        longest = max((e.length for e in marks), default=0.0)
        starts = np.array([e.start for e in marks])
        for t in lines["time"]:
            first = np.searchsorted(starts, t - longest - 1e-6)
            last = np.searchsorted(starts, t + plan.seconds - 1e-6)
            share: Counter[str] = Counter()
            there = []
            for e in marks[first:last]:
                inside = min(e.start + e.length, t + plan.seconds) - max(e.start, t)
                if e.length > 0 and inside > 1e-6:
                    share[e.text] += inside  # type: ignore[assignment]
                if inside > 1e-6 or (e.length == 0 and e.start >= t - 1e-6):
                    there.append(e.text)
            top = max(share, key=lambda k: share[k]) if share else None
            label[len(event)] = (
                top if top is not None and share[top] >= plan.seconds / 2 - 1e-6 else None
            )
            event.append(" + ".join(sorted(set(there))[:3]) or "none")
    covered = sum(v is not None for v in label)
    if covered >= len(label) / 2:
        return (
            table.assign(label=label),
            roles | {"label": "label"},
            [
                f"the label is the mark that covers at least half of a window ({covered:,} of"
                f" {len(label):,} windows have one)"
            ],
        )
    many = sum(v != "none" for v in event)
    if not many:
        return table, roles, []
    return (
        table.assign(event=event),
        roles,
        [
            f"“event” names the marks in a window ({many:,} of {len(event):,} have one); choose it"
            " as the label to learn from it"
        ],
    )


def split_recordings(
    table: pd.DataFrame,
    samples: Array,
    roles: dict[str, str],
    plan: Plan,
    asked: Asked,
    rules: list[str],
    left: list[str],
) -> Dataset:
    """Return the dataset, its parts by recording (or patient), or in time where there are fewer
    than three.
    """
    from core.data.readers.images import add_folder_classes

    card: dict[str, Any] = {
        "rate_hz": plan.rate if plan.known else 0,
        "channels": list(plan.names),
        "units": list(plan.units),
        "start_s": 0.0,
    }
    card |= {"unit": plan.units[0] if len(set(plan.units)) == 1 else ""}
    known = table["patient"].astype(bool)
    table["patient"] = table["patient"].where(known, table["file"])
    if known.any() and table["patient"].nunique() > 1:
        rules.append(
            "“patient” is a new number made from the headers' patient field with this workspace's"
            " secret; a file that does not say is a patient of its own"
        )
    else:
        table = table.drop(columns="patient")
    if plan.whole:
        table = table.drop(columns=["window", "time"])
        roles = {k: v for k, v in roles.items() if k != "time"} | {"file": "file"}
    if "label" not in roles and len(set(table["file"])) > 1:
        # few files in each: folders of patients rather than of classes
        folders = {str(PurePosixPath(f).parent) for f in table["file"]}
        named, kept = add_folder_classes(
            table, roles | {"file": "file"}, asked, auto=table["file"].nunique() >= 3 * len(folders)
        )
        table, roles = named, kept | {"file": roles["file"]}
    elif asked.label == "folder":
        raise UserError(
            "There are no sub-folders to take the class from; put each class into a folder of its"
            " own."
        )
    group = "patient" if "patient" in table else "file"
    if (
        not plan.whole
        and group == "file"
        and table[group].nunique() < ENOUGH
        and "split" not in roles
    ):
        values = (
            table["label"].astype(str).to_numpy()
            if "label" in table
            else np.full(len(table), "", dtype=object)
        )
        part = np.full(len(table), "", dtype="<U5")
        for name in table["file"].unique():
            at = np.flatnonzero(table["file"] == name)
            gap = plan.seconds if len(at) >= SPARED else 0.0
            part[at] = split_in_time(table["time"].to_numpy()[at], values[at].astype(str), gap=gap)
        keep = part != ""
        many = table["file"].value_counts()
        few = int(((many >= 10) & (many < SPARED)).sum())
        if keep.sum() >= 2:
            table, samples = table.assign(part=part)[keep].reset_index(drop=True), samples[keep]
            roles = roles | {"split": "part"}
            said = f"{plan.seconds:g} s" if plan.known else f"{plan.many} samples"
            apart = f"{said} apart" if few < len(many) else "one after the other"
            card |= {
                "split rule": (
                    f"in time: each recording goes in turn 70/15/15 to the parts, {apart}"
                ),
                "split in time": True,
            }
            if few:
                rules.append(
                    f"no window is left out between the parts of recordings of fewer than {SPARED}"
                    " windows: neighbours may stand in two parts"
                )
            if (~keep).any():
                rules.append(f"{int((~keep).sum())} windows left out between the parts")
    elif not plan.whole or group == "patient":
        roles = roles | {"group": group}
    card |= {"rules": rules, "left out": left}
    return Dataset("", "series", table, np.ascontiguousarray(samples), roles=roles, card=card)


def split_in_time(
    time: Array, label: Array, turns: int = 10, turn: float = 0.0, gap: float = 2.0
) -> Array:
    """Part the cases of one record in order of time (s): "train", "val", "test" or "" [n].

    Its time goes in `turns` rounds of 70, 15 and 15 %. Cases within half a `gap` of a border are
    "", so that no two neighbours stand in two parts (none with a gap of 0); a border moves by at
    most a twentieth of a round to lose cases of the commonest label only. `turn` (0 to 1) begins
    within a round.
    """
    if len(time) < 10:
        return np.full(len(time), "train", dtype="<U5")
    turns = max(1, min(turns, len(time) // 60))
    length = (time[-1] - time[0]) / turns
    kinds = np.tile(["train", "val", "test"], turns + 2)
    letters, count = np.unique(label, return_counts=True)
    rare = time[label != letters[count.argmax()]]
    steps = np.arange(0, length / 20, gap / 4) if gap else np.zeros(1)
    tries = np.unique(np.concatenate([-steps, steps]))
    tries = tries[np.argsort(np.abs(tries), kind="stable")]
    edges = []
    for e in time[0] + length * (
        np.add.outer(np.arange(-1, turns + 1), [0, 0.7, 0.85]).ravel() - turn
    ):
        free = (e + t for t in tries if not (np.abs(rare - e - t) < gap / 2).any())
        edges.append(next(free, e))
    here = time if gap else np.minimum(time, time[-1] - 1e-6)  # the last case ends the last round
    part = kinds[np.searchsorted(edges, here, side="right") - 1].astype("<U5")
    inner = [e for e in edges if time[0] + 1e-6 < e < time[-1] - 1e-6]
    part[(np.abs(time[:, None] - np.array(inner)) < gap / 2).any(1)] = ""
    if not gap:
        return part
    torn = np.flatnonzero((part[1:] != part[:-1]) & (part[1:] != "") & (part[:-1] != ""))
    part[torn + 1] = ""  # cases far apart, as after a pause
    return part
