"""The workspace: a folder with datasets, runs and a catalogue, seen alike by the browser and the
command line.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import limits
from core.artifacts import TYPES, Artifact
from core.errors import Full, UserError
from core.io import checksums
from core.io.files import (
    close_to_others,
    make_folder,
    move,
    publish,
    remove,
    write_json,
    write_once,
)
from core.people.access import OPEN, Access
from core.people.roles import Act
from core.settings import Settings
from core.workspace import decisions, notices, records, upgrade
from core.workspace.catalogue import DERIVED, Catalogue, Job, act_on
from core.workspace.names import check_name

if TYPE_CHECKING:
    from core.data.dataset import Dataset


FOLDERS = ("datasets", "runs", "cache", "stories", "log")
OURS = {
    *FOLDERS,
    "catalogue",
    "key",
    "reserve",
    "notice",
    "uploads",
    "backups",
    "damaged",
    "evidence",
    "server",
    "supervisor",
}


class Workspace:
    """`home/datasets/<id>/`, `home/runs/<id>/` (one per job), `home/cache/`, `home/stories/`,
    `home/log/`, `home/catalogue.db`.

    Ids are made here; names from users are labels only and never become paths.
    """

    access: Access = OPEN
    _whole: Workspace | None = None  # that of which this is a person's view

    def __init__(self, home: Path | None = None) -> None:
        self.home = Path(home or Settings().home).expanduser().resolve()
        try:
            for folder in FOLDERS:
                if not (self.home / folder).is_dir():
                    make_folder(self.home / folder)
        except OSError as e:
            raise UserError(
                f"The workspace folder {self.home} cannot be written ({e.strerror}); set"
                " LIGHTBOX_HOME to another folder."
            ) from None
        # a folder with other things in it stays as its owner has it
        ours = all(p.name.partition(".")[0] in OURS for p in self.home.iterdir())
        for place in (*([self.home] if ours else []), *(self.home / name for name in FOLDERS)):
            close_to_others(place)
        self._hidden: dict[tuple[str, str], np.ndarray] = {}
        self._dataset_of: dict[str, str] = {}
        self._sound: set[tuple[str, str, int]] = set()  # artifacts found to be as they were written

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue of datasets and jobs, brought to this version when first opened."""
        return upgrade.open_catalogue(self.home, Settings().catalogue)

    def seen_by(self, access: Access) -> Workspace:
        """Return this workspace for a person, who may do in it what `access` allows."""
        one = copy.copy(self)
        one.catalogue = self.catalogue  # one for all who look
        one._whole = self
        one.access = access
        return one

    def permit(self, act: Act, what: str = "") -> None:
        """First line of whatever changes something here; see `Access.permit`."""
        self.access.permit(act, what)

    def startup_messages(self) -> list[str]:
        """Sentences about the workspace that the user has not been told yet; each is given once."""
        return notices.take_notices(self.home)

    @cached_property
    def key(self) -> bytes:
        """32 secret bytes of this workspace, from which patients get their new ids and dates their
        shifts; made at first use, never exported.
        """
        return write_once(self.home / "key", secrets.token_bytes(32))

    # -- datasets ----------------------------------------------------------------------------------
    def add(
        self,
        data: Dataset,
        sample: bool = False,
        id: str | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> Dataset:
        """Store a dataset under its name. UserError when the name is taken or unusable; nothing is
        kept then.

        `id`: of the import job, whose broken-off save goes on and of which a copy of data that is
        here already is refused. `report` hears rows stored of all.
        """
        self.permit("data", f"a dataset of {len(data)} cases added")
        name = self.free(data.name)
        imported = id is not None
        id = id or hashlib.sha256(f"{name}\0{uuid.uuid4()}".encode()).hexdigest()[:12]
        tmp, final = self.home / "datasets" / f"tmp-{id}", self.home / "datasets" / id
        if final.exists():  # killed between the rename and the catalogue
            move(final, tmp)
        try:
            stored = replace(data, name=name).save(tmp, report)
            twin = next(
                (
                    e["name"]
                    for e in self.catalogue.datasets()
                    if imported and e["hash"] == stored.hash
                ),
                None,
            )
            if twin is not None:
                raise UserError(
                    f"The very same data is already here as “{twin}”; open that, or remove it"
                    " first."
                )
            entry = {
                "id": id,
                "name": name,
                "hash": stored.hash,
                "modality": data.modality,
                "n": len(data),
                "sample": int(sample),
                "created": time.time(),
            }
            write_json(tmp / records.ENTRY, entry)
            checksums.add_to_manifest(tmp, records.ENTRY)
            publish(tmp, final)
            self.catalogue.add_dataset(**entry)
        except BaseException:
            remove(tmp)
            # where even the catalogue cannot be asked, an import that is resumed takes the folder
            # up again
            with suppress(UserError):
                if all(e["id"] != id for e in self.catalogue.datasets()):
                    remove(final)
            raise
        self.recount(name)
        return self.dataset(name)

    def free(self, name: str) -> str:
        """Return the name as it may be. UserError when it is unusable or taken."""
        name = check_name(name)
        if any(d["name"] == name for d in self.catalogue.datasets()):
            raise UserError(
                f"There is already a dataset called “{name}”; choose another name or remove it"
                " first."
            )
        return name

    def unused(self, name: str) -> str:
        """`name`, or with a number behind it where there is a dataset called so."""
        taken = {e["name"] for e in self.catalogue.datasets()}
        return next(
            n for n in (name, *(f"{name} {k}" for k in range(2, len(taken) + 3))) if n not in taken
        )

    def entry(self, name: str) -> dict[str, Any]:
        """Catalogue line of the dataset called (or with id) `name`. UserError when there is
        none.
        """
        entries = self.catalogue.datasets()
        for entry in entries:
            if name in (entry["name"], entry["id"]):
                return entry
        known = ", ".join(e["name"] for e in entries) or "none yet"
        raise UserError(f"There is no dataset called “{name}” (there are: {known}).")

    def dataset_folder(self, name: str) -> Path:
        """Where a dataset is stored. UserError for an unknown name."""
        return self.home / "datasets" / self.entry(name)["id"]

    def dataset(self, name: str, whole: bool = False) -> Dataset:
        """Return the dataset as people decided (see `core.workspace.review`): without excluded and
        held-back rows, unless `whole`; row ids stay.
        """
        from core.data.dataset import Dataset

        entry = self.entry(name)
        folder = self.home / "datasets" / entry["id"]
        return decisions.apply_decisions(
            Dataset.load(folder, entry["name"]), decisions.load_decisions(folder), whole
        )

    def compare(self, name: str, most: int | None = None) -> None:
        """UserError when a stored file of a dataset is missing or not what was written. Cost: reads
        everything once (1 GB/s); of datasets of more than `most` bytes only names and sizes are
        compared.
        """
        entry = self.entry(name)
        folder = self.home / "datasets" / entry["id"]
        if not (folder / checksums.NAME).exists():  # `dataset` says whether there should be one
            return
        large = (
            most is not None
            and sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) > most
        )
        lost = checksums.find_wrong_files(folder, most=-1 if large else None)
        if lost:
            raise checksums.damage_error(entry["name"], lost)

    def hidden(self, name: str) -> np.ndarray:
        """int64 ids, sorted, of the rows of a dataset that are excluded or held back. Read once for
        each state of the decisions.
        """
        from core.data.dataset import Dataset

        entry = self.entry(name)
        folder = self.home / "datasets" / entry["id"]
        key = (folder.name, decisions.decisions_stamp(folder))
        if key not in self._hidden:
            Dataset.load(folder, entry["name"])  # whose sentence is of use where files are lost
            self._hidden[key] = np.flatnonzero(
                decisions.find_hidden_rows(
                    decisions.reasons_held(folder), decisions.load_decisions(folder)
                )
            )
        return self._hidden[key]

    def data_hash(self, name: str) -> str:
        """Return the hash of `dataset(name)`, without opening it."""
        folder = self.dataset_folder(name)
        return decisions.hash_view(
            json.loads((folder / "dataset.json").read_text())["hash"],
            decisions.load_decisions(folder),
            self.hidden(name),
        )

    def recount(self, name: str) -> None:
        """Let the catalogue count the rows that are in use."""
        self.catalogue.set_dataset(
            self.entry(name)["id"],
            n=decisions.count_stored_rows(self.dataset_folder(name)) - len(self.hidden(name)),
        )

    def remove_dataset(self, name: str) -> None:
        """Remove a dataset with all its runs. UserError while one of them is at work."""
        self.permit("data", f"dataset {self.entry(name)['id']}: removed")
        entry = self.entry(name)
        jobs = self.catalogue.jobs(dataset=entry["id"])
        if any(not j.ended for j in jobs):
            raise UserError(f"A run on “{entry['name']}” is still at work; cancel it first.")
        for job in jobs:
            self._remove_run(job.id)
        folder = self.home / "datasets" / entry["id"]
        self._tell_or_free(lambda: self.catalogue.remove_dataset(entry["id"]), folder)
        remove(folder)

    # -- runs --------------------------------------------------------------------------------------
    def folder(self, id: str) -> Path:
        """Where a run is stored. UserError for what is no run id."""
        if not re.fullmatch(r"[a-z0-9]{8,32}", id):
            raise UserError(f"“{id[:40]}” is not a run id; `lightbox runs list` shows them.")
        return self.home / "runs" / id

    def job(self, id: str) -> Job:
        """Return the job with this id, or the only one whose id starts so. UserError when there is
        none.
        """
        self.folder(id.ljust(8, "0"))
        job = self.catalogue.job(id)
        if job is None:
            near = [j for j in self.catalogue.jobs() if id and j.id.startswith(id)]
            if len(near) > 1:
                raise UserError(f"{len(near)} runs begin with “{id}”; write more of the id.")
            if not near:
                raise UserError(f"There is no run “{id}”; `lightbox runs list` shows them.")
            job = near[0]
        return job

    def runs(self, dataset: str | None = None) -> list[Job]:
        """Training runs and models applied to other data, newest first; on one dataset (name or id)
        if given.
        """
        jobs = self.catalogue.jobs(
            kind=["train", "apply"], **({"dataset": self.entry(dataset)["id"]} if dataset else {})
        )
        return jobs[::-1]

    def slugs(self, run: str) -> list[str]:
        """Names of the artifacts of a job, sorted."""
        folder = self.folder(run) / "artifacts"
        return (
            sorted(p.name for p in folder.iterdir() if (p / "artifact.json").exists())
            if folder.exists()
            else []
        )

    def artifact(self, run: str, slug: str) -> Artifact:
        """One artifact, its arrays memory-mapped, without rows that are excluded by now. UserError
        when the run has none of that name.
        """
        folder = self.artifact_folder(run, slug)
        try:
            return _kind(folder).load(folder)
        except (FileNotFoundError, ValueError, KeyError) as e:
            if "cache" in folder.relative_to(self.home).parts:  # made again at the next look
                remove(folder)
            raise _damaged(run, slug, "a part of it") from e

    def artifact_folder(self, run: str, slug: str) -> Path:
        """Where an artifact lies. One that speaks of rows excluded since is rewritten without
        them, to the cache, once for each set of such rows.
        """
        if slug not in self.slugs(run):
            raise UserError(
                f"Run {run} has no “{slug}” (it has:"
                f" {', '.join(self.slugs(run)) or 'nothing yet'})."
            )
        folder = self.folder(run) / "artifacts" / slug
        self._verified(run, slug)
        if not (kind := _kind(folder)).aligned():
            return folder
        if run not in self._dataset_of:
            self._dataset_of[run] = self.job(run).dataset
        out = self.hidden(self._dataset_of[run])
        if (
            not len(out)
            or not np.isin(
                out, np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
            ).any()
        ):
            return folder
        thin = (
            self.home
            / "cache"
            / "reviewed"
            / run
            / f"{slug}-{hashlib.sha256(out.tobytes()).hexdigest()[:16]}"
        )
        if not thin.exists():
            tmp = thin.with_name(f"{thin.name}-{uuid.uuid4().hex[:6]}.tmp")
            kind.load(folder).save(tmp, out)
            try:
                publish(tmp, thin)
            except OSError:  # another process was quicker
                remove(tmp)
                if not thin.exists():
                    raise
        return thin

    def _verified(self, run: str, slug: str) -> None:
        """UserError when an artifact is no longer what was written; looked at once, files above
        `limits.VERIFIED` by `lightbox check --files`.
        """
        folder = self.folder(run) / "artifacts"
        try:
            key = (run, slug, (folder / checksums.NAME).stat().st_mtime_ns)
        except OSError:
            key = (run, slug, 0)
        if key not in self._sound:
            wrong = checksums.find_wrong_files(folder, f"{slug}/", limits.VERIFIED)
            if wrong:
                raise _damaged(run, slug, wrong[0])
            self._sound.add(key)

    def damaged(self, unlisted: list[str] | None = None) -> list[str]:
        """Return stored files of finished runs and of datasets that are not what was written, by
        their place in the workspace. Cost: reads everything once.

        Datasets without a list of their files are not compared: `unlisted`, where it is known.
        """
        folders = [
            self.folder(job.id) / "artifacts"
            for job in self.catalogue.jobs(status="done")
            if job.kind != "import"
        ]
        aside = self.unlisted() if unlisted is None else unlisted
        folders += [
            self.home / "datasets" / e["id"]
            for e in self.catalogue.datasets()
            if e["name"] not in aside
        ]
        return [
            str((folder / name).relative_to(self.home))
            for folder in folders
            for name in checksums.find_wrong_files(folder)
        ]

    def unlisted(self) -> list[str]:
        """Names of datasets brought in before lists of files were kept: nothing says what was
        written.
        """
        from core.data.stored import has_checksums

        found = []
        for entry in self.catalogue.datasets():
            folder = self.home / "datasets" / entry["id"]
            if (
                folder.exists()
                and not (folder / checksums.NAME).exists()
                and not has_checksums(folder)
            ):
                found.append(entry["name"])
        return found

    def list_files(self, name: str) -> None:
        """Keep the list of a dataset's files as they are now, so that later changes are found.

        UserError when its samples and table cannot be read. Cost: reads everything twice.
        """
        self.permit("data", f"dataset {self.entry(name)['id']}: list of its files kept")
        data = self.dataset(name, whole=True)
        for at in range(0, len(data), 1000):
            data.samples[at : at + 1000]
        checksums.write_manifest(self.dataset_folder(name))

    def artifacts(self, run: str) -> dict[str, Artifact]:
        """All artifacts of a run by their names."""
        return {slug: self.artifact(run, slug) for slug in self.slugs(run)}

    def remove_run(self, id: str) -> None:
        """Remove a run and what was made from it: maps, explanations, measurements and the like.
        UserError while it is at work.
        """
        self.permit(act_on(self.job(id)), f"{self.job(id).kind} {self.job(id).id}: removed")
        self._remove_run(id)

    def _remove_run(self, id: str) -> None:
        job = self.job(id)
        if not job.ended:
            raise UserError(f"Run {job.id} is still {job.status}; cancel it first.")
        for made in self.catalogue.jobs(on_run=job.id, kind=DERIVED):
            if made.ended:
                self._remove_run(made.id)
        folder = self.folder(job.id)
        self._tell_or_free(lambda: self.catalogue.remove_job(job.id), folder)
        remove(folder)
        remove(self.home / "cache" / "reviewed" / job.id)

    def _tell_or_free(self, tell: Callable[[], None], folder: Path) -> None:
        """Let the catalogue know that `folder` goes. Where the disk has no room for that, the
        folder goes first, and with it what can be computed again.
        """
        try:
            tell()
        except Full:
            remove(folder)
            self.make_room()
            tell()
            upgrade.reserve_space(self.home)

    def make_room(self) -> None:
        """On a full disk: give up what was reserved and what can be computed again, and open the
        catalogue again, so that it can be written.
        """
        upgrade.free_space(self.home)
        opened = upgrade.open_catalogue(self.home, Settings().catalogue, keep=False)
        for ws in (self, self._whole or self):
            ws.__dict__["catalogue"] = opened


def _damaged(run: str, slug: str, part: str) -> UserError:
    return UserError(
        f"“{slug}” of run {run} is damaged on the disk ({part} is not what was written); train the"
        " run again, or bring its folder back from a copy."
    )


def _kind(folder: Path) -> type[Artifact]:
    return TYPES[json.loads((folder / "artifact.json").read_text())["type"]]
