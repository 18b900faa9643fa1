"""AutoPaint against plain rivals, StRegA, an autoencoder, other ways to fill holes and its own
broken copies, on generated heads, a CT with foreign parts and real lesions:
`python -m tests.benchmarks.bench_auto_paint [heads] [ct] [scans]`, stored table by
table, about an hour on two cores.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import binary_dilation, gaussian_filter

from core.data.dataset import Dataset
from core.evidence import intervals_overlap, shared_data
from core.methods.anomaly import _auto_paint_loop as loop
from core.methods.anomaly import _auto_paint_marks as marks
from core.nets.holes import irregular_holes
from core.nets.partial_conv import PartialUNet
from tests.benchmarks._anomaly import SIDE, _volume, heat_of, pixel_ap, rivals, untrained
from tests.benchmarks._common import over_seeds, row, run, store_part, table, verdict
from tests.benchmarks._paint_rivals import (
    autoencoded,
    best_dice,
    biharmonic,
    halo,
    mean_filled,
    own_dice,
    psnr,
    residual_heat,
    some_heads,
    trained_net,
    zero_filled,
)

SEEDS = [0, 1, 2]
HEADS = {"epochs": 20, "side": 64}
CT = {"epochs": 400, "side": 64}
SCANS = {"epochs": 40, "side": 128, "learn_from": "healthy parts", "sign": "brighter", "channel": 0}
TRAINING = 0.6  # share of the time of a fit and its description that training takes, about
STREGA = {"epochs": 25}
HELD = ("patient19", "patient07")
OWN = "AutoPaint"
PARTIAL = ("proposals alone, no round", "with the true mask as hole")
ROUNDS = "What do the rounds give? (range over three seeds)"
HEADS_NAME = "head-phantom (generated), part"
MEASURES = {"pixel average precision": pixel_ap, "best Dice, pooled (oracle)": best_dice}
SCANS_NAME = "ms_lesion_mri (2 patients)"
CT_NAME = "nnunet_example_ct (one patient), pasted parts"


# -- generated heads -------------------------------------------------------------------------------
def heads() -> list[dict[str, Any]]:
    data = some_heads()
    splits, marked = data.splits, data.mask().any((1, 2))
    test, healthy = splits == "test", (splits == "val") & ~marked
    x, truth = data.inputs(), data.mask()[test]
    figures: dict[str, dict[str, list[float]]] = {}

    def note(what: str, name: str, value: float) -> None:
        figures.setdefault(what, {}).setdefault(name, []).append(value)

    for seed in SEEDS:
        start = time.process_time()
        method, given = run("auto_paint", data, HEADS, seed)
        seconds = TRAINING * (time.process_time() - start)
        train = x[(splits == "train") & ~marked]
        own = heat_of(given)[test]
        autoencoder = autoencoded(x, train, seconds, seed)
        heats = {
            "AutoPaint": own,
            "proposals alone, no round": _proposed(method, given, x)[test],
            "autoencoder, as long": residual_heat(method, x, autoencoder, healthy)[test],
            "StRegA": heat_of(run("strega", data, STREGA, seed)[1])[test],
            "untrained copy": untrained("auto_paint", data, seed, HEADS)[test],
        }
        for name, heat in heats.items():
            note("pixel average precision", name, pixel_ap(heat, truth))
            note("best Dice, pooled (oracle)", name, best_dice(heat, truth))
        oracle = _oracle(method, x[test], truth)
        note("best Dice, pooled (oracle)", "with the true mask as hole", best_dice(oracle, truth))
        whole = method.prepare(x)[1][test]
        for name in (OWN, PARTIAL[0], "autoencoder, as long"):
            note("halo", name, halo(heats[name], truth, whole))
        lesions = given["lesions"].mask[test] > 0
        note("own", "Dice", own_dice(lesions, truth))
        note("own", "marked pixels for each true one", float(lesions.sum() / truth.sum()))
        empty = ~lesions[~truth.any((1, 2))].any((1, 2))
        note("share", "AutoPaint", float(empty.mean()))
        body = method.prepare(x)[1][test] & ~truth
        for name, back in (
            ("AutoPaint", given["images-healthy-twin"].image),
            ("autoencoder, as long", autoencoder),
        ):
            error = np.abs(x[test] - back[test]).mean(1)
            note("residual", name, float(error[body].mean()))
        _holes(method, x[test][~truth.any((1, 2))][::8], note)
    found = [
        one
        for name in ("pixel average precision", "best Dice, pooled (oracle)")
        for one in _table("Where are the lesions?", data, test, name, figures[name], x)
    ]
    found.append(_plain("How well are holes filled?", test, "PSNR in holes, dB", figures["psnr"]))
    found.append(
        _plain(
            "How large is the residual where nothing is wrong?",
            test,
            "mean absolute residual, of 1",
            figures["residual"],
            False,
        )
    )
    many = f"{np.mean(figures['own']['marked pixels for each true one']):.2f}"
    found.append(
        table(
            "What is marked at the threshold it sets itself? (range over three seeds)",
            HEADS_NAME,
            "test",
            int(test.sum()),
            SEEDS,
            "Dice of all slices in one; size of what is marked",
            [row(k, over_seeds(v)) for k, v in figures["own"].items()],
            f"It marks {many} pixels for each pixel of a lesion.",
        )
    )
    found.append(
        _plain(
            "Is there a halo around the larger lesions?",
            test,
            "heat within four pixels beside them over heat ten pixels away",
            figures["halo"],
            False,
        )
    )
    empty = figures["share"]["AutoPaint"]
    rows = [row("AutoPaint", over_seeds(empty)), row("wanted", (0.9, None, None))]
    found.append(
        table(
            "How many slices without a lesion stay empty? (range over three seeds)",
            HEADS_NAME,
            "test",
            int((~truth.any((1, 2))).sum()),
            SEEDS,
            "share of slices with no mark",
            rows,
            f"{np.mean(empty):.0%} of healthy test slices stay empty; 90 % were asked for.",
        )
    )
    found.append(_broken(x, splits, marked, method))
    return found


def _proposed(method: Any, given: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Heat before any round."""
    return method.standard.heat(x - given["images-proposed"].image, method.prepare(x)[1])


def _oracle(method: Any, x: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Heat with exactly the true lesion, widened by two pixels, filled in."""
    body, fill = method.prepare(x)[1], method._fill("cpu")
    twin = loop.propose(x, fill, method.patterns)
    hole = binary_dilation(truth, np.ones((1, 5, 5))) & body
    twin = np.where(hole[:, None], fill(x, hole), twin)
    return method.standard.heat(x - twin, body, hole)


def _holes(method: Any, x: np.ndarray, note: Any) -> None:
    """Note the PSNR of random holes in healthy slices by ways to fill them."""
    torch.manual_seed(1)
    body = method.prepare(x)[1]
    hole = irregular_holes(torch.from_numpy(body[:, None].astype("f4")))[:, 0].numpy() > 0
    note("psnr", "AutoPaint", psnr(method._fill("cpu")(x, hole), x, hole))
    note("psnr", "biharmonic (scikit-image)", psnr(biharmonic(x, hole), x, hole))
    note("psnr", "mean of the body", psnr(mean_filled(x, hole, body), x, hole))


def _broken(x: np.ndarray, splits: np.ndarray, marked: np.ndarray, method: Any) -> dict[str, Any]:
    """Error beside the borders of holes: partial convolutions against black holes."""
    train = x[(splits == "train") & ~marked]
    free = x[(splits == "test") & ~marked][::2]
    seen, body = method.prepare(train)[1], method.prepare(free)[1]
    torch.manual_seed(2)
    hole = irregular_holes(torch.from_numpy(body[:, None].astype("f4")))
    known = 1 - hole
    holed = hole[:, 0].numpy() > 0
    rim = holed & binary_dilation(~holed, np.ones((1, 5, 5)))
    errors = []
    for make in (PartialUNet, zero_filled):
        torch.manual_seed(0)
        net = trained_net(make(x.shape[1], 16), train, seen, 150)
        with torch.no_grad():
            back = net(torch.from_numpy(free) * known, known).numpy()
        errors.append(float(np.abs(back - free).mean(1)[rim].mean()))
    rows = [
        row("partial convolutions", (errors[0], None, None)),
        row("ordinary convolutions, black holes", (errors[1], None, None)),
    ]
    return table(
        "Do black holes cost something? (150 steps each)",
        HEADS_NAME,
        "test",
        len(free),
        [0],
        "mean absolute error within two pixels of the border of holes",
        rows,
        f"{errors[1] / errors[0]:.2f} times the error with black holes; twice was expected.",
        False,
    )


def _plain(
    title: str, test: np.ndarray, measure: str, by_seed: dict[str, list[float]], better: bool = True
) -> dict[str, Any]:
    rows = [row(k, over_seeds(v)) for k, v in by_seed.items()]
    title, said = f"{title} (range over three seeds)", verdict(rows, better)
    n = int(test.sum())
    return table(title, HEADS_NAME, "test", n, SEEDS, measure, rows, said, better)


def _table(
    title: str,
    data: Dataset,
    test: np.ndarray,
    measure: str,
    by_seed: dict[str, list[float]],
    x: np.ndarray,
) -> list[dict[str, Any]]:
    """Tables of figures by seed against the plain rivals, and of what the rounds give."""
    value = pixel_ap if measure.startswith("pixel") else best_dice
    truth = data.mask()[test]
    train = (data.splits == "train") & ~data.mask().any((1, 2))
    cheap = rivals(x, train, test)
    cheap |= {
        f"{k}, blurred like ours": gaussian_filter(v, (0, 0.8, 0.8))
        for k, v in cheap.items()
        if k.startswith("PCA")
    }
    rows = [row(k, over_seeds(v)) for k, v in by_seed.items() if k not in PARTIAL]
    rows += [row(k, (value(v, truth), None, None)) for k, v in cheap.items()]
    n, name = int(test.sum()), str(data.card.get("benchmark", HEADS_NAME))
    title = f"{title} (range over three seeds)"
    rounds = [row(k, over_seeds(v)) for k, v in by_seed.items() if k in (OWN, *PARTIAL)]
    return [
        table(title, name, "test", n, SEEDS, measure, rows, verdict(rows)),
        table(ROUNDS, name, "test", n, SEEDS, measure, rounds, said_of_rounds(rounds)),
    ]


def said_of_rounds(rows: list[dict[str, Any]]) -> str:
    """Whether the rounds help, and what knowing the lesion would give, from lines of a table."""
    values = {r["name"]: r for r in rows}
    own, before = values[OWN], values[PARTIAL[0]]
    words = "raise" if own["value"] > before["value"] else "do not raise"
    said = f"The rounds {words} it ({own['value']:.3f} with, {before['value']:.3f} without"
    said += "; ranges overlap)." if intervals_overlap(own, before) else ")."
    if PARTIAL[1] in values:
        said += f" With the true lesion as the hole it is {values[PARTIAL[1]]['value']:.3f}."
    return said


# -- CT with pasted parts --------------------------------------------------------------------------
def pasted_ct(folder: Path, seed: int = 0) -> Dataset:
    """Axial slices [28,1,128,128] of the example CT, -200 to 300 HU: in every second of nine in its
    middle (test) an ellipse of the tissue of another place of the scan, 60 to 200 HU brighter or
    darker there, with soft edges. All are of one patient: slices beside the tested ones are left
    out, those beyond train and validate.
    """
    import nibabel

    image: Any = nibabel.load(folder / "nnunet_example_ct" / "example_ct_sm.nii.gz")
    hu = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    hu = np.pad(hu, ((0, 0), (0, 128 - hu.shape[1]), (0, 128 - hu.shape[2])), constant_values=-1000)
    low, high = -200.0, 300.0
    x, rng = np.clip(hu, low, high)[:, None], np.random.default_rng(seed)
    n = len(x)
    split = np.full(n, "train", dtype="<U5")
    split[[8, 9, 21, 22]], split[11:20] = "val", "test"
    masks = np.zeros(hu.shape, np.uint8)
    for k in np.flatnonzero(split == "test")[::2]:
        x[k, 0], masks[k] = _with_part(x[k, 0], x[split == "train", 0], rng)
    table_ = pd.DataFrame({"split": split, "volume": "ct", "slice": np.arange(n)})
    table_ = table_.assign(mm_slice=3.0, mm_down=3.0, mm_across=3.0)
    card = {"unit": "HU", "benchmark": CT_NAME}
    roles = {"split": "split"}
    whole = Dataset("ct", "image", table_, x, masks, roles, (), (low, high))
    return replace(whole, card=card).take(np.setdiff1d(np.arange(n), [10, 20]))


def _with_part(
    x: np.ndarray, donors: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One slice [H,W] in HU with a part of another place in it, and where."""
    side = np.array(x.shape)
    y, across = np.mgrid[: side[0], : side[1]]
    inside = np.argwhere(gaussian_filter((x > -150).astype(float), 3) > 0.95)
    while True:
        middle, half = inside[rng.integers(len(inside))], rng.uniform(3, 7, 2)
        distance = np.hypot((y - middle[0]) / half[0], (across - middle[1]) / half[1])
        alpha = np.clip((1 - distance) * half.min() / 2 + 0.5, 0, 1)
        part = np.roll(donors[rng.integers(len(donors))], tuple(rng.integers(0, side)), (0, 1))
        where = alpha >= 0.5
        apart = abs(part[where].mean() - x[where].mean())
        if 60 <= apart <= 200 and (part[where] > -190).mean() > 0.9:
            return x * (1 - alpha) + part * alpha, where.astype(np.uint8)


def ct() -> list[dict[str, Any]]:
    folder = shared_data()
    if folder is None:
        return []
    found: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS:
        data = pasted_ct(folder)
        test, x = data.splits == "test", data.inputs()
        truth = data.mask()[test]
        start = time.process_time()
        method, given = run("auto_paint", data, CT, seed)
        seconds = TRAINING * (time.process_time() - start)
        heats = {
            "AutoPaint": heat_of(given)[test],
            "proposals alone, no round": heat_of_proposed(method, given, data)[test],
            "autoencoder, as long": _autoencoder_heat(method, data, seconds, seed)[test],
            "untrained copy": untrained("auto_paint", data, seed, CT)[test],
        }
        for name, heat in heats.items():
            for measure, value in MEASURES.items():
                found.setdefault(measure, {}).setdefault(name, []).append(value(heat, truth))
    title = "Where is tissue of another place?"
    return [t for name, by in found.items() for t in _table(title, data, test, name, by, x)]


def _autoencoder_heat(method: Any, data: Dataset, seconds: float, seed: int) -> np.ndarray:
    """Heat [n,H,W] of an autoencoder at the size that `method` works at, learned from and
    standardised on the same rows.
    """
    from core.methods.anomaly._slices import resized

    learned, normal = method._parts(data)
    x, small = method.prepare(data.inputs())[0], method.prepare(learned.inputs())[0]
    back = autoencoded(x, small, seconds, seed)
    heat = residual_heat(method, x, back, np.isin(data.rows, normal.rows))
    return resized(heat, data.shape[1:])


def heat_of_proposed(method: Any, given: dict[str, Any], data: Dataset) -> np.ndarray:
    """Heat before any round, at the size of the data."""
    from core.methods.anomaly._slices import resized

    x, body = method.prepare(data.inputs())
    small = method._small(np.ascontiguousarray(given["images-proposed"].image))
    return resized(method.standard.heat(x - small, body), data.shape[1:])


# -- real lesions ----------------------------------------------------------------------------------
def scan_slices(folder: Path, held: str) -> Dataset:
    """Axial slices [n,2,128,128] (FLAIR, T2), each scan divided by two and a half medians of its
    brain: those of the other patient train (blocks of four of every twenty validate), every second
    one of patient `held` tests.
    """
    pictures, masks, lines = [], [], []
    for patient in ("patient07", "patient19"):
        x, mask = _volume(folder / "ms_lesion_mri" / patient)
        level = [np.median(c[c > 0.05]) for c in np.moveaxis(x, 1, 0)]
        x = np.clip(x / (2.5 * np.array(level, np.float32)[:, None, None]), 0, 1)
        at = np.flatnonzero((x[:, 0] > 0).sum((1, 2)) > 3000 * SIDE**2 / 218**2)
        at = at[::2] if patient == held else at
        for k, z in enumerate(at):
            other = "val" if k // 4 % 5 == 2 else "train"
            lines.append((patient, "test" if patient == held else other, int(z)))
            pictures.append(x[z])
            masks.append(mask[z])
    table_ = pd.DataFrame(lines, columns=["patient", "split", "slice"])
    # of the tested scan every second slice of 1 mm; 218 mm in 128 pixels
    thick = np.where(table_["split"] == "test", 2.0, 1.0)
    size = 218 / SIDE
    table_ = table_.assign(volume=table_["patient"], mm_slice=thick, mm_down=size, mm_across=size)
    roles = {"group": "patient", "split": "split"}
    stacked = np.stack(masks).astype(np.uint8)
    return Dataset("ms", "image", table_, np.stack(pictures), stacked, roles)


def scans(held: str) -> Iterator[list[dict[str, Any]]]:
    """Tables of the patient `held`, learned from the other one: of the rivals, then of what two
    sequences find.
    """
    folder = shared_data()
    if folder is None:
        return
    data = scan_slices(folder, held)
    test, x = data.splits == "test", data.inputs()
    truth, n = data.mask()[test], int(test.sum())
    method, given = run("auto_paint", data, SCANS)
    own = heat_of(given)[test]
    cheap = rivals(x, data.splits == "train", test)
    heats = {
        OWN: own,
        **_strega_on(data, test),
        "untrained copy": untrained("auto_paint", data, 0, SCANS)[test],
        "FLAIR brightness alone": x[test, 0],
        **{k: v for k, v in cheap.items() if k.startswith(("PCA", "blurred", "distance"))},
    }
    marked = given["lesions"].mask[test] > 0
    ml = float(marks.pixel_ml(data)[test][0])
    said_of_marks = (
        f" At its own threshold it marks {marked.sum() * ml:.1f} ml of {truth.sum() * ml:.1f}"
        f" ml; Dice of the whole volume {own_dice(marked, truth):.2f}."
    )
    learned = "(learned from the healthy parts of the other patient; one scan, so no interval over"
    title = f"Real MS lesions, {held} held out {learned} patients)"
    found = []
    for measure, value in MEASURES.items():
        rows = [row(k, (value(h, truth), None, None)) for k, h in heats.items()]
        said = verdict(rows) + (said_of_marks if measure.startswith("best") else "")
        found.append(table(title, SCANS_NAME, "test", n, [0], measure, rows, said))
    body = _body_at(method, data)[test]
    near = {OWN: own, PARTIAL[0]: heat_of_proposed(method, given, data)[test]}
    rows = [row(k, (halo(v, truth, body), None, None)) for k, v in near.items()]
    title = f"Is there a halo around the larger lesions, {held} held out?"
    measure = "heat within four pixels beside them over heat ten pixels away"
    said = f"{rows[0]['value']:.2f} times the heat elsewhere; 1 would be no halo."
    yield [*found, table(title, SCANS_NAME, "test", n, [0], measure, rows, said, False)]
    alone = {**SCANS, "inputs": "one channel"}
    channels = {
        "FLAIR counts, T2 helps to fill it in": own,
        "both count": heat_of(_counting_both(method, data))[test],
        "FLAIR alone": heat_of(run("auto_paint", data, alone)[1])[test],
        "T2 alone": heat_of(run("auto_paint", data, {**alone, "channel": 1})[1])[test],
    }
    title, found = f"Do two sequences find more than one, {held} held out?", []
    for measure, value in MEASURES.items():
        rows = [row(k, (value(h, truth), None, None)) for k, h in channels.items()]
        found.append(table(title, SCANS_NAME, "test", n, [0], measure, rows, verdict(rows)))
    yield found


def _counting_both(method: Any, data: Dataset) -> dict[str, Any]:
    """Artifacts of the same network, by slug, with the departures of all channels counted."""
    from core.training.run import Run

    both = copy.copy(method)
    both.params = method.params.model_copy(update={"channel": -1})
    with Run(seed=0).seeded(), torch.no_grad():
        both._calibrate(both._parts(data)[1], Run(seed=0))
        return {a.slug: a for a in both.apply(data, Run(seed=0))}


def _body_at(method: Any, data: Dataset) -> np.ndarray:
    """Where the body is, bool [n,H,W]."""
    from core.methods.anomaly._slices import resized

    body = method.prepare(data.inputs())[1]
    return resized(body.astype(np.float32), data.shape[1:]) > 0.5


def _strega_on(data: Dataset, test: np.ndarray) -> dict[str, np.ndarray]:
    """Heat of StRegA, which learns from slices without a lesion; nothing where these are few."""
    params = {"epochs": 100, "side": 128, "batch_size": 8}
    free = (data.splits == "train") & ~data.mask().any((1, 2))
    if free.sum() < 8:
        return {}
    return {"StRegA": heat_of(run("strega", data, params)[1])[test]}


def parts(name: str) -> Iterator[list[dict[str, Any]]]:
    """Groups of tables of a part, each to be stored as soon as it is measured."""
    if name == "scans":
        for held in HELD:
            yield from scans(held)
    else:
        yield {"heads": heads, "ct": ct}[name]()


if __name__ == "__main__":
    for name in sys.argv[1:] or ("heads", "ct", "scans"):
        for tables in parts(name):
            store_part("auto_paint", tables)
