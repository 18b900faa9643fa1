"""Segmentations among scans: which files they are, whose, and how they come onto the scan's
grid.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from core.data.readers.files import Member, cut_suffix
from core.data.readers.masks import Coding, Tally
from core.data.readers.nifti_file import Scan, read_scan_header, read_volumes
from core.data.readers.picture_masks import is_folder_of_masks
from core.errors import UserError

_WORD = (
    r"masks?|[dp]?seg|segs|segmentations?|labels?|lesions?|rois?|gts?|ground[-_ ]?truths?|probseg|"
    r"aseg|aparc\+aseg|wmparc|annotations?|consensus"
)
NAMED = re.compile(rf"(^|[^a-z])({_WORD})([^a-z]|$)", re.I)
# what all of the scan lies in
HEAD = re.compile(r"(^|[^a-z])(brain|brainmask|body|head|skull|foreground|bet)([^a-z]|$)", re.I)
PLAIN = re.compile(
    r"(images?|imgs?|scans?|niftis?|nii|volumes?|data|raw|rawdata|derivatives)?[-_ ]?"
    r"(tr|ts|train(ing)?|val(idation)?|test(ing)?)?",
    re.I,
)
CHANNEL = re.compile(r"_(\d{4})$")
ENTITY = re.compile(r"(?:^|[_/])(sub|ses|run|acq)-([A-Za-z0-9+]+)")
MOST = 256  # whole values of a segmentation by name
FEW = 32  # of one by its values alone, and of a scan that looks like one
NEAR = 0.05  # of a voxel, by which two grids may differ and still be one
HERE = 8  # scans of a folder whose mask is called after what it marks


@dataclass
class Found:
    """`of`: scan -> its masks by name; `left`: segmentations left out, and why, in words; `masks`:
    names of all that are no scans.
    """

    of: dict[str, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    masks: set[str] = field(default_factory=set)
    layers: int = 0  # masks with a volume for each label, made one


def find_masks(members: list[Member], looked: dict[str, Scan]) -> Found:
    """Segmentations among the files: in a folder called labels, masks, seg ..., or by a name that
    says so, with whole values from 0 to at most 255 different ones (or numbers between 0 and 1); or
    continuing a scan's name, with few values.

    A segmentation belongs to the scans of its name, or, when it is called after what it marks, to
    those of its folder. Where all files are segmentations they are the scans. What belongs to no
    scan is left out.
    """
    # reads the voxels: asked last
    named = [m for m in members if is_named(m) and 0 < looked[m.name].kinds <= MOST]
    if len(named) == len(members):
        return Found()
    taken = {m.name for m in named}
    scans = [m for m in members if m.name not in taken]
    stems = {(m.parts[:-1], m.stem): m for m in scans}
    for m in scans:
        longer = [s for stem in _beginnings(m.stem) if (s := stems.get((m.parts[:-1], stem)))]
        lies = any(compare_grids(looked[s.name], looked[m.name]) == "same" for s in longer)
        if lies and 0 < looked[m.name].kinds <= FEW:
            named.append(m)
            taken.add(m.name)
    scans = [m for m in scans if m.name not in taken]
    out = Found(masks=taken)
    owned: dict[str, list[str]] = defaultdict(list)
    index = Index(scans)
    for mask in named:
        owners = find_owners(mask, index)
        if any(is_one_hot(looked[s.name], looked[mask.name]) for s in owners):
            looked[mask.name] = flatten_one_hot(looked[mask.name])
            out.layers += 1
        fitting = [s for s in owners if compare_grids(looked[s.name], looked[mask.name])]
        if not owners:
            out.left.append(f"{mask.name} (a segmentation without its scan)")
        elif not fitting:
            out.left.append(
                f"{mask.name} (on another grid than {owners[0].name}, and "
                f"{_no_place(looked[owners[0].name], looked[mask.name])})"
            )
        for scan in fitting:
            owned[scan.name].append(mask.name)
    for name, masks in owned.items():
        kept = [m for m in masks if not HEAD.search(m.rpartition("/")[2])] or masks[:1]
        out.left += [f"{m} (another segmentation of {name})" for m in masks if m not in kept]
        out.of[name] = kept
    return out


def match_given_masks(
    members: list[Member], looked: dict[str, Scan], masks: list[Member], truth: dict[str, Scan]
) -> Found:
    """Masks given apart: the only one for the only scan, else by name. UserError for one that fits
    no scan.
    """
    out, index = Found(), Index(members)
    for mask in masks:
        owners = (
            members if len(members) == len(masks) == 1 else find_owners(mask, index, alone=True)
        )
        if not owners or not _one_case(owners):
            raise UserError(
                f"The mask {mask.name} has {'no scan' if not owners else 'several scans'} of "
                "the same name."
            )
        if is_one_hot(looked[owners[0].name], truth[mask.name]):
            truth[mask.name] = flatten_one_hot(truth[mask.name])
            out.layers += 1
        if not compare_grids(looked[owners[0].name], truth[mask.name]):
            raise UserError(
                f"The mask {mask.name} is on another grid than {owners[0].name}, and "
                f"{_no_place(looked[owners[0].name], truth[mask.name])}."
            )
        for scan in owners:
            out.of.setdefault(scan.name, []).append(mask.name)
    return out


def make_name_key(member: Member) -> str:
    """Return a file's name without what says that it is a segmentation or a channel, in small
    letters.
    """
    stem = CHANNEL.sub("", member.stem)
    while (
        shorter := NAMED.sub(lambda m: "_" if m[1] and m[3] else "", stem).strip("_-. ")
    ) != stem:
        stem = shorter
    return stem.lower()


def find_case_folders(member: Member) -> tuple[str, ...]:
    """Its folders without those that only say what kind of file lies in them."""
    return tuple(
        p.lower() for p in member.parts[:-1] if not PLAIN.fullmatch(p) and not is_folder_of_masks(p)
    )


def is_named(member: Member) -> bool:
    """Whether a file is called a mask, or lies in a folder of masks."""
    return bool(NAMED.search(member.stem)) or any(
        is_folder_of_masks(p) and not PLAIN.fullmatch(p) for p in member.parts[:-1]
    )


def _beginnings(stem: str) -> list[str]:
    """Return the beginnings of a name that end before a sign that is no letter or number: the names
    " "it may continue.
    """
    if CHANNEL.search(stem):
        return []
    return [stem[:i] for i in range(2, len(stem)) if not stem[i].isalnum()]


class Index:
    """Scans by folder, by place and by name."""

    def __init__(self, scans: list[Member]) -> None:
        self.scans = scans
        self.folder: dict[tuple[str, ...], list[Member]] = defaultdict(list)
        self.place: dict[tuple[str, ...], list[Member]] = defaultdict(list)
        self.key: dict[str, list[Member]] = defaultdict(list)
        for scan in scans:
            self.folder[scan.parts[:-1]].append(scan)
            self.place[find_case_folders(scan)].append(scan)
            self.key[make_name_key(scan)].append(scan)
        self.shapes = {re.sub(r"\d+", "#", k) for k in self.key}


def find_owners(mask: Member, index: Index, alone: bool = False) -> list[Member]:
    """Return the scans a mask is of: by name in its folder, in one of the same place, anywhere; by
    BIDS entities; else, unless `alone`, all in its folder.
    """
    name, place = make_name_key(mask), find_case_folders(mask)
    here, beside = index.folder.get(mask.parts[:-1], []), index.place.get(place, [])
    for some in (here, beside):
        if fit := _named_so(name, some):
            return fit
    same = (
        [s for s in index.key.get(name, []) if _agree(find_case_folders(s), place)] if name else []
    )
    if same and _one_case(same):
        return same
    entities = dict(ENTITY.findall(mask.name))
    if "sub" in entities:
        told = [(s, dict(ENTITY.findall(s.name))) for s in index.scans]
        return [s for s, has in told if all(has.get(k) == v for k, v in entities.items())]
    if name and (
        fit := [
            s
            for s in index.scans
            if _agree(find_case_folders(s), place) and (_inside(name, s) or _before(name, s))
        ]
    ):
        return fit if len(fit) == 1 else []
    # named as the scans are: its own is not here
    if alone or (name and re.sub(r"\d+", "#", name) in index.shapes):
        return []
    parent = tuple(p.lower() for p in mask.parts[:-2])
    above = [
        s
        for folder, of in index.folder.items()
        for s in of
        if tuple(p.lower() for p in folder) == parent
    ]
    near = here or beside or (above if mask.parts[:-1] else [])
    return near if not name or len(near) <= HERE else []


def _named_so(name: str, scans: list[Member]) -> list[Member]:
    """Of the scans of one place, those a mask of that name is of: of the same name, of one "
    "that holds it, or begins it.
    """
    for alike in (_same, _inside, _before) if name else ():
        fit = [s for s in scans if alike(name, s)]
        if fit and alike is _before:
            most = max(len(make_name_key(s)) for s in fit)
            fit = [s for s in fit if len(make_name_key(s)) == most]
        if fit:
            return fit
    return []


def _agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two places may be of one case: one says nothing, or both end alike."""
    return not one or not other or one[-1] == other[-1]


def _one_case(scans: list[Member]) -> bool:
    """Return scans of one case: of one place, and one name but for the channel."""
    return len({(find_case_folders(s), make_name_key(s)) for s in scans}) == 1


def _same(name: str, scan: Member) -> bool:
    return make_name_key(scan) == name


def _inside(name: str, scan: Member) -> bool:
    return bool(re.search(rf"(^|[^a-z0-9]){re.escape(name)}([^a-z0-9]|$)", scan.stem.lower()))


def _before(name: str, scan: Member) -> bool:
    short = make_name_key(scan)
    return len(short) > 1 and name.startswith(short) and not name[len(short) :][:1].isalnum()


def compare_grids(scan: Scan, mask: Scan) -> str:
    """How a mask lies on its scan: "same" grid; the same "array" (its own place says nothing);
    another grid in the same "space"; "" for none of them.
    """
    if mask.times not in (1, scan.times):
        return ""
    if (
        scan.shape == mask.shape
        and scan.grid == mask.grid
        and (mask.plain or not mask.axes)
        and not _close(scan, mask)
    ):
        return "array"
    if scan.shape == mask.shape and (not scan.axes or not mask.axes or _close(scan, mask)):
        return "same"
    return "space" if scan.axes and mask.axes and scan.times == 1 and _meet(scan, mask) else ""


def _meet(scan: Scan, mask: Scan) -> bool:
    """Whether the boxes around both grids share a place (in the scan's voxels)."""
    ends = np.array([n - 0.5 for n in mask.shape[::-1]])
    corners = np.array(list(product(*((-0.5, end) for end in ends)))).T
    to = np.linalg.inv(scan.affine) @ mask.affine
    there = to[:3, :3] @ corners + to[:3, 3:]
    sides = np.array(scan.shape[::-1])
    return bool((there.max(1) > -0.5).all() and (there.min(1) < sides - 0.5).all())


def is_one_hot(scan: Scan, mask: Scan) -> bool:
    """Whether a mask of one scan holds a volume for each label (one-hot, or probabilities)."""
    alike = scan.times == 1 < mask.times <= MOST and scan.shape == mask.shape
    return alike and mask.kinds in (1, 2)


def flatten_one_hot(mask: Scan) -> Scan:
    """Return the same with one volume of labels: of each voxel the volume with the largest value;
    the first one is background where all add up to 1, else volumes count from 1 and below a half
    nothing is marked.
    """
    import nibabel

    stack = np.stack(list(read_volumes(mask)))
    if np.abs(stack.sum(0) - 1).max() < 0.05:
        codes = stack.argmax(0)
    else:
        codes = np.where(stack.max(0) >= 0.5, stack.argmax(0) + 1, 0)
    turned = codes.astype(np.int16).transpose(2, 1, 0)
    data = nibabel.Nifti1Image(turned, mask.affine if mask.axes else None).to_bytes()
    made = read_scan_header(Member(mask.member.name, lambda most: data[:most]))
    return replace(made, plain=mask.plain)


def _no_place(scan: Scan, mask: Scan) -> str:
    """Why a mask of another grid cannot be brought onto its scan, in words."""
    if mask.times not in (1, scan.times):
        return f"it holds {mask.times} volumes"
    if scan.axes and mask.axes and scan.times == 1 and not _meet(scan, mask):
        return "by its place in space it lies wholly outside of it"
    return "it does not say where it lies"


def _close(scan: Scan, mask: Scan) -> bool:
    """Whether the corners of both grids lie within a twentieth of a voxel."""
    ends = np.array([[0, 0, 0, 1], [*(n - 1 for n in scan.shape[::-1]), 1]], dtype=float).T
    return bool(np.abs((scan.affine - mask.affine) @ ends).max() <= NEAR * min(scan.mm))


def find_coding(masks: list[Scan]) -> Coding:
    """Of all masks together. Reads their voxels."""
    tally = Tally()
    for mask in masks:
        for volume in read_volumes(mask):
            tally.add(volume)
    return tally.coding()


def resample_mask(scan: Scan, mask: Scan, how: Coding) -> list[np.ndarray]:
    """uint8 codes [D,H,W] of the mask on the grid of the scan, one a time point of the mask;
    outside of the mask 0.
    """
    from scipy.ndimage import affine_transform

    fit = compare_grids(scan, mask)
    codes = [how.apply(v) for v in read_volumes(mask, turn=scan.turn if fit == "array" else None)]
    if fit != "space":
        return codes
    to = np.linalg.inv(mask.affine) @ scan.affine  # x, y, z of the scan -> x, y, z of the mask
    turned = np.flip(to[:3, :3])  # both orders of axes: z, y, x
    return [
        affine_transform(c, turned, to[:3, 3][::-1], scan.shape, order=0, mode="grid-constant")
        for c in codes
    ]


def name_parts(of: dict[str, list[str]]) -> dict[str, str]:
    """Mask -> what it marks, by its name without its scan's, where scans have several masks."""
    out = {}
    for scan, masks in of.items():
        base = CHANNEL.sub("", cut_suffix(scan)).lower()
        for mask in masks if len(masks) > 1 else []:
            word = cut_suffix(mask).lower()
            out[mask] = NAMED.sub("_", word.removeprefix(base)).strip("_-. ") or word
    return out


def describe_rules(
    of: dict[str, list[str]], scans: dict[str, Scan], masks: dict[str, Scan], how: Coding
) -> list[str]:
    """Return what is to be said: whose, what the values mean, and which were brought onto another
    grid.
    """
    ways = [compare_grids(scans[s], masks[m]) for s, ms in of.items() for m in ms]
    pairs = [f"{m} is the mask of {s}" for s, ms in of.items() for m in ms]
    said = [
        *pairs[:20],
        *([f"and {len(pairs) - 20} more masks of other scans"] if len(pairs) > 20 else []),
    ]
    said.append(f"masks: {how.rule}")
    for way, words in (
        (
            "space",
            "lie on another grid of the same space: each voxel of the scan takes the nearest label",
        ),
        ("array", "do not say where they lie: taken voxel by voxel"),
    ):
        if n := ways.count(way):
            said.append(
                f"{n} masks {words}"
                if n > 1
                else f"1 mask: masks that {words}".replace("masks that lie", "it lies").replace(
                    "masks that do", "it does"
                )
            )
    return said


def make_card(shares: list[float], how: Coding, labels: dict[str, str]) -> dict[str, Any]:
    """Return the card's entry `masks`: see `masks.describe_masks`."""
    marked = [s for s in shares if s > 0]
    return {
        "masks": {
            "labels": labels or how.labels,
            "marked": round(float(np.mean(marked)), 4) if marked else 0.0,
        }
    }
