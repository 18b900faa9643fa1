"""Whole made-up heads, half of the test ones with a small lesion: `python -m
tests.benchmarks.bench_volumes [patients] [draws]`.

Contestants: StRegA and the variational autoencoder slice by slice, the variational autoencoder
whole (3-D), and two rivals: the residual of principal components of whole volumes, and plain
brightness (mean of the brightest hundredth of each volume). AUROC of cases with the spread over
draws of the data; how often the hottest point lies in the lesion; and the AUROC by the share of
slices that makes the volume's score.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from core.data.samples.phantom import head_volumes
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.presets import cases, preset
from core.training.run import Run
from core.training.slices_to_volumes import top

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "StRegA, slices": ("strega", {}),
    "VAE, slices": ("gaussian_vae", {}),
    "VAE, whole": ("gaussian_vae", {"volumes": "whole (3-D)", "epochs": 60, "batch_size": 8}),
    "PCA residual, whole (rival)": ("pca", {}),
}


def one(name: str, data: Any, truth: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """AUROC, share of lesions that hold the hottest point, seconds, and AUROC by share of
    slices.
    """
    id, more = CONTESTANTS[name]
    kind, began = methods()[id], time.monotonic()
    params = check_params(kind, preset(kind, "fast", cases(kind, data)) | more)
    by = {a.slug: a for a in fit_and_apply(kind, params, data, Run(device="cpu"))[1]}
    maps, each = by["anomalymaps"], by.get("anomalymaps-slices")
    heat, mask = np.asarray(maps.map)[test], data.mask(test)  # type: ignore[attr-defined]
    hit = float(np.mean([mask[i].ravel()[heat[i].argmax()] for i in np.flatnonzero(truth)]))
    found: dict[str, Any] = {
        "auc": roc_auc_score(truth, maps.score[test]),
        "hit": hit,
        "seconds": time.monotonic() - began,
        "shares": {},
    }  # type: ignore[attr-defined]
    if each is not None:
        score = np.full((len(data), data.shape[1]), -np.inf)
        score[each.rows, each.place] = each.score  # type: ignore[attr-defined]
        found["shares"] = {
            s: roc_auc_score(truth, top(score, np.isfinite(score), s)[test]) for s in SHARES
        }
    return found


def main(patients: int = 100, draws: int = 3) -> None:
    got: dict[str, list[dict[str, Any]]] = {}
    for draw in range(draws):
        data = head_volumes(patients, seed=20 + draw)
        test = np.flatnonzero(data.splits == "test")
        truth = data.mask(test).reshape(len(test), -1).any(1)
        flat = np.sort(data.inputs(test).reshape(len(test), -1), axis=1)
        bright = flat[:, -flat.shape[1] // 100 :].mean(1)
        got.setdefault("brightness (rival)", []).append(
            {"auc": roc_auc_score(truth, bright), "hit": float("nan"), "seconds": 0.0, "shares": {}}
        )
        for name in CONTESTANTS:
            got.setdefault(name, []).append(one(name, data, truth, test))
            last = got[name][-1]
            print(
                f"draw {draw}  {name:<28} AUROC {last['auc']:.3f}  hottest point in the lesion"
                f" {last['hit']:.2f}  {last['seconds']:.0f} s",
                flush=True,
            )
    print(f"\n{patients} heads, {draws} draws; test heads half with a lesion")
    for name, each in got.items():
        auc = np.array([e["auc"] for e in each])
        line = (
            "  ".join(f"{s:g}: {np.mean([e['shares'][s] for e in each]):.3f}" for s in SHARES)
            if each[0]["shares"]
            else ""
        )
        print(
            f"{name:<28} AUROC {auc.mean():.3f} ± {auc.std():.3f}  hit"
            f" {np.mean([e['hit'] for e in each]):.2f}  {np.mean([e['seconds'] for e in each]):.0f}"
            f" s   {line}"
        )


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:3]))
