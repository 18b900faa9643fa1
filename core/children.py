"""How processes of ours are started: nothing that lies in the folder somebody stands in becomes
part of them.

`python -m` puts the current folder first on Python's path, so that a `numpy.py` beside somebody's
pictures would be run in place of the library. Here every child has `-P` (and `PYTHONSAFEPATH` for
what it starts itself), our own root first on its path, and none of the relative entries a
`PYTHONPATH` may have. Libraries also read settings from the current folder (matplotlib's
`matplotlibrc`, numba's `.numba_config.yaml`, Streamlit's `.streamlit`): so children stand in a
folder of ours, and `import_from_elsewhere` has a command import such libraries from there.
"""

from __future__ import annotations

import importlib.machinery
import os
import site
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

# where Python finds us: the checkout, or where `lightbox` is installed
ROOT = Path(__file__).resolve().parents[__name__.count(".")]
FOLDERS = (  # one folder or file each
    "LIGHTBOX_HOME",
    "LIGHTBOX_SHARED",
    "LIGHTBOX_PROJECTS",
    "LIGHTBOX_SECRETS",
    "LIGHTBOX_EVENTS",
)
LISTS = ("LIGHTBOX_METHODS", "LIGHTBOX_FOLDERS")  # folders, separated as in PATH
SQLITE = "sqlite:///"
SAFE = "PYTHONSAFEPATH"
SECRET = ("LIGHTBOX_CATALOGUE", "LIGHTBOX_METRICS_TOKEN", "PGPASSWORD")  # hold, or may, a secret
CONFIGURED = ("matplotlib", "numba")  # read settings from the current folder when they are imported


def python_command(module: str, *args: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs `module` of ours with `args`; to be started with
    `environment()`. `options` are Python's.
    """
    return [sys.executable, "-P", *options, "-m", module, *args]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of this process for a child, which may stand in another folder: ours
    first on Python's path and no entry there that means the current folder; folders named by
    LIGHTBOX_* settings absolute. `more` is added, or stands in place.
    """
    env = dict(os.environ)
    ours = [] if _is_site(ROOT) else [str(ROOT)]
    env["PYTHONPATH"] = os.pathsep.join(
        dict.fromkeys([*ours, *_named_paths(env.get("PYTHONPATH", ""))])
    )
    env[SAFE] = "1"
    for name in FOLDERS:
        if env.get(name):
            env[name] = _absolute(env[name])
    for name in LISTS:
        if env.get(name):
            env[name] = os.pathsep.join(_absolute(p) for p in env[name].split(os.pathsep) if p)
    database = env.get("LIGHTBOX_CATALOGUE", "")
    if database.startswith(SQLITE) and len(database) > len(SQLITE):
        env["LIGHTBOX_CATALOGUE"] = SQLITE + _absolute(database.removeprefix(SQLITE))
    return env | more


def _is_site(folder: Path) -> bool:
    """Whether `folder` is where Python looks for installed packages by itself: named once more it
    would stand before Python's own modules.
    """
    return any(
        os.path.realpath(p) == str(folder)
        for p in [*site.getsitepackages(), site.getusersitepackages()]
    )


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _named_paths(python_path: str) -> list[str]:
    """Entries of a PYTHONPATH, absolute; not those that are empty or name the current folder, which
    nobody chose for our sake.
    """
    here = current_folder()
    paths = [_absolute(p) for p in python_path.split(os.pathsep) if p]
    return [p for p in paths if os.path.realpath(p) != here]


@contextmanager
def safe_path() -> Iterator[None]:
    """While it lasts, children that libraries start by themselves (trackers of shared memory,
    pools) have a safe path as well.
    """
    before = os.environ.get(SAFE)
    os.environ[SAFE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SAFE, None)
        else:
            os.environ[SAFE] = before


def current_folder() -> str:
    """Return the real path of the current folder; "" where it is gone."""
    with suppress(OSError):
        return os.path.realpath(os.getcwd())
    return ""


def import_from_elsewhere() -> None:
    """Have this process import CONFIGURED libraries as if it stood in a folder without settings of
    anybody's. Does nothing the second time.
    """
    if not any(isinstance(f, _Elsewhere) for f in sys.meta_path):
        sys.meta_path.insert(0, _Elsewhere())


class _Elsewhere:
    """Finds CONFIGURED libraries as Python does, and runs them from an empty folder. For commands,
    whose one thread imports.
    """

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in CONFIGURED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def from_elsewhere(module: ModuleType) -> None:
                before = os.getcwd()
                with tempfile.TemporaryDirectory(prefix="lightbox-") as empty:
                    os.chdir(empty)
                    try:
                        run(module)
                    finally:
                        os.chdir(before)

            spec.loader.exec_module = from_elsewhere  # type: ignore[method-assign]
        return spec
