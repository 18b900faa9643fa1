"""Where jobs leave what they made, and where they find what others made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core.artifacts import Artifact, Model
from core.errors import UserError
from core.io import checksums
from core.io.files import make_folder, publish, remove
from core.workspace.catalogue import Job
from core.workspace.import_request import drop_request
from core.workspace.workspace import Workspace


def save_artifacts(folder: Path, artifacts: Iterable[Artifact]) -> None:
    """Save artifacts beside the final place, list every file with its sha256, then rename: they are
    all there or not at all.
    """
    tmp = folder / "artifacts.tmp"
    remove(tmp)
    make_folder(tmp)
    for artifact in artifacts:
        artifact.save(tmp / artifact.slug)
    checksums.write_manifest(tmp)
    publish(tmp, folder / "artifacts")


# what a run without an artifact of this kind says to who asks for it
LACKS = {
    "Embedding": (
        "places no cases in a latent space, so there is no map of it and no case is near another;"
        " train a method that does, such as principal components or an autoencoder"
    ),
    "Model": "keeps no model that can be asked again",
}


def find_artifact(ws: Workspace, run: str, kind: type[Any], slug: str | None = None) -> Any:
    """Return the first artifact of `kind` of a run, or the one named `slug`; a run without an
    Embedding or Model lends that of the run it builds upon, and a model applied to other data is
    that of the run it was trained in.

    UserError when there is none.
    """
    for name in ws.slugs(run):
        if slug in (None, name):
            artifact = ws.artifact(run, name)
            if isinstance(artifact, kind):
                return artifact
    job = ws.job(run)
    lends = job.kind == "apply" and kind is Model
    if job.on_run and (lends or ws.job(job.on_run).dataset == job.dataset):
        return find_artifact(ws, job.on_run, kind, slug)
    raise UserError(f"Run {run} {LACKS.get(kind.__name__, f'gave no {kind.__name__}')}.")


def load_named_rows(folder: Path, name: str) -> np.ndarray:
    """Return the row ids (int64) that were named when the run was asked for. UserError when their
    file is lost or cut.
    """
    try:
        return np.load(folder / f"{name}.npy", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        raise UserError(
            f"The list of cases this run was asked for ({name}.npy in its folder) is damaged on the"
            " disk; train it again."
        ) from None


def remove_import(ws: Workspace, id: str) -> None:
    """Take away the dataset of the import `id`, whatever of it is there: half stored, or stored
    when the import ended without success.
    """
    ws.catalogue.remove_dataset(id)
    for name in (f"tmp-{id}", id):
        remove(ws.home / "datasets" / name)


def undo(ws: Workspace, job: Job) -> None:
    """Take away all that a job made which failed or was cancelled, in whatever call that caught
    it; so also the dataset of an import that had just been finished.
    """
    remove_leftovers(ws, job)
    if job.kind == "import":
        remove_import(ws, job.id)
        drop_request(ws.folder(job.id))


def remove_leftovers(ws: Workspace, job: Job) -> None:
    """Take away what an attempt that did not end well has left: artifacts are of finished jobs
    only.
    """
    for name in ("artifacts.tmp", "artifacts"):
        remove(ws.folder(job.id) / name)
