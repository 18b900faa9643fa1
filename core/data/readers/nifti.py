"""Scans as NIfTI, MGH or Analyze files, one row a volume; a single volume as its slices; scans of
one slice as pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from core.data import deidentify
from core.data.dataset import Dataset
from core.data.geometry import spacing_after_fit as picture_sizes
from core.data.readers import array_masks, scan_folders, scan_masks, time_points, volume_resizing
from core.data.readers.files import Asked, Member, collect
from core.data.readers.frames import stack_frames
from core.data.readers.image_decoding import choose_common_size, resize
from core.data.readers.masks import Coding
from core.data.readers.nifti_file import (
    Background,
    Scan,
    join_pairs,
    read_scan_header,
    read_volumes,
)
from core.data.readers.npz_files import find_input_range
from core.errors import UserError

# the axis [D,H,W] that is one slice thick -> how its picture lies: down, across
THIN = {0: "PL", 1: "FL", 2: "FP"}


@dataclass
class Plan:
    """What is to be read: `scans`, the `masks` of each by its name with the code of each mask (0:
    its own labels), how their values become codes, and what is said of it all.
    """

    scans: list[Scan]
    masks: dict[str, list[tuple[Scan, int]]]
    coding: Coding
    card: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)
    layers: dict[str, list[Scan]] = field(default_factory=dict)  # the further channels of a scan
    background: Background = field(default_factory=Background)
    shares: list[float] = field(default_factory=list)

    def marks(self, scan: Scan) -> list[np.ndarray]:
        """uint8 codes [D,H,W] of a scan's masks on its grid, one a time point of the masks; []
        without any.
        """
        out: list[np.ndarray] = []
        for mask, code in self.masks.get(scan.member.name, []):
            found = scan_masks.resample_mask(scan, mask, self.coding)
            found = [np.where(f > 0, np.uint8(code), np.uint8(0)) for f in found] if code else found
            out = found if not out else [np.where(f > 0, f, o) for o, f in zip(out, found)]
        self.shares += [float((m > 0).mean()) for m in out]
        return out

    def said(self, scans_of_few: list[str]) -> None:
        """Into the card, once everything was read: background, masks, scans that look like
        segmentations.
        """
        self.card["rules"] += self.background.rules()
        if self.masks:
            self.card |= scan_masks.make_card(self.shares, self.coding, self.labels)
        if scans_of_few:
            self.card["like segmentations"] = scans_of_few[:1000]


def read(members: list[Member], asked: Asked) -> Dataset:
    """Volumes [n,1,D,H,W] turned to RAS order, one row a volume (4-D: a row a time point), or the
    slices [n,1,H,W] of a single one, or, where all are one slice thick, pictures [n,1,H,W]. One
    file is in memory at a time.

    nnU-Net's files of one case (_0000, _0001) are the channels of one row, see `_channels`.
    Which files are segmentations, and of which scans: see `scan_masks.find_masks`; arrays (npy)
    beside them: `array_masks`. What folders and names say: see
    `scan_folders.read_names`. Affine and spacing stay in the card; free text of the
    headers does not.
    """
    given = [] if asked.masks is None else join_pairs(collect(asked.masks))
    members, arrays = array_masks.split_off_arrays(members)
    given, given_arrays = array_masks.split_off_arrays(given)
    members, aside = _apart(members)
    total = 2 * len(members) + len(given)
    looked: dict[str, Scan] = {}
    for i, m in enumerate(members):
        looked[m.name] = read_scan_header(m)
        asked.report(i + 1, total)
    made, laid, guessed = array_masks.convert_to_scans([*arrays, *given_arrays], members, looked)
    if given_arrays:
        given += made[len(arrays) :]
    members = [*members, *made[: len(arrays)]]
    looked |= {m.name: read_scan_header(m) for m in made[: len(arrays)]}
    truth = {m.name: read_scan_header(m) for m in given}
    found = (
        scan_masks.match_given_masks(members, looked, given, truth)
        if given
        else scan_masks.find_masks(members, looked)
    )
    scans = [looked[m.name] for m in members if m.name not in found.masks]
    twice = time_points.find_duplicates(scans, found.of)
    scans = [s for s in scans if s.member.name not in twice]
    aside += [f"{name} ({why})" for name, why in twice.items()]
    aside += [f"{m} (mask of {name}, left out)" for name in twice for m in found.of.get(name, [])]
    rules = [
        (
            "axes turned to right-anterior-superior order"
            if any(s.axes for s in scans)
            else "axes as stored"
        )
    ]
    unknown = sum(not s.axes for s in scans)
    if unknown:
        rules.append(
            f"{unknown} of {len(scans)} scans do not say how they lie in the body: their "
            "orientation is unknown and left as stored"
        )
    if torn := [s.member.name for s in scans if s.two_places]:
        rules.append(
            f"{len(torn)} scans say two places (sform and qform differ; the first is {torn[0]}): "
            "the sform counts"
        )
    if found.layers:
        rules.append(
            f"{found.layers} masks hold a volume for each label: each voxel takes the largest"
            " (where all add up to 1 the first is background)"
        )
    rules += laid
    card: dict[str, Any] = {
        "rules": rules,
        "scans": [s.facts for s in scans],
        "left out": [*found.left, *aside],
        **guessed,
    }
    card["deidentified"] = deidentify.nifti_card_entry(
        [s.texts for s in looked.values()], [s.member.stem for s in scans]
    )
    scans, layers = _channels(scans, card)
    there = {s.member.name for s in scans}
    of = {s: masks for s, masks in found.of.items() if s in there}
    plan = _planned(scans, of, truth or looked, card)
    plan.layers = layers

    def done(k: int) -> None:
        asked.report(len(members) + len(given) + k, total)

    if all(s.flat for s in scans):
        return _pictures(plan, asked, done)
    if len(scans) == 1 and scans[0].times == 1:
        return _slices(plan)
    return _volumes(plan, asked, done)


def _apart(members: list[Member]) -> tuple[list[Member], list[str]]:
    """Without what BIDS calls derivatives, segmentations excepted, where there are scans besides;
    and what was left out.
    """
    inside = [
        m
        for m in members
        if "derivatives" in {p.lower() for p in m.parts[:-1]}
        and not scan_masks.NAMED.search(m.stem)
    ]
    if not inside or len(inside) == len(
        [m for m in members if not scan_masks.NAMED.search(m.stem)]
    ):
        return members, []
    gone = {m.name for m in inside}
    left = (
        [m.name for m in inside]
        if len(inside) <= 20
        else [f"{len(inside)} scans in derivatives (made from the others)"]
    )
    return [m for m in members if m.name not in gone], left


def _channels(scans: list[Scan], card: dict[str, Any]) -> tuple[list[Scan], dict[str, list[Scan]]]:
    """Return scans whose names end in nnU-Net's _0000, _0001 ...: the first of each case, and its
    further channels, where all cases have the same ones, each on one grid. As they are otherwise.
    """
    numbers = [scan_masks.CHANNEL.search(s.member.stem) for s in scans]
    cases: dict[tuple[str, ...], dict[str, Scan]] = {}
    for s, number in zip(scans, numbers):
        if number is not None:
            cases.setdefault((*s.member.parts[:-1], s.member.stem[: number.start()]), {})[
                number[1]
            ] = s
    kinds = {tuple(sorted(of)) for of in cases.values()}
    whole = (
        None not in numbers and len(kinds) == 1 and len(cases) > 1 and len(next(iter(kinds))) > 1
    )
    ordered = [[of[k] for k in sorted(of)] for of in cases.values()]
    even = whole and all(
        scan_masks.compare_grids(first, s) == "same" and s.times == 1 and not s.flat
        for first, *more in ordered
        for s in (first, *more)
    )
    if not even:
        return scans, {}
    names = ", ".join(f"_{k}" for k in next(iter(kinds)))
    card["rules"].append(f"files of one case ({names}) are the channels of one scan")
    return [first for first, *_ in ordered], {first.member.name: more for first, *more in ordered}


def _scaled(samples: np.ndarray) -> tuple[float, float, str]:
    """Return the range of all values; channels [n,C,D,H,W] whose ranges differ much are brought to
    0 to 1 each, in place.
    """
    ranges = [find_input_range(samples[:, c]) for c in range(samples.shape[1])]
    spans = [high - low for low, high, _ in ranges]
    if len(ranges) == 1 or max(spans) <= 2 * min(spans):
        return find_input_range(samples)
    for c, (low, high, _) in enumerate(ranges):
        samples[:, c] = (samples[:, c] - np.float32(low)) / np.float32(high - low)
    words = "; ".join(
        f"channel {c + 1} from {low:.4g} to {high:.4g}" for c, (low, high, _) in enumerate(ranges)
    )
    return 0.0, 1.0, f"each channel has a range of its own, which becomes 0 to 1 ({words})"


def _planned(
    scans: list[Scan], of: dict[str, list[str]], masks: dict[str, Scan], card: dict[str, Any]
) -> Plan:
    """With the codes of the masks: their own labels, or one a mask where scans have several of one
    mark each.
    """
    looked = {s.member.name: s for s in scans}
    coding = (
        scan_masks.find_coding(
            [masks[m] for m in dict.fromkeys(m for ms in of.values() for m in ms)]
        )
        if of
        else Coding("")
    )
    parts = scan_masks.name_parts(of)
    # several masks a scan, with labels of their own: the first is taken
    if parts and coding.labels:
        card["left out"] += [
            f"{m} (another segmentation of {s})" for s, ms in of.items() for m in ms[1:]
        ]
        of, parts = {s: ms[:1] for s, ms in of.items()}, {}
    codes = {word: i + 1 for i, word in enumerate(sorted(set(parts.values())))}
    if len(codes) > 255:
        raise UserError(
            f"The scans have masks of {len(codes)} kinds; at most 255 can be kept apart."
        )
    labels = {str(i): word for word, i in codes.items()}
    if of:
        card["rules"] += scan_masks.describe_rules(of, looked, masks, coding)
    if codes:
        listed = ", ".join(f"{i} = {word}" for word, i in list(codes.items())[:12])
        card["rules"].append(
            f"a label for each mask of a scan ({listed}{' …' if len(codes) > 12 else ''}); "
            "where they overlap the last counts"
        )
    return Plan(
        scans,
        {s: [(masks[m], codes.get(parts.get(m, ""), 0)) for m in ms] for s, ms in of.items()},
        coding,
        card,
        labels,
    )


def _few(values: np.ndarray) -> bool:
    """Whether a volume holds a few whole numbers only, as a segmentation does."""
    some = values.ravel()[:: max(1, values.size // 4096)]
    if (some != np.round(some)).any():
        return False
    return 1 < len(np.unique(values)) <= scan_masks.FEW and not (values != np.round(values)).any()


def _table(
    lines: list[dict[str, Any]], plan: Plan, asked: Asked
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the table of the rows, with what their names and folders say; whether the truth of
    each is known.
    """
    table, roles = pd.DataFrame(lines), {"file": "file"}
    files = [s.member.name for s in plan.scans]
    told = scan_folders.read_names(files, asked)
    at = table["file"].map({f: i for i, f in enumerate(files)})
    for name, values in told.columns.items():
        table[name] = [values[i] for i in at]
    roles |= told.roles
    plan.card["rules"] += told.rules
    if table["time"].any() and "group" not in roles:
        table["scan"], roles["group"] = table["file"], "scan"
    if not table["time"].any():
        table = table.drop(columns="time")
    if plan.masks and len(plan.masks) < len(plan.scans):
        table["outlined"] = table["file"].isin(list(plan.masks))
        plan.card["rules"].append(
            f"{len(plan.masks)} of {len(plan.scans)} scans have a mask; of the others the "
            "truth is not known (column “outlined”)"
        )
    return table, roles


def _volumes(plan: Plan, asked: Asked, done: Any) -> Dataset:
    scans, card = plan.scans, plan.card
    size, rule = volume_resizing.choose_common_size(
        [s.shape for s in scans for _ in range(s.times)]
    )
    card["rules"] += [rule] if rule else []
    n = sum(s.times for s in scans)
    channels = 1 + max(map(len, plan.layers.values()), default=0)
    samples = volume_resizing.make_room(n * channels, size).reshape(n, channels, *size)
    marks = np.zeros((n, *size), np.uint8) if plan.masks else None
    lines: list[dict[str, Any]] = []
    few = []
    for k, s in enumerate(scans):
        marked = [volume_resizing.fit_volume(m, size, 0) for m in plan.marks(s)]
        mm = volume_resizing.compute_sizes_after(s.mm, s.shape, size)
        for t, volume in enumerate(read_volumes(s, plan.background)):
            samples[len(lines), 0] = volume_resizing.fit_volume(volume, size)
            few += [s.member.name] if t == 0 and _few(volume) else []
            if marks is not None and marked:
                marks[len(lines)] = marked[t if len(marked) > 1 else 0]
            for c, layer in enumerate(plan.layers.get(s.member.name, []), 1):
                samples[len(lines), c] = volume_resizing.fit_volume(
                    next(read_volumes(layer, plan.background)), size
                )
            lines.append(
                {"file": s.member.name, "time": t} | describe_geometry(s.axes, mm, s.oblique)
            )
        done(k + 1)
    low, high, scale = _scaled(samples)
    card["rules"].append(scale)
    table, roles = _table(lines, plan, asked)
    plan.said(few)
    return Dataset("", "volume", table, samples, marks, roles, (), (low, high), card)


def _pictures(plan: Plan, asked: Asked, done: Any) -> Dataset:
    """Return scans one slice thick as pictures [n,1,H,W], a row each (and each time point), as
    radiologists hang them.
    """
    pictures: list[np.ndarray] = []
    marked: list[np.ndarray] = []
    lines: list[dict[str, Any]] = []
    for k, s in enumerate(plan.scans):
        thin = s.shape.index(1)
        masks = plan.marks(s)
        for t, volume in enumerate(read_volumes(s, plan.background)):
            pictures.append(_orient_slice(volume, thin))
            marked.append(
                _orient_slice(masks[t if len(masks) > 1 else 0], thin)
                if masks
                else np.zeros(pictures[-1].shape, np.uint8)
            )
            lines.append({"file": s.member.name, "time": t, "scan": s, "thin": thin})
        done(k + 1)
    samples, rule = stack_frames(pictures)
    low, high, scale = find_input_range(samples)
    plan.card["rules"] += ["scans of one slice each: a row is a picture", rule, scale]
    for line, picture in zip(lines, pictures):
        s, thin = line.pop("scan"), line.pop("thin")
        down, across = (m for i, m in enumerate(s.mm) if i != thin)
        mm = (s.mm[thin], *picture_sizes((down, across), picture.shape, samples.shape[2:]))
        line |= describe_geometry(THIN[thin] if s.axes else "", mm, s.oblique)
    masks_ = (
        np.stack([resize(np.ascontiguousarray(m), samples.shape[2:], nearest=True) for m in marked])
        if plan.masks
        else None
    )
    table, roles = _table(lines, plan, asked)
    plan.said([line["file"] for line, p in zip(lines, pictures) if _few(p)])
    return Dataset("", "image", table, samples, masks_, roles, (), (low, high), plan.card)


def _orient_slice(volume: np.ndarray, thin: int) -> np.ndarray:
    """Return the one slice [H,W] of a volume [D,H,W] in RAS order: axial with anterior on top, else
    the head on top; left edge = the patient's right, or front.
    """
    return np.ascontiguousarray(np.take(volume, 0, axis=thin)[::-1, ::-1])


def _slices(plan: Plan) -> Dataset:
    """Return the axial slices of one volume as pictures, those of one value only left out."""
    scan, card = plan.scans[0], plan.card
    volume = next(read_volumes(scan, plan.background))
    pictures = cut_axial_slices(volume)
    kept = np.flatnonzero([np.ptp(p) > 0 for p in pictures])
    if not len(kept):
        raise UserError(f"{scan.member.name} holds one value only.")
    samples, rule = stack_frames([pictures[k] for k in kept])
    empty = len(pictures) - len(kept)
    low, high, scale = find_input_range(samples)
    if scan.axes:
        card["rules"] += [
            "a single volume: each row is one axial slice, from the feet upwards, all of one group",
            "anterior on top, the patient's right on the left",
        ]
    else:
        card["rules"] += [
            "a single volume: each row is one slice along its third axis, all of one group",
            "the first two axes drawn from the right and from below",
        ]
    card["rules"] += [rule, scale]
    if empty:
        card["rules"].append(f"{empty} slices of one value only were left out")
    masks = None
    if marked := plan.marks(scan):
        size, _ = choose_common_size([p.shape for p in pictures[kept]])
        masks = np.stack(
            [
                resize(np.ascontiguousarray(m), size, nearest=True)
                for m in cut_axial_slices(marked[0])[kept]
            ]
        )
    mm = (scan.mm[0], *picture_sizes((scan.mm[1], scan.mm[2]), scan.shape[1:], samples.shape[2:]))
    table = pd.DataFrame(
        {"file": scan.member.name, "volume": scan.member.stem, "slice": kept}
    ).assign(**describe_geometry("PL" if scan.axes else "", mm, scan.oblique))
    card["cohort"] = {"slices": len(pictures), "slices used": len(kept)}
    plan.said([scan.member.name] if _few(volume) else [])
    return Dataset(
        "",
        "image",
        table,
        samples,
        masks,
        {"file": "file", "group": "volume"},
        (),
        (low, high),
        card,
    )


def describe_geometry(axes: str, mm: tuple[float, ...], oblique: float) -> dict[str, Any]:
    """Return the columns of `core.data.geometry` of one row."""
    return {
        "axes": axes,
        **dict(zip(("mm_slice", "mm_down", "mm_across"), (round(float(v), 4) for v in mm))),
        "oblique_deg": oblique,
    }


def cut_axial_slices(volume: np.ndarray) -> np.ndarray:
    """[D,H,W] in RAS order -> slices as they are read: anterior on top, the patient's right on the
    left.
    """
    return np.ascontiguousarray(volume[:, ::-1, ::-1])
