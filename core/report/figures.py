"""Static pictures of artifacts for stories and reports: PNG bytes, light background, large type.
Drawn without any display or global state.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import (
    AnomalyMaps,
    Attributions,
    Clusters,
    Counterfactual,
    Embedding,
    Map,
    Metrics,
    Traversal,
)
from core.artifacts.tables import KINDS
from core.columns import Column, map_points
from core.explain.marked_places import find_level
from core.imaging import changes, render
from core.imaging.palette import FAINT, OKABE_ITO
from core.imaging.render import PLAIN
from core.imaging.windowing import DisplaySettings
from core.neighbours import prepared

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MARKERS = "osD^vP*X"
SIDE = 240  # pixels of a case, so that what is printed into it can be read


def _new_figure(width: float, height: float, **more: Any) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained", **more)


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # two dollar signs in a user's words are no mathematics
        text.set_parse_math(False)
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def draw_words(value: object, limit: int = 28) -> str:
    """Return a user's string for a figure: one line, cut."""
    line = " ".join(str(value).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def map_figure(
    made: Map, data: Dataset, column: Column, selected: np.ndarray | None = None
) -> bytes:
    """Return the map coloured by a column; classes differ in shape too. `selected` row ids are
    ringed.
    """
    figure = _new_figure(10, 6.6)
    axes = figure.add_subplot()
    xy, at = np.asarray(made.xy)[:, :2], map_points(column, data, made)
    size = float(np.clip(6000 / len(xy), 3, 40))
    if column.kind == "amount":
        drawn = axes.scatter(*xy.T, c=column.values[at], s=size, cmap="cividis", linewidths=0)
        figure.colorbar(drawn, label=draw_words(column.name), shrink=0.8)
    else:
        code, names = column.codes()
        for j, name in enumerate(names[:16]):
            part = xy[code[at] == j]
            axes.scatter(
                *part.T,
                s=size,
                c=OKABE_ITO[j % 8],
                marker=MARKERS[j % 8],
                linewidths=0,
                label=f"{draw_words(name, 20)} ({len(part):,})",
            )
        rest = xy[(code[at] < 0) | (code[at] >= 16)]
        if len(rest):
            axes.scatter(
                *rest.T,
                s=size,
                c=FAINT,
                linewidths=0,
                label=f"other or missing ({len(rest):,})",
            )
        figure.legend(
            loc="outside right upper", title=draw_words(column.name), markerscale=1.6, frameon=False
        )
    if selected is not None and len(selected):
        axes.scatter(
            *xy[np.isin(made.rows, selected)].T,
            s=size * 3,
            facecolors="none",
            edgecolors="black",
            linewidths=0.8,
        )
    axes.set(xticks=[], yticks=[], aspect="equal")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel(
        f"{made.how}, {len(made.rows):,} of {made.total or len(made.rows):,}"
        f" {'cases' if made.place is None else 'slices'}{made.how_placed} · trustworthiness"
        f" {made.scores['trustworthiness']:.2f}, neighbours kept {made.scores['knn_recall']:.0%} ·"
        " distances between far groups mean nothing",
        fontsize=9,
    )
    return _png(figure)


def _describe_side(data: Dataset, rows: np.ndarray, look: DisplaySettings) -> str:
    """How the pictures of a figure are hung, in words, each way once."""
    if data.modality not in ("image", "volume"):
        return ""
    return "; ".join(dict.fromkeys(render.describe_orientation(data, int(r), look) for r in rows))


def _draw_grid(
    images: list[np.ndarray],
    captions: list[str],
    across: int,
    note: str = "",
    bar: tuple[float, float, str, str] | None = None,
) -> bytes:
    """Pictures in a grid with captions; `bar` = (low, high, colour map, unit) draws the one scale
    of all.
    """
    lines = -(-len(images) // across)
    figure = _new_figure(min(14.4, 2.4 * across), 2.6 * lines + (0.7 if bar else 0.3))
    grid = figure.subplots(lines, across, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption in zip(grid.flat, images, captions):
        # "nearest" drops lines of the letters printed into the pixels
        axes.imshow(image, interpolation="antialiased")
        axes.set_title(draw_words(caption, 24), fontsize=9)
    if bar is not None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        figure.colorbar(
            ScalarMappable(Normalize(bar[0], bar[1]), bar[2]),
            ax=grid.ravel().tolist(),
            orientation="horizontal",
            shrink=0.5,
            aspect=40,
            label=bar[3],
        )
    if note:
        figure.supxlabel(note, fontsize=9)
    return _png(figure)


def gallery_figure(
    data: Dataset,
    rows: np.ndarray,
    captions: list[str],
    across: int = 6,
    look: DisplaySettings = PLAIN,
) -> bytes:
    """Cases as they are, with letters, window and scale in their pixels; tables as their most
    unusual columns.
    """
    if render.is_drawable(data):
        return _draw_grid(
            [render.draw_for_report(data, int(r), SIDE, look) for r in rows],
            captions,
            across,
            _describe_side(data, rows, look),
        )
    return _draw_bars(data, rows, captions)


def _draw_bars(data: Dataset, rows: np.ndarray, captions: list[str], top: int = 8) -> bytes:
    train = data.reference.inputs() if data.modality == "table" else np.zeros((1, 1))
    mean, sd = np.nanmean(train, 0), np.nanstd(train, 0)
    figure = _new_figure(12, 3.2 * -(-len(rows) // 3))
    grid = figure.subplots(-(-len(rows) // 3), 3, squeeze=False)
    for axes in grid.flat[len(rows) :]:
        axes.axis("off")
    for axes, row, caption in zip(grid.flat, rows, captions):
        score = np.nan_to_num(
            (data.of(np.array([row])).inputs()[0] - mean) / np.where(sd > 0, sd, 1)
        )
        order = np.argsort(-np.abs(score))[:top][::-1]
        axes.barh(
            [draw_words(data.features[j], 22) for j in order],
            score[order],
            color=[OKABE_ITO[0] if v > 0 else OKABE_ITO[1] for v in score[order]],
        )
        axes.set_title(draw_words(caption, 30), fontsize=9)
        axes.set_xlabel("standard deviations from the mean", fontsize=8)
    return _png(figure)


def anomaly_figure(
    data: Dataset,
    anomaly: AnomalyMaps,
    rows: np.ndarray,
    opacity: float = 0.4,
    look: DisplaySettings = PLAIN,
    contour: bool = False,
    above: float | None = None,
) -> bytes:
    """Return the given cases with their heat (`contour`: as lines) on one scale and the marked
    truth outlined in blue. `above`: in place of the heat one line around what it marks, that
    threshold of the cases being in use (see `core.explain.marked_places`).
    """
    at = anomaly.at(rows)
    captions = [f"score {anomaly.score[a]:.2f}" for a in at]
    if anomaly.map is None or anomaly.map.shape[1:] != data.shape[1:]:
        return gallery_figure(data, rows, captions, look=look)
    low, high = anomaly.heat_range()
    hot = np.asarray(anomaly.map[at])
    level = None if above is None else find_level(anomaly, above, (low, high))
    images = render.draw_heat_maps(
        data,
        hot,
        rows,
        (low, high),
        opacity,
        SIDE,
        look=look,
        words=True,
        contour=contour,
        marked=None if level is None else level.mark(anomaly, hot),
    )
    lines = "lines at a quarter, half and three quarters of " if contour else ""
    shown = f"{lines}one scale for all, clear below it; "
    if level is not None:
        shown = f"orange line: above {level.value:.3g} {anomaly.unit}; "
    note = (
        shown
        + _describe_side(data, rows, look)
        + ("; blue outline: what was marked" if data.masks is not None else "")
    )
    scale = None if level is not None else (low, high, render.HEAT, anomaly.unit)
    return _draw_grid(images, captions, 6, note, scale)


def histogram_figure(
    anomaly: AnomalyMaps, rows: np.ndarray, truth: np.ndarray | None, threshold: float | None
) -> bytes:
    """Scores of `rows`, parted by `truth` (aligned to rows: 1 abnormal, 0 normal, NaN not known),
    with the threshold.
    """
    figure = _new_figure(9, 3.4)
    axes = figure.add_subplot()
    score = np.asarray(anomaly.score)[anomaly.at(rows)]
    edges = np.histogram_bin_edges(np.clip(score, *np.quantile(score, [0, 0.998])), 40)
    parts = [(score, "cases", OKABE_ITO[1], "")]
    if truth is not None:
        parts = [
            (score[truth == 0], "known normal", OKABE_ITO[1], ""),
            (score[truth == 1], "known abnormal", OKABE_ITO[0], "//"),
        ]
        if np.isnan(truth).any():
            parts.append((score[np.isnan(truth)], "not known", OKABE_ITO[7], ""))
    axes.hist(
        [np.clip(p[0], edges[0], edges[-1]) for p in parts],
        edges,
        stacked=True,
        color=[p[2] for p in parts],
        label=[p[1] for p in parts],
        hatch=[p[3] for p in parts],
    )
    if threshold is not None:
        axes.axvline(threshold, color="black", lw=2, label=f"threshold {threshold:.3g}")
    axes.set(xlabel="anomaly score (higher = more unusual)", ylabel="cases")
    axes.legend(frameon=False)
    return _png(figure)


def attribution_figure(data: Dataset, found: Attributions, rows: np.ndarray) -> bytes:
    """Signed maps of the given cases on one scale (tables: signed bars)."""
    at = found.at(rows)
    if data.modality == "table":
        value = np.asarray(found.value)[at]
        figure = _new_figure(10, 5)
        axes = figure.add_subplot()
        order = np.argsort(-np.abs(value).mean(0))[:15][::-1]
        axes.barh(
            [draw_words(data.features[j]) for j in order],
            value[:, order].mean(0),
            color=[OKABE_ITO[0] if v > 0 else OKABE_ITO[1] for v in value[:, order].mean(0)],
        )
        axes.set_xlabel(f"mean effect on {draw_words(found.target)} over {len(rows)} cases")
        return _png(figure)
    value = np.asarray(found.value)[at].sum(1)
    reach = found.full_colour()
    images = [
        render.draw_attribution(x, v, reach, data, 160)
        for x, v in zip(data.of(rows).inputs(), value)
    ]
    captions = [
        f"{draw_words(found.target, 14)} {found.output[a]:.2f}" if found.output is not None else ""
        for a in at
    ]
    return _draw_grid(
        images,
        captions,
        4,
        f"orange raised it, blue lowered it; full colour at ±{reach:.2g}, the same for all ·"
        f" {found.how} · {_describe_side(data, rows, PLAIN)}".rstrip(" ·"),
    )


def traversal_figure(data: Dataset, path: Traversal) -> bytes:
    """Return the frames of a path, each marked GENERATED, with its value and how far from real
    cases it is.
    """
    if not render.is_drawable(data):
        frames = np.asarray(path.frames)
        sd = np.nanstd(data.reference.inputs(), 0)
        change = (frames - frames[:1]) / np.where(sd > 0, sd, 1)
        figure = _new_figure(10, 4.5)
        axes = figure.add_subplot()
        for i, j in enumerate(np.argsort(-np.abs(change).max(0))[:8]):
            axes.plot(
                path.value,
                change[:, j],
                marker=MARKERS[i],
                color=OKABE_ITO[i],
                label=draw_words(data.features[j]),
            )
        axes.set(
            xlabel=draw_words(path.axis, 60),
            ylabel="change (training standard deviations) · GENERATED",
        )
        axes.legend(frameon=False)
        return _png(figure)
    images = [render.draw_generated(np.asarray(f), data, 160) for f in path.frames]
    far = (
        [""] * len(images)
        if path.distance is None
        else [
            f"\nbeyond {d:.0f} of 100" if d < 99 else "\nbeyond all real cases"
            for d in path.distance
        ]
    )
    return _draw_grid(
        images,
        [f"{v:.2g}{d}" for v, d in zip(path.value, far)],
        len(images),
        f"{draw_words(path.axis, 90)} · made by the model, no patients",
    )


def counterfactual_figure(data: Dataset, made: Counterfactual) -> bytes:
    """Return before, after and difference of one case, or the columns of a table that change."""
    note = f"wanted: {draw_words(made.wanted, 40)} · GENERATED, no patient"
    if not render.is_drawable(data):
        figure = _new_figure(7, 1.2 + 0.4 * len(made.fields))
        axes = figure.add_subplot()
        axes.axis("off")
        lines = [[draw_words(f[k]) for k in ("field", "before", "after")] for f in made.fields]
        axes.table(lines, colLabels=["column", "before", "after"], loc="center")
        figure.supxlabel(note, fontsize=9)
        return _png(figure)
    drawn = changes.draw_change(made, data, SIDE)
    return _draw_grid(list(drawn.values()), list(drawn), len(drawn), note)


def clusters_figure(
    data: Dataset,
    embedding: Embedding,
    clusters: Clusters,
    names: dict[int, str],
    most: int = 8,
    look: DisplaySettings = PLAIN,
) -> bytes:
    """For each of the largest groups the cases nearest to its centre in latent space (tables: the
    centre's columns).
    """
    label = np.asarray(clusters.label)
    z = prepared(np.asarray(embedding.z)[embedding.at(clusters.rows)], embedding.metric)
    order = sorted((j for j in np.unique(label) if j >= 0), key=lambda j: -(label == j).sum())[
        :most
    ]
    lines = []
    for j in order:
        part = np.flatnonzero(label == j)
        near = part[np.argsort(np.square(z[part] - z[part].mean(0)).sum(1), kind="stable")[:8]]
        lines.append(
            (f"{draw_words(names.get(int(j), str(j)), 20)} ({len(part):,})", clusters.rows[near])
        )
    if not render.is_drawable(data):
        return _draw_bars(
            data,
            np.array([rows[0] for _, rows in lines]),
            [f"typical of {name}" for name, _ in lines],
        )
    figure = _new_figure(12.5, 1.4 * len(lines))
    grid = figure.subplots(len(lines), 8, squeeze=False)
    for row, (name, rows) in zip(grid, lines):
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.set_frame_on(False)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
        for axes, r in zip(row, rows):
            axes.imshow(
                render.draw_for_report(data, int(r), SIDE // 2, look), interpolation="antialiased"
            )
    figure.supxlabel(
        _describe_side(data, lines[0][1] if lines else data.rows[:0], look), fontsize=9
    )
    return _png(figure)


def metrics_figure(metrics: Metrics) -> bytes | None:
    """Dots of all shares between 0 and 1 with what lies about them, hollow where there is no
    interval; None when there are none.
    """
    shown = [
        m
        for m in metrics
        if m.value is not None
        and 0 <= m.value <= 1
        and (m.low is not None or m.units)
        and m.varied is None
    ][:24]
    if not shown:
        return None
    figure = _new_figure(10, 0.6 + 0.34 * len(shown))
    axes = figure.add_subplot()
    for i, m in enumerate(shown):
        if m.low is not None and m.high is not None:
            axes.plot(
                [m.low, m.high],
                [i, i],
                color=OKABE_ITO[4],
                lw=2,
                ls="-" if m.kind == "interval" else ":",
            )
        axes.plot(
            m.value,
            i,
            "o",
            color=OKABE_ITO[0],
            ms=8,
            fillstyle="full" if m.low is not None else "none",
        )
    others = sorted({KINDS[m.kind] for m in shown if m.low is not None and m.kind != "interval"})
    dotted = f"; dotted: {', '.join(others)}" if others else ""
    axes.set(
        yticks=range(len(shown)),
        xlim=(0, 1.02),
        xlabel=f"value with its 95 % interval{dotted}; hollow: no interval",
    )
    axes.set_yticklabels(
        [
            (
                f"{draw_words(m.name, 44)} · {m.split}"
                if m.group == "all"
                else f"{draw_words(m.name, 36)} · {draw_words(m.group, 24)} · {m.split}"
            )
            for m in shown
        ]
    )
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    return _png(figure)
