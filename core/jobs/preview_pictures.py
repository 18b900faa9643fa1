"""A few pictures of an upload, drawn from a few of its files: pictures by folder, the middle slices
of scans, strips of films, the first samples of arrays. Each draws as the viewer would: hung
radiologically where it is known how a scan lies, through its own window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data import deidentify, identifying
from core.data.geometry import Geometry
from core.data.readers import (
    Chosen,
    dicom,
    edf,
    images,
    npz,
    picture_masks,
    scan_masks,
    tables,
    wfdb,
)
from core.data.readers.files import Asked, Member
from core.data.readers.image_decoding import decode, open_picture
from core.data.readers.nifti_file import Scan, open_image, read_scan_header, reword_errors
from core.data.readers.slice_order import Frame, group_stacks, is_volume
from core.errors import UserError
from core.imaging import orientation, render, signals, windowing
from core.jobs.preview_meter import FILE_BYTES, HEADERS, PICTURES, Meter, spread

if TYPE_CHECKING:
    from core.data.readers.dicom_rows import Found
    from core.data.readers.recording import Recording

Array = np.ndarray
Picture = dict[str, Any]
Look = tuple[list[Picture], list[str], list[dict[str, str]]]
TILE = 112  # pixels of a picture's square
GROUPS = 6  # classes or scans shown
SCANS = 4  # scans whose slices are shown
STRIP = 6  # frames of a film
ACROSS = 6
GAP = 6
RECORDINGS, LANES = 2, 4  # shown, and channels of each
RECORD_BYTES = 32 << 20  # of a record's file, which is unpacked whole to be drawn
SHOWN, TRACE = 10.0, 480  # seconds, pixels across
TABLES = ("table", "parquet")
OWN = "Each picture is drawn on a brightness scale of its own."
HUNG = "Hung as radiologists do: the patient's right at the left, the front on top."
STOPS = "The import would stop there."
UNHUNG = "orientation unknown, as stored"


def _capped(member: Member, limit: int = FILE_BYTES) -> Member:
    """Return the member; opening it raises MemoryError where it is too large to be drawn."""

    def opened(most: int) -> bytes:
        data = member.open(min(most, limit + 1))
        if len(data) > limit < most:
            raise MemoryError
        return data

    return replace(member, open=opened)


def _sheet(tiles: Sequence[Array], title: str, words: str, across: int = ACROSS) -> Picture:
    """Pictures uint8 [h,w,3] as squares side by side."""
    squares = np.stack([_square(t) for t in tiles])
    return {
        "title": title,
        "words": words,
        "image": render.draw_grid(squares, min(across, len(squares)), GAP)[:-GAP, :-GAP],
        "alt": f"{len(squares)} pictures: {title or words}",
    }


def _square(tile: Array) -> Array:
    factor = max(1, TILE // max(tile.shape[:2]))  # pixels of small pictures stay sharp
    tile = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    return render.fit_into_square(tile, TILE)


def _grey(values: Array, window: windowing.Window | None = None) -> Array:
    """Values [H,W] or [H,W,3] as uint8 [H,W,3], through their own window where none is given."""
    at = window or windowing.percentile_window(values)
    shown = (windowing.apply_window(values, at) * 255).round().astype(np.uint8)
    return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, -1)


# -- pictures --------------------------------------------------------------------------------------
def draw_images(chosen: Chosen, meter: Meter) -> Look:
    """Draw up to twelve pictures, as many of each class; EXIF is counted among them."""
    sheets = [m for m in chosen.used if m.name.lower().endswith(tables.SHEETS)]
    files, masks, _ = picture_masks.split_off_masks([m for m in chosen.used if m not in sheets])
    if not files:
        raise UserError("There are masks but no pictures beside them.")
    if len(files) == 1:
        files = images.split_pages([_capped(files[0])])[0]
    table, roles, _ = images.read_folders(files, chosen.asked)
    by: dict[str, list[Member]] = {}
    for m, name in zip(files, table["label"] if "label" in roles else [""] * len(files)):
        by.setdefault(str(name), []).append(m)
    shown = sorted(by)[:GROUPS]
    each = PICTURES // len(shown)
    looked, exif, placed, deeper, broken = 0, 0, 0, 0, ""
    pictures: list[Picture] = []
    for name in shown:
        tiles = []
        for at in spread(len(by[name]), each):
            if meter.late:
                break
            member = _capped(by[name][at])
            try:
                tile, deep = _picture(member)
                notes = open_picture(member, _camera, lambda picture: (False, False))
            except UserError as e:  # the others are shown
                broken = broken or f"{str(e).rstrip('.')}. {STOPS}"
                continue
            tiles.append(tile)
            looked, deeper = looked + 1, deeper + deep
            exif, placed = exif + notes[0], placed + notes[1]
        if tiles:
            words = f"{len(tiles)} of {len(by[name]):,}"
            pictures.append(_sheet(tiles, name, words))
    said = [broken] if broken else []
    if len(by) > GROUPS:
        said.append(f"The first {GROUPS} of {len(by):,} classes are shown.")
    if masks:
        said.append(f"{len(masks):,} masks lie beside the pictures.")
    if deeper:
        said.append(f"Deeper pictures than 8 bits are among them. {OWN}")
    entries = identifying.picture_entries(exif, placed, looked, "label" in roles)
    return pictures, [*said, *_late(meter)], entries


def _picture(member: Member) -> tuple[Array, bool]:
    """Return the picture as uint8 [H,W,3], and whether it has more than 8 bits."""
    values = decode(member)
    if values.ndim == 3 and values.shape[2] != 3:
        values = values[..., 0]
    if values.dtype == np.uint8:
        return (values if values.ndim == 3 else np.repeat(values[..., None], 3, -1)), False
    return _grey(values.astype(np.float32)), True


def _camera(opened: Any) -> tuple[bool, bool]:
    """Whether a picture carries notes of a camera or program, and where it was taken."""
    exif = opened.getexif()
    more = {"xmp", "XML:com.adobe.xmp", "comment", "Raw profile type exif"} & set(opened.info)
    return bool(exif) or bool(more), bool(exif.get_ifd(0x8825)) if exif else False


# -- DICOM -----------------------------------------------------------------------------------------
def draw_dicom(chosen: Chosen, meter: Meter) -> Look:
    """Draw three slices around the middle of up to four series, strips of films, single pictures;
    list the tags that go, of the headers looked at. No name of a file, and no value of a tag.
    """
    looked = spread(len(chosen.used), HEADERS)
    members = [_capped(m) for m in chosen.used]
    with deidentify.silence_dicom_libraries():
        found = dicom.read_headers(members, Asked(), looked=looked)
        stacks = [[found.frames[k] for k in g] for g in group_stacks(found.frames)]
        pictures, hidden = _series(found, stacks, meter)
    whole = len(looked) == len(members)
    said = [HUNG] if any(f.place.axes[0] or f.file.axes_word for f in found.frames) else []
    if whole:
        said += _becomes(stacks)
    else:
        said.append(f"By {len(looked)} of {len(members):,} files, spread over all.")
    if hidden:
        said.append(
            f"{hidden:,} of the files looked at may have names burnt in: they are not shown here,"
            " and come in hidden until somebody has looked at them."
        )
    files = list(found.files.values())
    entries = identifying.dicom_entries(
        found.tags,
        len(looked),
        sum(f.face for f in files),
        hidden,
        chosen.asked.label == "folder",
    )
    return pictures, [*said, *_late(meter)], entries


def _becomes(stacks: list[list[Frame]]) -> list[str]:
    """Say what “auto-detect” makes of series that were looked at whole."""
    whole = [s for s in stacks if is_volume(s)]
    if len(whole) == len(stacks) >= dicom.AUTO:
        return [f"{len(whole):,} even series of slices: auto-detect makes a volume of each."]
    frames, even = sum(map(len, stacks)), "an even stack" if len(whole) == 1 else "even stacks"
    return [
        f"{len(stacks):,} series, {len(whole):,} of them {even}: auto-detect makes {frames:,}"
        f" picture{'s' * (frames != 1)}."
    ]


def _series(found: Found, stacks: list[list[Frame]], meter: Meter) -> tuple[list[Picture], int]:
    """Return the pictures, and how many files looked at are held back, which are not drawn."""
    held = sum(f.held is not None for f in found.files.values())
    stacks = [kept for s in stacks if (kept := [f for f in s if f.file.held is None])]
    single = [s[0] for s in stacks if len(s) == 1]
    several = [s for s in stacks if len(s) > 1]
    pictures: list[Picture] = []
    for k in spread(len(several), SCANS):
        if meter.late:
            break
        stack = several[k]
        film = len({f.place.known for f in stack if np.isfinite(f.place.known)}) < 2
        at = spread(len(stack), STRIP) if film else middle_of(len(stack))
        tiles = [_frame(found, stack[i]) for i in at]
        kind = f"{len(at)} of {len(stack):,} frames" if film else f"{len(at)} middle slices"
        title = f"{stack[0].file.modality} series {k + 1} of {len(several):,}"
        pictures.append(_sheet(tiles, title, kind + _unknown(stack[0])))
    tiles = []
    for i in spread(len(single), PICTURES if not several else STRIP):
        if meter.late:
            break
        tiles.append(_frame(found, single[i]))
    if tiles:
        kinds = ", ".join(sorted({f.file.modality for f in single}))
        pictures.append(_sheet(tiles, f"{kinds} pictures", f"{len(tiles)} of {len(single):,}"))
    return pictures, held


def middle_of(n: int, most: int = 3) -> list[int]:
    """Return the positions of the middle ones of n."""
    first = max(0, (n - most + 1) // 2)
    return list(range(first, min(n, first + most)))


def _geometry(frame: Frame) -> Geometry:
    word = frame.place.axes[0] or frame.file.axes_word
    mm = frame.place.mm
    return Geometry(word, tuple(mm) if np.isfinite(mm).all() else None)


def _unknown(frame: Frame) -> str:
    """Words for a frame of which nobody knows how it lies; "" for others."""
    at = orientation.display_planes(_geometry(frame), 2)[0]
    return "" if at.known else f", {UNHUNG}"


def _frame(found: Found, frame: Frame) -> Array:
    """One frame, windowed as its file says, and hung."""
    values = next(iter(found.pictures(frame.at, [frame.index])))
    at = orientation.display_planes(_geometry(frame), 2)[0]
    window = frame.file.window
    shown = _grey(values, windowing.Window(*window) if window and values.ndim == 2 else None)
    return orientation.make_pixels_square(orientation.orient(shown, at), at)


# -- NIfTI -----------------------------------------------------------------------------------------
def draw_nifti(chosen: Chosen, meter: Meter) -> Look:
    """Draw three slices around the middle of up to four scans. Only these slices are decoded, but
    a packed file has to be unpacked.
    """
    named = [m for m in chosen.used if m.head[:6] != b"\x93NUMPY"]
    files = [m for m in named if not scan_masks.is_named(m)] or named
    scans = [read_scan_header(_capped(files[i])) for i in spread(len(files), HEADERS)]
    pictures = []
    for k in spread(len(scans), SCANS):
        if meter.late:
            break
        pictures.append(_volume(scans[k]))
    masks = len(chosen.used) - len(files)
    beside = f" and {masks:,} mask{'s' * (masks != 1)}, by their names" if masks else ""
    said = [f"{len(files):,} scan{'s' * (len(files) != 1)}{beside}."]
    if any(s.axes for s in scans):
        said.append(HUNG)
    entries = identifying.nifti_entries([s.texts for s in scans], [s.member.stem for s in scans])
    return pictures, [*said, *_late(meter)], entries


def _volume(scan: Scan) -> Picture:
    planes = orientation.display_planes(Geometry(scan.axes, scan.mm), 3)
    thin = [p for p in planes if scan.shape[p.order[0]] == 1]
    at = thin[0] if scan.flat and thin else planes[0]
    n = scan.shape[at.order[0]]
    chosen = middle_of(n)
    slices = read_slices(scan, at.order[0], chosen)
    window = windowing.percentile_window(np.concatenate([s.ravel() for s in slices]))
    tiles = [
        orientation.make_pixels_square(orientation.orient(_grey(s, window), at), at) for s in slices
    ]
    plane = at.plane if at.known else UNHUNG
    what = "slice" if len(chosen) == 1 else f"slices {chosen[0] + 1} to {chosen[-1] + 1} of {n:,}"
    times = f", first of {scan.times:,} time points" if scan.times > 1 else ""
    return _sheet(tiles, scan.member.name, f"{what}{times}, {plane}")


def read_slices(scan: Scan, axis: int, wanted: Sequence[int]) -> list[Array]:
    """float32 slices [.,.] across `axis` of the scan turned to RAS order [D,H,W], of its first time
    point; only these are decoded. NaN and infinite voxels stay.
    """
    import nibabel

    image, turn = open_image(scan.member), scan.turn
    stored = int(np.flatnonzero(turn[:, 0].astype(int) == 2 - axis)[0])
    back, n = turn[stored, 1] < 0, scan.shape[axis]
    out = []
    with reword_errors(scan.member.name), np.errstate(all="ignore"):
        for i in wanted:
            at = n - 1 - i if back else i
            where: list[Any] = [slice(None)] * len(scan.grid)
            where[stored] = slice(at, at + 1)
            if scan.times > 1:
                where = [*where[:3], 0]
            part = np.asarray(image.dataobj[tuple(where)], dtype=np.float32)
            part = part.reshape(
                [1 if k == stored else size for k, size in enumerate(scan.grid[:3])]
            )
            turned = nibabel.apply_orientation(part, turn).transpose(2, 1, 0)
            out.append(np.take(turned, 0, axis=axis))
    return out


# -- arrays ----------------------------------------------------------------------------------------
def draw_arrays(chosen: Chosen, meter: Meter) -> Look:
    """Draw the first samples of an array, of which no more bytes are unpacked."""
    member = _capped(chosen.used[0])
    first, n = npz.read_first_samples(member, PICTURES)
    if first is None or first.modality not in ("image", "volume"):
        return [], [], identifying.fixed_entries("numbers")
    values = np.asarray(first.samples, dtype=np.float32)
    if first.modality == "image":
        window = windowing.percentile_window(values)
        tiles = [_grey(_layers(v), window) for v in values]
        words = f"the first {len(tiles)} of {n:,}, all on one scale"
        return [_sheet(tiles, "", words)], [], []
    pictures = []
    for k, volume in enumerate(values[:SCANS, 0]):
        at = middle_of(len(volume))
        window = windowing.percentile_window(volume[at])
        tiles = [_grey(volume[i], window) for i in at]
        words = f"{len(at)} middle slices, {UNHUNG}"
        pictures.append(_sheet(tiles, f"volume {k + 1} of {n:,}", words))
    return pictures, [], []


def _layers(sample: Array) -> Array:
    """[C,H,W] as [H,W,3], or its first channel [H,W]."""
    return sample[:3].transpose(1, 2, 0) if len(sample) >= 3 else sample[0]


# -- signals ---------------------------------------------------------------------------------------
def draw_recordings(chosen: Chosen, meter: Meter) -> Look:
    """Draw seconds from the middle of up to two recordings, up to four channels of one rate."""
    pictures: list[Picture] = []
    for member in chosen.used:
        if len(pictures) == RECORDINGS or meter.late:
            break
        recording = edf.open_recording(_capped(member))
        if recording is not None:
            pictures.append(_traces(recording, len(chosen.used)))
    return pictures, _late(meter), []


def draw_records(chosen: Chosen, meter: Meter) -> Look:
    """Draw seconds from the middle of up to two WFDB records, up to four signals of one rate."""
    members = [_capped(m, RECORD_BYTES) for m in chosen.used]
    records = wfdb.list_records(members)
    pictures: list[Picture] = []
    for k in spread(len(records), RECORDINGS):
        if meter.late:
            break
        recording = wfdb.hold_recording(*records[k])
        if recording.channels:
            pictures.append(_traces(recording, len(records), "records"))
    few = len(pictures) < len(records)
    said = [f"{len(pictures):,} of {len(records):,} records are shown."] if few else []
    return pictures, [*said, *_late(meter)], []


def _traces(recording: Recording, files: int, called: str = "files") -> Picture:
    rate = Counter(c.rate for c in recording.channels).most_common(1)[0][0]
    at = [k for k, c in enumerate(recording.channels) if c.rate == rate][:LANES]
    used = [recording.channels[k] for k in at]
    most = min(c.many for c in used)
    wanted = max(2, min(most, round(SHOWN * rate)))
    first = (most - wanted) // 2
    x = np.stack([np.asarray(v, np.float32)[first : first + wanted] for v in recording.load(at)])
    missing = not np.isfinite(x).all()
    x = np.nan_to_num(x)
    room = 0.06 * np.maximum(np.ptp(x, axis=1), 1e-9)
    style = signals.SignalStyle(
        x.min(1) - room,
        x.max(1) + room,
        rate,
        first / rate if rate else 0.0,
        tuple(c.unit for c in used),
        tuple(c.name for c in used),
    )
    channels = f"{len(at)} of {len(recording.channels)} channels"
    return {
        "title": recording.file,
        "words": f"{wanted / (rate or 1.0):.3g} s of {recording.seconds:,.0f} s, {channels}"
        + (", missing samples at 0" if missing else ""),
        "image": signals.draw_signal(x, style, TRACE),
        "alt": f"signals of one of {files:,} {called}",
    }


def _late(meter: Meter) -> list[str]:
    return ["The files are large; the look was ended early."] if meter.late else []


def _without() -> dict[str, list[dict[str, str]]]:
    """Return what is said of kinds whose files could not be looked into."""
    return {
        "dicom": identifying.dicom_entries(Counter(), 0, 0, 0, False),
        "nifti": identifying.nifti_entries([], []),
        "picture": identifying.picture_entries(0, 0, 0, True),
    }


WITHOUT = _without()
DRAWN: dict[str, Callable[[Chosen, Meter], Look]] = {
    "picture": draw_images,
    "dicom": draw_dicom,
    "nifti": draw_nifti,
    "npz": draw_arrays,
    "npy": draw_arrays,
    "edf": draw_recordings,
    "wfdb": draw_records,
}
