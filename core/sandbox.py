"""Reading files of strangers in a process of its own: it may take so much memory, time and disk and
no more, and its death is one sentence.

`limit` sets the bounds of the present process, `offline` takes its network away, `run` calls one
function in a fresh process with both. What comes back from `run` comes as JSON, Parquet and `.npy`
files: never as a pickle, so that a reader that was taken over cannot take over the caller.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from core import limits
from core.children import SECRET, environment, python_command
from core.errors import UserError

BARRED = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
)


def limit(memory: int, cpu_seconds: int | None = None, file_bytes: int | None = None) -> None:
    """Bound the present process: `memory` bytes of address space beyond what it has now, seconds of
    processor time from its start, bytes of any one file.

    Past them a Python process gets MemoryError, a signal (SIGXCPU), OSError (file too large). No
    core dumps. Does nothing on Windows, which has no such limits: there only time limits of the
    caller hold. Not for processes that use a GPU (they map far more than they use).
    """
    if os.name == "nt":
        return
    import resource

    def lower(what: int, value: int, more: int = 0) -> None:
        hard = resource.getrlimit(what)[1]
        top = value + more if hard == resource.RLIM_INFINITY else min(hard, value + more)
        resource.setrlimit(what, (min(value, top), top))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_AS, _mapped() + memory)
    if cpu_seconds is not None:
        lower(resource.RLIMIT_CPU, cpu_seconds, more=2)
    if file_bytes is not None:
        lower(resource.RLIMIT_FSIZE, file_bytes)


def _mapped() -> int:
    """Bytes of address space the present process has."""
    import psutil

    return int(psutil.Process().memory_info().vms)


def offline() -> bool:
    """Take the network and the starting of programs from the present process, for good; True when
    the system itself enforces it.

    Python code is stopped everywhere. C code of a decoder is stopped as well where the system lets
    a process leave its network behind (Linux, and only before the process has started a thread).
    """
    import ctypes

    def barred(event: str, args: tuple[Any, ...]) -> None:
        if event in BARRED:
            raise PermissionError(f"{event} is not allowed while reading files")

    enforced = False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        new_net, new_user = 0x40000000, 0x10000000
        enforced = any(libc.unshare(flags) == 0 for flags in (new_net, new_net | new_user))
    sys.addaudithook(barred)
    return enforced


def run(
    function: str,
    *args: Any,
    seconds: float = limits.PREVIEW_SECONDS,
    memory: int = limits.READER_MEMORY,
    what: str = "The file",
) -> Any:
    """`module:function` called with `args` in a fresh process; its result. Starting one costs a
    second or two.

    Arguments and results: JSON values, Path, bytes, pandas frames, arrays, and lists and dicts of
    them. Raises the function's UserError; one that begins with `what` when the process ran out of
    time or memory or died; RuntimeError for a bug, with the traceback in its text.
    """
    with tempfile.TemporaryDirectory(prefix="lightbox-reader-") as place:
        folder = Path(place)
        (folder / "in").mkdir()
        (folder / "out").mkdir()
        _put(
            folder / "in",
            {"function": function, "args": list(args), "memory": memory, "seconds": seconds},
        )
        env = environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MALLOC_ARENA_MAX="2")
        env = {name: value for name, value in env.items() if name not in SECRET}
        log = folder / "log.txt"
        with open(log, "wb") as out:
            child = subprocess.Popen(
                python_command("core.sandbox", place),
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=env,
            )
            try:
                code = child.wait(seconds)
            except subprocess.TimeoutExpired:
                raise UserError(
                    f"{what} took longer than {seconds:.0f} seconds to read; it may be damaged, or"
                    " larger than this look allows."
                ) from None
            finally:
                child.kill()
                child.wait()
        if code != 0:
            raise death(code, what, log.read_text(errors="replace"))
        said = _get(folder / "out")
    if "error" in said:
        raise UserError(said["error"])
    return said["result"]


def death(code: int, what: str, log: str = "") -> Exception:
    """Return what to raise for a reader's process that ended with `code` (negative: a signal)
    before it had a result.
    """
    if code == -getattr(signal, "SIGXCPU", 24):
        return UserError(
            f"{what} took more processor time to read than is allowed; it may be damaged."
        )
    if code < 0:
        return UserError(
            f"{what} brought the reader down (signal {-code}: out of memory, or a damaged file);"
            " nothing else was touched. Leave this file out."
        )
    return RuntimeError(f"the reader's process ended with {code}: {log[-2000:]}")


# -- values as files -------------------------------------------------------------------------------
def _put(folder: Path, value: Any) -> None:
    """Write `value` into `folder`: JSON, and what JSON cannot hold as files beside it."""
    from core.io.files import write_array, write_bytes, write_json, write_with

    count = 0

    def plain(item: Any) -> Any:
        nonlocal count
        import numpy as np
        import pandas as pd

        kinds = {"frame": pd.DataFrame, "array": np.ndarray, "bytes": bytes}
        kind = next((name for name, of in kinds.items() if isinstance(item, of)), "")
        if kind:
            count += 1
            path = folder / f"{count}.{kind}"
            if kind == "frame":
                write_with(path, lambda f: item.to_parquet(f))
            elif kind == "array":
                write_array(path, item)
            else:
                write_bytes(path, item)
            return {f"__{kind}__": path.name}
        if isinstance(item, Path):
            return {"__path__": str(item.absolute())}  # the child stands elsewhere
        if isinstance(item, dict):
            return {str(k): plain(v) for k, v in item.items()}
        return [plain(v) for v in item] if isinstance(item, (list, tuple)) else item

    write_json(folder / "value.json", plain(value))


def _get(folder: Path) -> Any:
    """Return what `_put` wrote."""

    def full(item: dict[str, Any]) -> Any:
        import numpy as np
        import pandas as pd

        if len(item) == 1:
            ((key, name),) = item.items()
            if key == "__path__":
                return Path(name)
            if key in ("__frame__", "__array__", "__bytes__"):
                path = folder / Path(name).name
                if key == "__frame__":
                    return pd.read_parquet(path)
                if key == "__bytes__":
                    return path.read_bytes()
                return np.load(path, allow_pickle=False)
        return item

    return json.loads((folder / "value.json").read_text(encoding="utf-8"), object_hook=full)


def main(place: str) -> None:
    """Run the function that lies in folder `place`, fenced in, and leave what it returns there."""
    folder = Path(place)
    offline()  # first: only a process without threads can leave its network
    asked = _get(folder / "in")
    module, _, name = asked["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    limit(asked["memory"], int(asked["seconds"]) + 1, limits.FILE_BYTES)
    try:
        said = {"result": function(*asked["args"])}
    except UserError as e:
        said = {"error": str(e)}
    except MemoryError:
        said = {"error": "The file needs more memory to read than is allowed; split it."}
    _put(folder / "out", said)


if __name__ == "__main__":
    main(sys.argv[1])
