"""steer: what changes when a feature of a sparse autoencoder is added to cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace, writable
from app.commands.explore import row_of
from app.commands.runs import finish
from core.errors import UserError

if TYPE_CHECKING:
    from core.artifacts import Steering


def register(cli: typer.Typer) -> None:
    cli.command("steer")(steer)


def steer(
    run: str,
    feature: Annotated[int, typer.Argument(help="The feature's number, from 1.")],
    strength: Annotated[
        float,
        typer.Option(
            help="How much of it is added, in multiples of the 95th percentile of its strength in"
            " training cases; below 0: its other end."
        ),
    ] = 1.0,
    off: Annotated[
        bool, typer.Option("--off", help="Take it out of the cases in which it is on.")
    ] = False,
    case: Annotated[str, typer.Option(help="A case to show: its row number or file name.")] = "",
    seed: int = 0,
    to_dir: Annotated[
        Path | None, typer.Option("--to-dir", help="Where pictures and figures go.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Add a feature of a sparse autoencoder to held-out cases, or take it out, and measure what
    changes, beside steps of the same length along other features and in random directions.
    """
    from core.artifacts import Steering
    from core.explain.steering import list_steered
    from core.io.files import share_new_files
    from core.jobs import queue
    from core.jobs.apply import load_data_as_seen
    from core.jobs.steering import make_spec, open_coder

    ws = workspace()
    job = queue.finished_run(ws, run, "steered")
    _, codes = open_coder(ws, job.id)
    data = load_data_as_seen(ws, job)
    known = list_steered(codes, data)
    if feature - 1 not in known:
        some = ", ".join(str(j + 1) for j in known[:10])
        raise UserError(
            f"Feature {feature} cannot be steered; those most often on are: {some}"
            f" ({len(known)} of {codes.z.shape[1]} are on in 5 training cases or more)."
        )
    row = None if not case else row_of(data, case)
    folder = None if to_dir is None else writable(to_dir)
    done = finish(
        queue.derive(ws, "steer", job.id, make_spec(feature - 1, strength, off, row), seed), json
    )
    made = ws.artifact(done.id, "steering")
    assert isinstance(made, Steering)
    found = {"run": job.id, "steer": done.id} | describe(made)
    if folder is not None:
        with share_new_files():
            found["files"] = [str(f) for f in save(made, data, found, folder)]
    say(found, "\n".join([f"{made.title}: {made.says}", *map(_line, made.results)]), json)


def describe(made: Steering) -> dict[str, Any]:
    """What steering changed, as plain values."""
    return {
        "feature": made.feature + 1,
        "title": made.title,
        "strength": made.strength,
        "off": made.off,
        "says": made.says,
        "cases": len(made.rows),
        "length": made.length,
        "length_sd": made.sd,
        "reader": made.reader,
        "reads": made.reads,
        "results": made.results,
        "other_features": made.features,
        "random_directions": made.directions,
        "curve": made.curve,
        "distance_percentile_median": [float(v) for v in np.median(made.distance, 0)],
        "neighbours_kept": float(np.mean(made.kept)),
        "around": made.around,
        "generated": made.frames is not None,
    }


def save(made: Steering, data: Any, found: dict[str, Any], folder: Path) -> list[Path]:
    """Write steering.png, the decoded pictures, marked GENERATED, and steering.json."""
    from core.imaging import render
    from core.io.files import make_folder, write_bytes, write_json
    from core.report import steering_figure as figure

    make_folder(folder)
    files = [folder / "steering.png"]
    write_bytes(files[-1], figure.steering_figure(made))
    if made.frames is not None and render.is_drawable(data):
        for row, pair in zip(made.shown, np.asarray(made.frames)):
            for word, frame in zip(("before", "after"), pair):
                files.append(folder / f"row_{int(row)}_{word}.png")
                picture = render.draw_generated(frame, data, 240)
                write_bytes(files[-1], render.encode_png(picture))
    write_json(folder / "steering.json", found)
    return [*files, folder / "steering.json"]


def _line(r: dict[str, Any]) -> str:
    low, high = (f"{r['low']:+.3f}", f"{r['high']:+.3f}") if r["low"] is not None else ("?", "?")
    others = (
        f"; other features {r['feature_low']:+.3f} to {r['feature_high']:+.3f}"
        if "feature_low" in r
        else ""
    )
    return (
        f"  {r['class']}: {r['before']:.3f} -> {r['after']:.3f} ({r['shift']:+.3f}, {low} to"
        f" {high}{others}; random directions {r['direction_low']:+.3f} to"
        f" {r['direction_high']:+.3f}){' *' if r['stands_out'] else ''}"
    )
