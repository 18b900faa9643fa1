"""The engine that hands jobs to a Ray cluster: Ray finds the node, the catalogue and the run's
folder stay where what a job says is read.

An attempt at a job is one detached actor (`cluster_node.Place`) with the processors, GPUs and
memory the job needs; the job's process is its child. Only the supervisor asks the cluster; pages
and commands read the catalogue. Ray tells of a lost node after about 15 seconds; here an attempt
counts as lost once its place has not answered, nor its job written a sign of life, for `SILENCE`
seconds. That this may be wrong for a node that was only cut off is what `attempt_guard` is for.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core import __version__
from core.children import environment
from core.errors import UserError
from core.io.files import make_folder, write_json
from core.jobs.attempt_guard import MARK
from core.jobs.cluster_node import ENDING, Place
from core.jobs.resources import Needs, estimate_needs
from core.jobs.turns import GPU, NAMESPACE, ask_turns
from core.settings import Settings, read_settings
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

AUTO = "ray"  # the cluster of this machine
SAID = Path("log") / "cluster.json"  # why the cluster cannot be used now, for the pages
REACH = 3.0  # seconds in which a cluster has to take a connection
AGAIN = 5.0  # seconds between two tries to connect
ASK = 0.5  # seconds between two questions to a place
# a process notices within a second that its node is gone; with that, less than 5 seconds
SILENCE = 3.5  # seconds without an answer and without a sign of life: lost
UNWATCHED = 30.0  # the same where no cluster can be asked, so that only the sign of life is left
HOLD = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # "0" has Ray call this machine 127.0.0.1


class Cluster:
    """Hands jobs to Ray and follows them. One a process, `CLUSTER`."""

    def __init__(self) -> None:
        self._ray: Any = None
        self._ws: Workspace | None = None  # of the supervisor; None in any other process
        self._attempts: dict[str, _Attempt] = {}  # by `Job.born`
        self._next_try = 0.0
        self._said = ""
        self._held: set[str] = set()  # lanes in which a job of ours was without its place

    # -- the connection ----------------------------------------------------------------------------
    def look_after(self, ws: Workspace) -> None:
        """From now on this process is the supervisor of `ws`, which asks the cluster."""
        self._ws = ws

    def ready(self) -> str:
        """Have a connection; a sentence where there is none to be had. Tries at most every `AGAIN`
        seconds.
        """
        if time.monotonic() < self._next_try:
            return self._said
        self._next_try = time.monotonic() + AGAIN
        try:
            if self._ray is None:
                self._ray = connect(Settings().engine)
            check_nodes(self._nodes())
            self._said = ""
        except UserError as e:
            self._said = str(e)
        except Exception as e:  # Ray has many, and one is as good as another: it is gone
            self._said = f"The Ray cluster does not answer ({type(e).__name__})."
            self.disconnect()
        if self._ws is not None:
            tell(self._ws.home, self._said)
        return self._said

    def disconnect(self) -> None:
        """Let go of the cluster; jobs there go on."""
        ray, self._ray = self._ray, None
        self._attempts = {}
        if ray is not None:
            with suppress(Exception):
                ray.shutdown()

    def _nodes(self) -> list[dict[str, Any]]:
        return [n for n in self._ray.nodes() if n["Alive"]]

    # -- the engine --------------------------------------------------------------------------------
    def start(self, ws: Workspace, job: Job, lane: str) -> dict[str, Any]:
        """Hand the job to the cluster; the values its record gets. UserError where no node has what
        it needs.
        """
        if said := self.ready():
            raise UserError(said)
        try:
            return self._start(ws, job)
        except UserError:
            raise
        except Exception as e:
            self.disconnect()
            raise UserError(f"The Ray cluster does not answer ({type(e).__name__}).") from e

    def _start(self, ws: Workspace, job: Job) -> dict[str, Any]:
        needs = self._needs(ws, job)
        check_room(needs, self._nodes())
        born = f"{MARK}{uuid.uuid4().hex[:10]}"
        place = (
            self._ray.remote(Place)
            .options(
                name=_name(job.id, born),
                lifetime="detached",
                num_cpus=needs.cpus,
                num_gpus=needs.gpus,
                memory=needs.memory,
                max_restarts=0,
            )
            .remote()
        )
        self._attempts[born] = _Attempt(place, _begin(place, ws, job.id, born, needs))
        return {
            "pid": None,
            "born": born,
            "phase": f"waiting for room on the cluster ({needs})",
        }

    def _needs(self, ws: Workspace, job: Job) -> Needs:
        return estimate_needs(ws, job, any(n["Resources"].get("GPU") for n in self._nodes()))

    def in_turn(self, starts: list[tuple[Job, str]], running: list[Job]) -> list[tuple[Job, str]]:
        """Return which of the jobs that would be handed over now are: those in whose lane it is the
        turn of this project, see `core.jobs.turns`, and imports, which run here.
        """
        if self._ray is None or self._ws is None:
            return starts
        unplaced = {self._lane(job) for job in running if self.waits(job)}
        lanes = {job.id: self._lane(job) for job, _ in starts if job.kind != "import"}
        wants, placed = unplaced | set(lanes.values()), self._held - unplaced
        if not wants and not placed:
            return starts
        told = ask_turns(self._ray, str(self._ws.home), sorted(wants), sorted(placed))
        free = set() if told is None else set(told) - unplaced
        now = [(job, lane) for job, lane in starts if lanes.get(job.id, "") in free | {""}]
        if told is not None:
            self._held = unplaced | {lanes[job.id] for job, _ in now if job.id in lanes}
        return now

    def _lane(self, job: Job) -> str:
        """Return the line a job waits in, here and among projects."""
        gpus = job.device == "cuda" or any(n["Resources"].get("GPU") for n in self._nodes())
        if job.kind != "train":
            return "all else"
        return GPU if job.device != "cpu" and gpus else "train"

    def waits(self, job: Job) -> bool:
        """Whether the job has been handed over and has no place yet."""
        attempt = self._attempts.get(job.born)
        return attempt is not None and not attempt.placed and job.pid is None

    def alive(self, job: Job) -> bool:
        """Whether the attempt is there, or waits for its place. True where this process is not the
        one that asks the cluster.
        """
        if self._ws is None:
            return True
        attempt = self._attempts.get(job.born)
        if attempt is None:
            attempt = self._attempts[job.born] = self._find(job)
        if not attempt.gone:
            attempt.look(self._ray, job)
        return not attempt.gone

    def _find(self, job: Job) -> _Attempt:
        """Return the attempt that another supervisor, or this one before, has started."""
        if self.ready():
            return _Attempt(None, None)
        try:
            place = self._ray.get_actor(_name(job.id, job.born), namespace=NAMESPACE)
        except ValueError:
            return _Attempt(None, None, gone=True)
        assert self._ws is not None
        # what was asked of a place that its supervisor did not live to see has to be asked again
        begun = (
            _begin(place, self._ws, job.id, job.born, self._needs(self._ws, job))
            if job.pid is None
            else None
        )
        return _Attempt(place, begun)

    def ending(self, job: Job) -> int | None:
        """How the job's process ended, a negative number: by that signal; None where it was lost
        with its node.
        """
        assert self._ws is not None
        with suppress(OSError, ValueError, KeyError):
            told = json.loads((self._ws.folder(job.id) / ENDING).read_text())
            return int(told["code"]) if told["born"] == job.born else None
        return None

    def refusal(self, job: Job) -> str:
        """Why a node could not begin with the job; "" where that is not what ended it."""
        attempt = self._attempts.get(job.born)
        return attempt.refusal if attempt else ""

    def stop(self, job: Job, hard: bool) -> None:
        """End the attempt: its place goes, and the job's process with it, whatever it is at."""
        attempt = self._attempts.get(job.born)
        if attempt is not None and attempt.place is not None and self._ray is not None:
            with suppress(Exception):
                self._ray.kill(attempt.place)
            attempt.gone = attempt.gone or not attempt.placed

    def forget(self, job: Job) -> None:
        """Let go of an attempt that is over, and end what may be left of it."""
        self.stop(job, hard=True)
        self._attempts.pop(job.born, None)


@dataclass
class _Attempt:
    """One attempt as the supervisor sees it; times are of the clock nobody sets."""

    place: Any  # the handle of the actor; None where no cluster can be asked
    begun: Any  # the answer of `Place.begin`, until it has come
    gone: bool = False
    refusal: str = ""
    placed: bool = False
    heartbeat: float | None = None
    question: Any = None

    def __post_init__(self) -> None:
        self.heard = self.asked = time.monotonic()

    def look(self, ray: Any, job: Job) -> None:
        """Ask, hear what was answered, and find out whether the attempt is lost."""
        now = time.monotonic()
        if job.heartbeat != self.heartbeat:
            self.heartbeat, self.heard = job.heartbeat, now
        if self.place is not None and ray is not None:
            with suppress(Exception):  # a connection that breaks: the sign of life decides
                self._ask(ray, now)
        self.placed = self.placed or job.pid is not None
        bound = SILENCE if self.place is not None and ray is not None else UNWATCHED
        if self.placed and now - self.heard > bound:
            self.gone = True

    def _ask(self, ray: Any, now: float) -> None:
        from ray.exceptions import ActorUnavailableError, RayActorError, RayError

        if self.question is None:
            if self.begun is None and now - self.asked < ASK:
                return
            self.asked = now
            self.question = self.begun if self.begun is not None else self.place.here.remote()
        if not ray.wait([self.question], timeout=0)[0]:
            return
        answer, self.question = self.question, None
        try:
            told = ray.get(answer, timeout=ASK)
        except ActorUnavailableError:
            return
        except RayActorError as e:
            self.gone = True
            self.refusal = describe_refusal(str(e)) if self.begun is not None else ""
            return
        except RayError as e:  # raised by `Place.begin` itself
            self.gone, self.refusal = True, describe_refusal(str(e))
            return
        self.heard, self.placed = now, True
        if self.begun is not None:
            self.begun, self.refusal = None, told
            self.gone = bool(told)


def _begin(place: Any, ws: Workspace, job: str, born: str, needs: Needs) -> Any:
    """Ask a place to begin with a job; gives what its answer will be."""
    return place.begin.remote(
        str(ws.home), job, born, __version__, needs.cpus, _settings_for_nodes(needs)
    )


def connect(engine: str) -> Any:
    """Return Ray, connected to the cluster that the setting `engine` names. Never starts one.

    UserError, a sentence, where Ray is missing, nothing answers, or versions differ.
    """
    if find_spec("ray") is None:
        raise UserError(
            f"LIGHTBOX_ENGINE is “{engine}”, and Ray is not installed here: pip install"
            " lightbox[cluster]."
        )
    client = engine.startswith("ray://")
    address = find_address() if engine == AUTO else engine.removeprefix("ray://")
    _reach(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not client and address.rpartition(":")[0] in ("127.0.0.1", "localhost"):
        os.environ.setdefault(HOLD, "0")  # else Ray looks for it on this machine's other address
    import ray

    try:
        ray.init(
            address=f"ray://{address}" if client else address,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
        )
    except Exception as e:
        raise UserError(describe_no_connection(address, e)) from None
    return ray


def find_address() -> str:
    """Return host:port of the cluster started on this machine. UserError where there is none."""
    if told := os.environ.get("RAY_ADDRESS", ""):
        return told.removeprefix("ray://")
    base = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    with suppress(OSError):
        if told := (Path(base) / "ray" / "ray_current_cluster").read_text().strip():
            return told
    raise UserError(
        "No Ray cluster runs on this machine, and LIGHTBOX_ENGINE is “ray”: start one with `ray"
        " start --head`, or name the address of one (LIGHTBOX_ENGINE=HOST:6379)."
    )


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, ValueError):
        raise UserError(
            f"The Ray cluster at {address} cannot be reached (LIGHTBOX_ENGINE); see with `ray"
            " status` whether it runs, or set LIGHTBOX_ENGINE=local to compute on this machine."
        ) from None


def describe_no_connection(address: str, error: Exception) -> str:
    """Return the sentence about a cluster that takes connections and cannot be used."""
    versions = re.findall(r"(Ray|Python): (\S+)", str(error))
    if "ersion mismatch" in str(error) and len(versions) >= 4:
        there, here = dict(versions[:2]), dict(versions[-2:])
        return (
            f"The cluster at {address} has Ray {there['Ray']} with Python {there['Python']}, this"
            f" machine Ray {here['Ray']} with Python {here['Python']}; both have to be the same."
        )
    if isinstance(error, ImportError):
        return (
            "An address ray://HOST:PORT needs grpcio, which is not installed here: pip install"
            " lightbox[cluster]."
        )
    if "node" in str(error) and "raylet" in str(error).lower():
        return (
            f"This machine is no node of the cluster at {address}: join it with `ray start"
            f" --address={address}`, or connect from outside with LIGHTBOX_ENGINE=ray://HOST:10001."
        )
    return (
        f"What listens at {address} cannot be used as a Ray cluster ({type(error).__name__}); see"
        " `ray status` there."
    )


def describe_refusal(said: str) -> str:
    """Return the sentence about a node on which a job could not begin; "" where the node was
    lost.
    """
    if "No module named" in said or "ModuleNotFoundError" in said:
        return (
            "A node of the cluster lacks Lightbox (or what it needs); install the same version"
            " with the extra “cluster” on all."
        )
    if "Error" in said and "node has died" not in said and "unexpected" not in said:
        last = [line.strip() for line in said.splitlines() if line.strip()][-1]
        return f"A node of the cluster could not begin: {last[:200]}"
    return ""


def check_nodes(nodes: list[dict[str, Any]]) -> None:
    """UserError where nodes are several machines and the catalogue is a SQLite file, which they
    cannot share.
    """
    hosts = {n["NodeManagerHostname"] for n in nodes} | {platform.node()}
    url = Settings().catalogue
    if len(hosts) > 1 and (not url or url.startswith("sqlite")):
        raise UserError(
            f"The cluster has nodes on {len(hosts)} machines, which cannot share the workspace's"
            " catalogue while it is a SQLite file: set LIGHTBOX_CATALOGUE to a PostgreSQL database"
            " that all reach."
        )


def check_room(needs: Needs, nodes: list[dict[str, Any]]) -> None:
    """UserError where no node has, in all, what a job needs."""
    have = [
        Needs(
            int(n["Resources"].get("CPU", 0)),
            int(n["Resources"].get("GPU", 0)),
            int(n["Resources"].get("memory", 0)),
        )
        for n in nodes
    ]
    if any(
        h.cpus >= needs.cpus and h.gpus >= needs.gpus and h.memory >= needs.memory for h in have
    ):
        return
    most = max(have, key=lambda h: (h.gpus, h.cpus, h.memory), default=None)
    there = f"the largest has {most}" if most else "it has no node at all"
    raise UserError(
        f"This job needs {needs}, and no node of the cluster has as much ({there}); add a node, or"
        " ask for less (LIGHTBOX_JOB_CPUS, --device cpu, fewer rows)."
    )


def describe_cluster(engine: str) -> str:
    """“2 nodes, 4 CPUs, 0 GPUs, 9.5 GiB of memory”. UserError as `connect` and `check_nodes`."""
    ray = connect(engine)
    try:
        nodes = [n for n in ray.nodes() if n["Alive"]]
        check_nodes(nodes)
    finally:
        ray.shutdown()
    total = {k: sum(n["Resources"].get(k, 0) for n in nodes) for k in ("CPU", "GPU", "memory")}
    return (
        f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}, {total['CPU']:.0f} CPUs,"
        f" {total['GPU']:.0f} GPUs, {total['memory'] / 2**30:.1f} GiB of memory"
    )


def tell(home: Path, said: str) -> None:
    """Leave for the pages why the cluster cannot be used now; "" where it can."""
    with suppress(OSError):
        make_folder(home / SAID.parent)
        if said or (home / SAID).exists():
            write_json(home / SAID, {"said": said})


def last_word(home: Path) -> str:
    """Return why the cluster could not be used when the supervisor tried last; "" where it could,
    or where none is wanted.
    """
    if read_settings().engine == "local":
        return ""
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((home / SAID).read_text())["said"])
    return ""


def _name(job: str, born: str) -> str:
    """Ray's name of an attempt."""
    return f"{job}-{born.removeprefix(MARK)}"


def _settings_for_nodes(needs: Needs) -> dict[str, str]:
    """Our own settings of this machine, which a job on a node has as well."""
    every = environment()
    ours = {k: v for k, v in every.items() if k.startswith("LIGHTBOX_") and k != "LIGHTBOX_ENGINE"}
    return ours if needs.gpus else ours | {"CUDA_VISIBLE_DEVICES": ""}


CLUSTER = Cluster()
