"""What people add to data and runs: named groups of cases, names of clusters, the chosen threshold.
Small json files in the workspace.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data.stored import class_word
from core.errors import UserError
from core.io.files import write_json
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.names import check_name
from core.workspace.workspace import Workspace

# what only the people who made or use a model can say of it, and how it is asked for
MODEL_FACTS = {
    "intended use": "For whom and for what is it meant?",
    "known failures": "Where was it seen to fail?",
    "when to stop": "What would make you stop using it?",
}
FACT_LETTERS = 1_000


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def load_groups(ws: Workspace, dataset: str) -> dict[str, np.ndarray]:
    """Return saved groups of a dataset: name -> int64 row ids without those excluded since, in the
    order they were made.
    """
    out = ws.hidden(dataset)
    found = {
        name: np.asarray(g["rows"], dtype=np.int64)
        for name, g in _read(ws.dataset_folder(dataset) / "groups.json").items()
    }
    return {name: rows[~np.isin(rows, out)] for name, rows in found.items()}


def save_group(ws: Workspace, dataset: str, name: str, rows: np.ndarray) -> None:
    """Keep `rows` under `name`, replacing a group of that name. UserError for an empty group or an
    unusable name.
    """
    ws.permit("annotate", f"dataset {ws.entry(dataset)['id']}: a group of {len(rows)} cases")
    if not len(rows):
        raise UserError("Nothing is selected; select some cases first.")
    keep_groups(ws, dataset, {check_name(name): rows})


def remove_group(ws: Workspace, dataset: str, name: str) -> None:
    """Forget a saved group; its cases stay."""
    ws.permit("annotate", f"dataset {ws.entry(dataset)['id']}: a group removed")
    keep_groups(ws, dataset, {name: np.zeros(0, np.int64)})


def keep_groups(ws: Workspace, dataset: str, groups: dict[str, np.ndarray]) -> None:
    """Keep the rows of each group under its name, and forget those without any; for who has asked
    (`Workspace.permit`).
    """
    path = ws.dataset_folder(dataset) / "groups.json"
    others = {k: v for k, v in _read(path).items() if k not in groups}
    now = time.time()
    kept = {k: {"rows": np.asarray(v).tolist(), "made": now} for k, v in groups.items() if len(v)}
    write_json(path, others | kept)


def find_named_rows(ws: Workspace, dataset: str, words: str) -> np.ndarray:
    """int64 row ids of the saved group called `words`, or of the rows where COLUMN=VALUE. UserError
    when there are none.
    """
    saved = load_groups(ws, dataset)
    if words in saved:
        if not len(saved[words]):
            raise UserError(f"Every case of the group “{words}” is excluded.")
        return np.sort(saved[words])
    column, equals, value = words.partition("=")
    data = ws.dataset(dataset)
    column, value = column.strip(), value.strip()
    if not equals:
        known = f"there are: {', '.join(saved)}" if saved else "none is saved yet"
        raise UserError(
            f"There is no saved group “{words}” ({known}); COLUMN=VALUE names the cases by a"
            " column."
        )
    if column not in data.table.columns:
        raise UserError(
            f"There is no column “{column}” (there are:"
            f" {', '.join(map(str, data.table.columns[:12]))})."
        )
    values = data.frame[column].map(class_word)
    rows = data.rows[(values == value).to_numpy()]
    if not len(rows):
        raise UserError(
            f"No case has “{value}” in column “{column}” (there are:"
            f" {', '.join(sorted(set(values))[:12])})."
        )
    return rows


def name_run(ws: Workspace, id: str, name: str) -> Job:
    """Give a run a name; an empty one takes it back. UserError for an unusable name."""
    ws.permit("annotate", f"run {ws.job(id).id}: named")
    job = replace(ws.job(id), label=check_name(name) if name.strip() else "")
    records.write_record(ws.home, job)
    ws.catalogue.set_job(job.id, label=job.label)
    return job


def load_cluster_names(ws: Workspace, run: str) -> dict[int, str]:
    """Names given by people to the groups a run found: number -> name."""
    return {int(k): v for k, v in _read(ws.folder(run) / "names.json").items()}


def name_cluster(ws: Workspace, run: str, cluster: int, name: str) -> None:
    """Name one group; an empty name takes the name back."""
    ws.permit("annotate", f"run {ws.folder(run).name}: cluster {int(cluster)} named")
    names = {str(k): v for k, v in load_cluster_names(ws, run).items() if k != cluster}
    write_json(
        ws.folder(run) / "names.json",
        names | ({str(cluster): check_name(name)} if name.strip() else {}),
    )


def load_author(ws: Workspace) -> str:
    """Return whose name the next note bears: who is signed in, or else the name last given in this
    workspace; "" before the first.
    """
    if ws.access.person:
        return ws.access.person
    return str(_read(ws.home / "author.json").get("name", ""))


def save_author(ws: Workspace, name: str) -> str:
    """Keep the name that the next notes are offered; returns it on one line, at most 60 letters. Of
    who is signed in it is the address, whatever `name` says, and nothing is kept.
    """
    if ws.access.person:
        return ws.access.person
    words = " ".join(name.split())[:60]
    if words and words != load_author(ws):
        write_json(ws.home / "author.json", {"name": words})
    return words


def load_threshold(ws: Workspace, run: str) -> dict[str, Any] | None:
    """Return the threshold a person has set for a run's anomaly score: {"value", "reason", "made",
    "on", "author", "prevalence", "ratio"}; it was picked `on` validation cases ("val"), or on those
    that were shown, test cases among them ("shown", or absent in earlier versions). `author` may be
    absent or empty; `prevalence` (0 to 1) is the one it was judged at and `ratio` how many false
    alarms a miss was worth, both absent or None where they were not asked for.
    """
    return _read(ws.folder(run) / "threshold.json") or None


def set_threshold(
    ws: Workspace,
    run: str,
    value: float,
    reason: str = "",
    on: str = "shown",
    author: str = "",
    prevalence: float | None = None,
    ratio: float | None = None,
) -> None:
    """Keep the threshold of a run's anomaly scores, who chose it and why; see `load_threshold`."""
    ws.permit("annotate", f"run {ws.folder(run).name}: threshold set to {float(value):.6g}")
    words = " ".join(reason.split())[:200]
    write_json(
        ws.folder(run) / "threshold.json",
        {
            "value": float(value),
            "reason": words,
            "author": save_author(ws, author),
            "made": time.time(),
            "on": on,
            "prevalence": prevalence,
            "ratio": ratio,
        },
    )


def load_features(ws: Workspace, run: str) -> dict[str, list[int]]:
    """Features of a run's sparse embeddings that the user wants as colours: slug -> axes, in the
    order chosen.
    """
    return _read(ws.folder(run) / "features.json")


def colour_by_feature(ws: Workspace, run: str, slug: str, axis: int) -> None:
    """Offer one feature as a colour from now on; the last eight are kept."""
    ws.permit("annotate", f"run {ws.folder(run).name}: feature {int(axis)} as a colour")
    chosen = load_features(ws, run)
    write_json(
        ws.folder(run) / "features.json",
        chosen | {slug: [*(a for a in chosen.get(slug, []) if a != axis), axis][-8:]},
    )


def load_lesion_decisions(ws: Workspace, run: str) -> dict[str, dict[str, Any]]:
    """Return what people decided about the lesions a run proposes: "row-number" -> {"accepted",
    "made"}, and "author" where people sign in.
    """
    return _read(ws.folder(run) / "lesions.json")


def decide_lesion(ws: Workspace, run: str, row: int, number: int, accepted: bool | None) -> None:
    """Accept or reject a proposed lesion of a run; None takes the decision back."""
    ws.permit("annotate", f"run {ws.folder(run).name}: lesion {int(row)}-{int(number)} decided")
    key = f"{row}-{number}"
    others = {k: v for k, v in load_lesion_decisions(ws, run).items() if k != key}
    who = {"author": ws.access.person} if ws.access.person else {}
    new = {} if accepted is None else {key: {"accepted": accepted, "made": time.time()} | who}
    write_json(ws.folder(run) / "lesions.json", others | new)


def load_definitions(ws: Workspace, dataset: str) -> dict[str, list[str]]:
    """Return saved definitions of what is abnormal in a dataset: name -> texts, the first of what
    is normal.
    """
    saved = _read(ws.dataset_folder(dataset) / "definitions.json")
    return {name: list(one["texts"]) for name, one in saved.items()}


def save_definitions(ws: Workspace, dataset: str, name: str, texts: list[str]) -> None:
    """Keep definitions under `name`, replacing those of that name. UserError for an unusable
    name.
    """
    ws.permit("annotate", f"dataset {ws.entry(dataset)['id']}: definitions of {len(texts)} texts")
    path = ws.dataset_folder(dataset) / "definitions.json"
    write_json(path, _read(path) | {check_name(name): {"texts": texts, "made": time.time()}})


def load_pair_decisions(ws: Workspace, run: str) -> dict[int, dict[str, Any]]:
    """Return what people decided about the pictures a run generated: number -> {"approved",
    "author", "made"}; those of none are left out.
    """
    return {int(k): v for k, v in _read(ws.folder(run) / "pairs.json").items()}


def decide_pairs(
    ws: Workspace, run: str, numbers: list[int], approved: bool | None, author: str = ""
) -> None:
    """Approve or reject generated pictures of a run by their numbers; None takes it back."""
    ws.permit("annotate", f"run {ws.folder(run).name}: {len(numbers)} generated pictures decided")
    found = {str(k): v for k, v in load_pair_decisions(ws, run).items() if k not in numbers}
    if approved is not None:
        one = {"approved": approved, "author": save_author(ws, author), "made": time.time()}
        found |= {str(k): one for k in numbers}
    write_json(ws.folder(run) / "pairs.json", found)


def load_model_facts(ws: Workspace, run: str) -> dict[str, dict[str, Any]]:
    """Return what people have stated of a run's model, by what it is about (see `MODEL_FACTS`):
    {"words", "author", "made" (seconds since the epoch)}.
    """
    found = _read(ws.folder(run) / "model_facts.json")
    return {name: found[name] for name in MODEL_FACTS if name in found}


def state_model_facts(ws: Workspace, run: str, given: dict[str, str], author: str = "") -> None:
    """Keep what a person states of a run's model, by what it is about; empty words take one back,
    and what is not given stays. UserError, with nothing kept, where something cannot be stated, or
    its words are longer than 1,000 letters.
    """
    ws.permit("annotate", f"run {ws.folder(run).name}: {len(given)} facts stated")
    said = {about: " ".join(words.split()) for about, words in given.items()}
    for about, words in said.items():
        if about not in MODEL_FACTS:
            raise UserError(f"“{about}” cannot be stated; what can is {', '.join(MODEL_FACTS)}.")
        if len(words) > FACT_LETTERS:
            raise UserError(
                f"What is stated of “{about}” has {len(words):,} letters; at most"
                f" {FACT_LETTERS:,} are kept."
            )
    new = {"author": save_author(ws, author), "made": time.time()}
    kept = {k: v for k, v in load_model_facts(ws, run).items() if k not in said}
    kept |= {about: {"words": words, **new} for about, words in said.items() if words}
    write_json(ws.folder(run) / "model_facts.json", kept)


def load_axis_names(ws: Workspace, run: str) -> dict[int, str]:
    """Names given by people to the axes of a run's latent space: axis, from 0 -> name."""
    kept = _read(ws.folder(run) / "axes.json").get("names", {})
    return {int(k): v for k, v in kept.items()}


def name_axis(ws: Workspace, run: str, axis: int, name: str) -> None:
    """Name one axis; an empty name takes the name back. What it was called is kept for
    `undo_axis_name`. UserError for an unusable name.
    """
    ws.permit("annotate", f"run {ws.folder(run).name}: axis {int(axis)} named")
    path = ws.folder(run) / "axes.json"
    names = {str(k): v for k, v in load_axis_names(ws, run).items()}
    before = [*_read(path).get("before", []), names][-20:]
    kept = {k: v for k, v in names.items() if k != str(axis)}
    new = kept | ({str(axis): check_name(name)} if name.strip() else {})
    if new != names:
        write_json(path, {"names": new, "before": before})


def undo_axis_name(ws: Workspace, run: str) -> bool:
    """Take the last change of an axis' name back; False when there is none."""
    ws.permit("annotate", f"run {ws.folder(run).name}: a name of an axis undone")
    path = ws.folder(run) / "axes.json"
    *earlier, names = _read(path).get("before", []) or [None]
    if names is None:
        return False
    write_json(path, {"names": names, "before": earlier})
    return True
