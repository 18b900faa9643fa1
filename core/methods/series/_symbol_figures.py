"""What a fitted beta-VAE shows of its symbols: grids of axes by symbols, reasons of each case, and
figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Grid, Metric
from core.imaging import signals
from core.methods.series._figures import find_worst_stretch, measure_recognition, window_means

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.series.beta_vae_scan import BetaVAEScan


def draw_symbols(method: BetaVAEScan, rows: np.ndarray) -> Iterator[Grid]:
    """How firmly each symbol fixes each axis, and where; nothing without symbols."""
    if not method.factors:
        return
    named: dict[str, Any] = {
        "x": list(method.axes_),
        "y": list(method.symbols_),
        "x_title": "axis",
        "y_title": "symbol",
    }
    yield Grid(
        rows=rows,
        name="fixed-by-symbol",
        value=method.nats_.astype(np.float32),
        unit="how firmly a symbol fixes an axis (nats; 0 = leaves it free)",
        low=0.0,
        **named,
    )
    firm = method.nats_ > method.chance_[:, None]
    yield Grid(
        rows=rows,
        name="where-symbols-lie",
        value=np.where(firm, method.centre_, np.nan).astype(np.float32),
        unit=(
            "where it fixes it (0 = middle, 1 = one standard deviation; empty = no firmer"
            " than chance)"
        ),
        **named,
    )


def measure(
    method: BetaVAEScan,
    data: Dataset,
    z: np.ndarray,
    back: np.ndarray,
    prob: np.ndarray | None,
) -> list[Metric]:
    """Recognised symbols beside rivals on the same test cases, axes in use, and the stretch of the
    signal that is redrawn worst; `z` [n,d] the coordinates, `back` [n,C,T] the redrawn signals,
    `prob` [n,k] of the label's symbols.
    """
    used = method.used_
    found = [
        Metric(
            "latent axes in use",
            float(used.sum()),
            n=len(data),
            higher_is_better=None,
            note=f"of {len(used)}",
        )
    ]
    part = "test" if (data.splits == "test").any() else "train"
    at = np.flatnonzero(data.splits == part)
    if len(at):
        found.append(
            find_worst_stretch(data.take(at).inputs(), back[at], signals.signal_style(data), part)
        )
    if prob is not None:
        answers = {"symbols": prob.argmax(1)}
        for name, (weight, bias) in method.rivals_.items():
            features = z if "latent" in name else window_means(data.inputs())
            answers[name] = (features @ weight + bias).argmax(1)
        truth = method.factors[0].codes(data)
        found += measure_recognition(data, truth, answers, method.class_names_)
    return found + firm_symbols(method, len(data))


def name_reasons(
    method: BetaVAEScan, z: np.ndarray, prob: np.ndarray | None, like: np.ndarray | None
) -> list[list[dict[str, Any]]]:
    """Per case: which symbol its pattern is like, and the axes that speak most for or against that
    symbol (without symbols: its most unusual axes).

    z : coordinates [n,d]
    prob, like : probability [n,k] of each symbol, likeness [n,k,d] to it by axis; None without
        symbols
    """
    level = np.array(["very low", "low", "middling", "high", "very high"])
    words = level[(z[None] > method.places_[:, None]).sum(0)]
    shown = np.flatnonzero(method.used_)
    if prob is None or like is None:
        odd = z / np.maximum(np.abs(method.places_).max(0), 1e-6)
        order = np.argsort(-np.abs(odd[:, shown]), axis=1, kind="stable")[:, :4]
        return [
            [
                {"text": f"{method.axes_[j]} {words[i, j]}", "weight": float(odd[i, j])}
                for j in shown[order[i]]
            ]
            for i in range(len(z))
        ]
    found = []
    for i in range(len(z)):
        best, other = np.argsort(-prob[i], kind="stable")[:2]
        gain = like[i, best] - like[i, other]
        named = f"pattern like “{method.class_names_[best]}”"
        items = [{"text": named, "weight": float(gain.sum())}]
        for j in shown[np.argsort(-np.abs(gain[shown]), kind="stable")][:4]:
            items.append({"text": f"{method.axes_[j]} {words[i, j]}", "weight": float(gain[j])})
        found.append(items)
    return found


def firm_symbols(method: BetaVAEScan, n: int) -> list[Metric]:
    """Return the axes each symbol fixes firmer than chance does, and the symbols that were left
    out; `n` cases were described.
    """
    found = []
    for i, name in enumerate(method.symbols_):
        firm = np.flatnonzero(method.nats_[i] > method.chance_[i])
        order = firm[np.argsort(-method.nats_[i, firm])]
        listed = "; ".join(f"{method.axes_[j]} {method.centre_[i, j]:+.1f}" for j in order)
        found.append(
            Metric(
                "axes fixed firmer than by chance",
                float(len(firm)),
                group=name,
                split="train",
                n=int(method.bearers_[i]),
                higher_is_better=None,
                note=listed or "none",
            )
        )
    if method.left_out_:
        found.append(
            Metric(
                "symbols left out",
                float(len(method.left_out_)),
                n=n,
                higher_is_better=None,
                note="too few training cases: " + ", ".join(method.left_out_[:8]),
            )
        )
    return found
